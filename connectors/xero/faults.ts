/**
 * What each answer of Xero means. Sources: developer.xero.com, "Response codes and errors"; the SDK rejects with a JSON string
 * of `{response: {statusCode, body, headers}}` and gives status 0 where no answer came.
 */
import type { Outcome } from '../../domain/outcome.ts';
import { masked } from '../kit/mask.ts';
import { neverSent } from '../kit/outbound.ts';
import { retryAfterMs } from './limits.ts';
import type { Headers } from './limits.ts';

export type Effect = 'read' | 'write';

export interface VendorAnswer {
  /** 0 when no answer came. */
  status: number;
  body: unknown;
  headers: Headers;
}

export type Fault =
  | { kind: 'outcome'; outcome: Outcome }
  /** The access token is not taken (any more); nothing happened. A new one may be. */
  | { kind: 'token_refused' }
  /** A write was refused as a whole for the data in it; nothing happened. */
  | { kind: 'refused_whole' }
  | { kind: 'not_found' };

/** The vendor's answer in what the SDK rejected with. @throws what is no rejection of the SDK: a fault of the programme. */
export function answerOf(rejection: unknown): VendorAnswer {
  if (typeof rejection !== 'string') throw rejection;
  const { response } = JSON.parse(rejection) as { response: { statusCode: number; body: unknown; headers: Headers } };
  return { status: response.statusCode, body: response.body, headers: response.headers };
}

export function faultOf(answer: VendorAnswer, effect: Effect): Fault {
  const { status, headers } = answer;
  const body = (typeof answer.body === 'object' && answer.body !== null ? answer.body : {}) as Record<string, unknown>;
  const detail = typeof body['Detail'] === 'string' ? body['Detail'] : '';
  /** It may have happened. */
  const open = (code: string): Fault =>
    outcome(effect === 'write' ? { kind: 'unknown', code } : { kind: 'retry', code });

  if (status === 0) {
    // All that the SDK leaves of an error is its message.
    const never = typeof answer.body === 'string' ? neverSent(answer.body) : undefined;
    return never === undefined ? open('no_answer') : outcome({ kind: 'retry', code: never });
  }
  if (status < 300) return open('unreadable_answer');
  if (status < 400) return outcome({ kind: 'retry', code: 'redirected' });
  switch (status) {
    case 400: {
      // 10: validation, 14: the body could not be read as contacts. Others blame the request, which is ours.
      const number = body['ErrorNumber'];
      if (effect === 'write' && (number === 10 || number === 14)) return { kind: 'refused_whole' };
      const code = typeof number === 'number' ? `bad_request_${number}` : 'bad_request';
      return outcome({ kind: 'unclassified', code, ...messageOf(body) });
    }
    case 401:
      return isScope(detail, headers)
        ? outcome({ kind: 'unauthorised', code: 'scope_missing' })
        : { kind: 'token_refused' };
    case 403:
      // Xero's own 403 says why; one without a word comes from something in between.
      return outcome(
        detail === '' ? { kind: 'retry', code: 'forbidden' } : { kind: 'unauthorised', code: 'tenant_refused' },
      );
    case 404:
      return { kind: 'not_found' };
    case 413:
      return effect === 'write' ? { kind: 'refused_whole' } : outcome({ kind: 'unclassified', code: 'status_413' });
    case 429: {
      const problem = headers['x-rate-limit-problem'];
      const code = typeof problem === 'string' && /^[a-z]{1,20}$/.test(problem) ? `limit_${problem}` : 'limit';
      return outcome({ kind: 'retry', code, ...afterOf(headers) });
    }
    default:
  }
  if (status >= 500) {
    const code = `server_${status}`;
    return outcome(effect === 'write' ? { kind: 'unknown', code } : { kind: 'retry', code, ...afterOf(headers) });
  }
  return outcome({ kind: 'unclassified', code: `status_${status}`, ...messageOf(body) });
}

function isScope(detail: string, headers: Headers): boolean {
  const challenge = headers['www-authenticate'];
  const isChallenged = typeof challenge === 'string' && challenge.includes('insufficient_scope');
  return isChallenged || detail.startsWith('AuthorizationUnsuccessful');
}

function outcome(of: Outcome): Fault {
  return { kind: 'outcome', outcome: of };
}

function afterOf(headers: Headers): { afterMs?: number } {
  const afterMs = retryAfterMs(headers);
  return afterMs === undefined ? {} : { afterMs };
}

function messageOf(body: Record<string, unknown>): { message?: string } {
  const message = body['Message'] ?? body['Detail'];
  return typeof message === 'string' ? { message: masked(message) } : {};
}

/** What a refused element of a write asks for. */
export type Refusal =
  | { kind: 'outcome'; outcome: Outcome }
  /** `Name` must be unique among active contacts. */
  | { kind: 'name_taken' }
  /** Another record carries the ContactNumber: ours, created before. */
  | { kind: 'number_taken' }
  | { kind: 'archived' }
  | { kind: 'open_invoices' }
  | { kind: 'gone' };

const REFUSALS: { message: RegExp; refusal: Refusal }[] = [
  rejected(/email address must be valid/i, 'email_invalid', 'EmailAddress'),
  rejected(/account number.*already/i, 'account_number_taken', 'AccountNumber'),
  rejected(/country may contain letters only/i, 'country_invalid', 'Addresses'),
  rejected(/additional people cannot be added/i, 'persons_need_primary_address', 'EmailAddress'),
  refused(/GDPR/i, 'gdpr_request'),
  refused(/was merged/i, 'merged'),
  { message: /contact number.*already/i, refusal: { kind: 'number_taken' } },
  { message: /contact name.*already assigned/i, refusal: { kind: 'name_taken' } },
  { message: /outstanding|unpaid/i, refusal: { kind: 'open_invoices' } },
  { message: /archived/i, refusal: { kind: 'archived' } },
  { message: /could not be found/i, refusal: { kind: 'gone' } },
];

const TOO_LONG = /field (\w+) must be a string with a maximum length/i;

/**
 * Classifies the `ValidationErrors` of one element. Messages in the table are never repeated, because they quote names;
 * of others the element's own values are taken out first.
 *
 * @param values what the element held
 */
export function refusalOf(messages: readonly string[], values: readonly string[]): Refusal {
  for (const message of messages) {
    const field = TOO_LONG.exec(message)?.[1];
    if (field !== undefined) return { kind: 'outcome', outcome: { kind: 'rejected', code: 'too_long', field } };
  }
  // In the order of the table: bad data first, what can be solved without a person after it.
  for (const { message, refusal } of REFUSALS) {
    if (messages.some((each) => message.test(each))) return refusal;
  }
  let text = messages.join(' ');
  for (const value of values) if (value.length > 1) text = text.replaceAll(value, '<value>');
  return { kind: 'outcome', outcome: { kind: 'unclassified', code: 'validation', message: masked(text) } };
}

function rejected(message: RegExp, code: string, field: string): { message: RegExp; refusal: Refusal } {
  return { message, refusal: { kind: 'outcome', outcome: { kind: 'rejected', code, field } } };
}

function refused(message: RegExp, code: string): { message: RegExp; refusal: Refusal } {
  return { message, refusal: { kind: 'outcome', outcome: { kind: 'refused', code } } };
}
