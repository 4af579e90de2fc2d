/**
 * What each answer of Mailchimp means. Errors are RFC 7807 problems; titles and details from mailchimp.com/developer, "Errors", and
 * from answers that users published. The title and the detail decide, because nearly everything has status 400.
 */
import type { Outcome } from '../../domain/outcome.ts';
import { masked } from '../kit/mask.ts';
import { neverSent } from '../kit/outbound.ts';
import { retryAfterMs } from './limits.ts';
import type { Headers } from './limits.ts';

export type Effect = 'read' | 'write';

/** What is left of an SDK error: that object holds the API key and is never kept. */
export interface Failure {
  /** 0 when no answer came. */
  status: number;
  /** Network error code, e.g. `ECONNRESET`. */
  code: string;
  body: unknown;
  headers: Headers;
}

export type Fault = { kind: 'outcome'; outcome: Outcome } | { kind: 'not_found' } | { kind: 'refused_whole' };

interface Problem {
  title: string;
  detail: string;
  errors: { field: string; message: string }[];
}

/** One line of the table; absent conditions always hold. */
export interface Row {
  status: number;
  title?: RegExp;
  /** Looked for in the detail and in the field errors. */
  text?: RegExp;
  outcome: Outcome;
}

const EMAIL = 'email_address';

/** The first line that fits decides. */
export const TABLE: readonly Row[] = [
  { status: 400, title: /compliance state/i, outcome: { kind: 'refused', code: 'compliance_state' } },
  { status: 400, text: /is in a compliance state/i, outcome: { kind: 'refused', code: 'compliance_state' } },
  { status: 400, title: /forgotten email/i, outcome: { kind: 'refused', code: 'forgotten_address' } },
  {
    status: 400,
    text: /permanently deleted and cannot be re-imported/i,
    outcome: { kind: 'refused', code: 'forgotten_address' },
  },
  { status: 400, title: /member exists/i, outcome: { kind: 'rejected', code: 'address_taken', field: EMAIL } },
  {
    status: 400,
    text: /already in this list with a status/i,
    outcome: { kind: 'rejected', code: 'address_taken', field: EMAIL },
  },
  { status: 400, text: /looks fake or invalid/i, outcome: { kind: 'rejected', code: 'email_invalid', field: EMAIL } },
  {
    status: 400,
    text: /provide a valid email|(username|domain) portion of the email|single @/i,
    outcome: { kind: 'rejected', code: 'email_invalid', field: EMAIL },
  },
  // Mailchimp slows down who signs up to many audiences at once; it passes.
  {
    status: 400,
    text: /signed up to a lot of lists/i,
    outcome: { kind: 'retry', code: 'too_many_signups', afterMs: 3_600_000 },
  },
  { status: 401, outcome: { kind: 'unauthorised', code: 'api_key_refused' } },
  { status: 403, outcome: { kind: 'unauthorised', code: 'forbidden' } },
  { status: 405, text: /cannot be removed/i, outcome: { kind: 'refused', code: 'cannot_archive' } },
  { status: 503, title: /compliance related/i, outcome: { kind: 'unauthorised', code: 'account_suspended' } },
];

/** @param values what was sent: taken out of a message that no line of the table knows, before it is kept */
export function faultOf(failure: Failure, effect: Effect, values: readonly string[] = []): Fault {
  const { status, headers } = failure;
  const problem = problemOf(failure.body);
  /** It may have happened. */
  const open = (code: string): Fault =>
    outcome(effect === 'write' ? { kind: 'unknown', code } : { kind: 'retry', code });

  if (status === 0) {
    const never = neverSent(failure.code);
    return never === undefined ? open('no_answer') : outcome({ kind: 'retry', code: never });
  }
  if (status < 300) return open('unreadable_answer');
  if (status < 400) return outcome({ kind: 'retry', code: 'redirected' });
  if (status === 404) return { kind: 'not_found' };
  if (status === 429) return outcome({ kind: 'retry', code: 'too_many_connections', ...afterOf(headers) });
  // Throttling in front of the API: without the problem document that a true refusal has.
  if (status === 403 && problem === undefined)
    return outcome({ kind: 'retry', code: 'throttled', ...afterOf(headers) });

  const texts = [problem?.detail ?? '', ...(problem?.errors ?? []).map((error) => error.message)];
  for (const row of TABLE) {
    if (row.status !== status) continue;
    if (row.title !== undefined && !row.title.test(problem?.title ?? '')) continue;
    if (row.text !== undefined && !texts.some((text) => row.text?.test(text))) continue;
    return outcome(row.outcome);
  }
  if (status >= 500) return open(`server_${status}`);
  const [first] = problem?.errors ?? [];
  if (status === 400 && first !== undefined) {
    if (first.field.startsWith('members')) return { kind: 'refused_whole' };
    const code = /merge fields/i.test(problem?.detail ?? '') ? 'merge_field_invalid' : 'invalid';
    // The vendor's words for a field hold no value of the person; the field's own name is what a person needs.
    return outcome({ kind: 'rejected', code, field: first.field, message: messageOf(first.message, values) });
  }
  const text = problem === undefined ? {} : { message: messageOf(`${problem.title}: ${problem.detail}`, values) };
  return outcome({ kind: 'unclassified', code: `status_${status}`, ...text });
}

function messageOf(text: string, values: readonly string[]): string {
  let clean = text;
  for (const value of values) if (value.length > 1) clean = clean.replaceAll(value, '<value>');
  return masked(clean);
}

function problemOf(body: unknown): Problem | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { title, detail, errors } = body as Record<string, unknown>;
  if (typeof title !== 'string') return undefined;
  const list = Array.isArray(errors) ? (errors as { field?: unknown; message?: unknown }[]) : [];
  return {
    title,
    detail: typeof detail === 'string' ? detail : '',
    errors: list.map(({ field, message }) => ({ field: textOf(field), message: textOf(message) })),
  };
}

export function isProblem(body: unknown): boolean {
  return problemOf(body) !== undefined;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function outcome(of: Outcome): Fault {
  return { kind: 'outcome', outcome: of };
}

function afterOf(headers: Headers): { afterMs?: number } {
  const afterMs = retryAfterMs(headers);
  return afterMs === undefined ? {} : { afterMs };
}
