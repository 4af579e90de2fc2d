/**
 * What each answer of HubSpot means. Categories and codes from developers.hubspot.com ("Error handling", "Contacts") and from answers
 * that users published; a batch refused as a whole is told apart, so that it can be halved.
 */
import type { Outcome } from '../../domain/outcome.ts';
import { masked } from '../kit/mask.ts';
import { neverSent } from '../kit/outbound.ts';
import { pauseMs } from './limits.ts';
import type { Headers } from './limits.ts';

export type Effect = 'read' | 'write';

/** What is left of an SDK error: its message holds the whole body and is never kept. */
export interface Failure {
  /** 0 when no answer came. */
  status: number;
  /** Network error code, e.g. `ECONNRESET`. */
  code: string;
  body: unknown;
  headers: Headers;
}

export type Fault =
  | { kind: 'outcome'; outcome: Outcome }
  | { kind: 'not_found' }
  | { kind: 'refused_whole'; outcome: Outcome };

/** One refused input, or a refusal of the whole. */
export interface VendorError {
  category?: string;
  message?: string;
  context?: Record<string, unknown>;
  errors?: { message?: string; code?: string; in?: string; context?: Record<string, unknown> }[];
}

export function faultOf(failure: Failure, effect: Effect): Fault {
  const { status, headers } = failure;
  const body = errorOf(failure.body);
  const open = (code: string): Fault =>
    outcome(effect === 'write' ? { kind: 'unknown', code } : { kind: 'retry', code });
  if (status === 0) {
    const never = neverSent(failure.code);
    return never === undefined ? open('no_answer') : outcome({ kind: 'retry', code: never });
  }
  if (status < 300) return open('unreadable_answer');
  if (status < 400) return outcome({ kind: 'retry', code: 'redirected' });
  if (status === 401) return outcome({ kind: 'unauthorised', code: 'token_refused' });
  if (status === 403) {
    // In front of the API, without a document: throttling. With one: scopes.
    if (body === undefined) return outcome({ kind: 'retry', code: 'throttled', afterMs: 2_000 });
    return outcome({ kind: 'unauthorised', code: body.category === 'MISSING_SCOPES' ? 'missing_scopes' : 'forbidden' });
  }
  if (status === 404) return { kind: 'not_found' };
  if (status === 429) return outcome({ kind: 'retry', code: 'rate_limit', afterMs: pauseMs(headers, failure.body) });
  if (status === 400 || status === 409) {
    return { kind: 'refused_whole', outcome: refusalOf(body ?? {}, status) };
  }
  if (status >= 500) return open(`server_${status}`);
  return outcome({ kind: 'unclassified', code: `status_${status}` });
}

/** What HubSpot blames one record for. */
export function refusalOf(error: VendorError, status = 400): Outcome {
  const text = error.message ?? '';
  const [first] = error.errors ?? [];
  const code = first?.code ?? codeIn(error.context) ?? '';
  const field = propertyOf(first?.context) ?? propertyOf(error.context) ?? propertyIn(text) ?? first?.in;
  if (status === 409 || error.category === 'CONFLICT' || /already exists/iu.test(text)) {
    return { kind: 'rejected', code: 'address_taken', field: 'email' };
  }
  if (error.category === 'OBJECT_NOT_FOUND') return { kind: 'retry', code: 'gone_at_vendor' };
  if (/blocklist|privacy|gdpr|was permanently deleted|forgotten/iu.test(text))
    return { kind: 'refused', code: 'forgotten_address' };
  if (/have unsubscribed|opted out|has unsubscribed/iu.test(text))
    return { kind: 'refused', code: 'unsubscribed_by_person' };
  const known: Record<string, string> = {
    PROPERTY_DOESNT_EXIST: 'no_such_property',
    INVALID_EMAIL: 'email_invalid',
    INVALID_OPTION: 'no_such_option',
  };
  return {
    kind: 'rejected',
    code: known[code] ?? 'invalid',
    ...(field === undefined ? (code === 'INVALID_EMAIL' ? { field: 'email' } : {}) : { field }),
    message: masked(first?.message ?? text, field === undefined ? [] : [field]),
  };
}

/** The id that a conflict names: `Contact already exists. Existing ID: 123`. */
export function existingId(error: unknown): string | undefined {
  const body = errorOf(error);
  return /existing id:\s*(\d+)/iu.exec(body?.message ?? '')?.[1];
}

export function errorOf(body: unknown): VendorError | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined;
  const error = body as VendorError & { status?: unknown };
  return typeof error.message === 'string' || error.category !== undefined ? error : undefined;
}

function codeIn(context: Record<string, unknown> | undefined): string | undefined {
  const code = context?.['code'];
  return typeof code === 'string' ? code : undefined;
}

function propertyOf(context: Record<string, unknown> | undefined): string | undefined {
  const named = context?.['propertyName'];
  const first: unknown = Array.isArray(named) ? named[0] : named;
  return typeof first === 'string' ? first : undefined;
}

function propertyIn(text: string): string | undefined {
  return /Property "?([a-z][a-z0-9_]*)"? does not exist/u.exec(text)?.[1];
}

function outcome(of: Outcome): Fault {
  return { kind: 'outcome', outcome: of };
}
