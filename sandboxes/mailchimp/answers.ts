/** Mailchimp's answers: RFC 7807 problems in its own wording, hashes and times as it writes them. */
import { hash, randomUUID } from 'node:crypto';
import { isoOf } from '../kit/time.ts';
import type { Answer } from '../kit/vendor.ts';

export interface FieldError {
  field: string;
  message: string;
}

/** Why a request is refused. */
export interface Problem {
  status: number;
  title: string;
  detail: string;
  errors?: FieldError[];
}

const TYPE = 'https://mailchimp.com/developer/marketing/docs/errors/';

export function refused(problem: Problem, extra: Partial<Answer> = {}): Answer {
  const { status, title, detail, errors } = problem;
  const body = {
    type: TYPE,
    title,
    status,
    detail,
    instance: randomUUID(),
    ...(errors === undefined ? {} : { errors }),
  };
  return { status, headers: { 'content-type': 'application/problem+json; charset=utf-8' }, body, ...extra };
}

export function ok(body: unknown, extra: Partial<Answer> = {}): Answer {
  return { status: 200, body, ...extra };
}

export const NOT_FOUND: Problem = {
  status: 404,
  title: 'Resource Not Found',
  detail: 'The requested resource could not be found.',
};
export const METHOD_NOT_ALLOWED: Problem = {
  status: 405,
  title: 'Method Not Allowed',
  detail:
    "The requested method and resource are not compatible. See the Allow header for this resource's available methods.",
};
export const CANNOT_ARCHIVE: Problem = {
  status: 405,
  title: 'Method Not Allowed',
  detail: 'This list member cannot be removed. Can not archive a contact that is bounced, pending or archived',
};
export const KEY_INVALID: Problem = {
  status: 401,
  title: 'API Key Invalid',
  detail: "Your API key may be invalid, or you've attempted to access the wrong datacenter.",
};
export const TOO_MANY: Problem = {
  status: 429,
  title: 'Too Many Requests',
  detail: 'You have exceeded the limit of 10 simultaneous connections.',
};
export const INTERNAL: Problem = {
  status: 500,
  title: 'Internal Server Error',
  detail: 'An unexpected internal error has occurred. Please contact Support for more information.',
};

/** The schema refused it. */
export function invalid(errors: FieldError[]): Problem {
  const detail = "The resource submitted could not be validated. For field-specific details, see the 'errors' array.";
  return { status: 400, title: 'Invalid Resource', detail, errors };
}

export function invalidMergeFields(errors: FieldError[]): Problem {
  return { status: 400, title: 'Invalid Resource', detail: 'Your merge fields were invalid.', errors };
}

/** MD5 of the lower-cased address: the id of a member in its audience. */
export function hashOf(email: string): string {
  const text = email.toLowerCase();
  let found = hashes.get(text);
  if (found === undefined) {
    if (hashes.size >= HASHES_KEPT) hashes.clear();
    hashes.set(text, (found = hash('md5', text)));
  }
  return found;
}

/** A member's hash is asked for several times in each request that touches it. */
const hashes = new Map<string, string>();
const HASHES_KEPT = 50_000;

/** `2026-03-01T10:00:00+00:00`: Mailchimp knows seconds only. */
export function iso(ms: number): string {
  return `${isoOf(ms).slice(0, 19)}+00:00`;
}
