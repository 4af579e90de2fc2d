/**
 * Everything that a door can refuse, as RFC 9457 problem documents. `code` is stable and public: docs/errors.md lists each, and a test compares
 * the two lists both ways. No text of a request is ever repeated here.
 */
export const PROBLEMS = {
  body_not_json: { status: 400, title: 'The body cannot be read as JSON' },
  text_not_allowed: { status: 400, title: 'A text has a NUL character or half a character in it' },
  precondition_unclear: { status: 400, title: 'The expected version cannot be read' },
  key_missing: { status: 401, title: 'No key was given' },
  key_unknown: { status: 401, title: 'The key is not known' },
  key_expired: { status: 401, title: 'The key has run out' },
  key_revoked: { status: 401, title: 'The key was revoked' },
  role_missing: { status: 403, title: 'The key has not the role for this' },
  no_such_route: { status: 404, title: 'There is nothing at this address' },
  not_found: { status: 404, title: 'There is no such thing' },
  suppressed: { status: 409, title: 'The person was erased and does not come back by this door' },
  reference_taken: { status: 409, title: 'Another contact has this external reference' },
  already_decided: { status: 409, title: 'The decision is made already, or nothing is asked' },
  already_running: { status: 409, title: 'It runs already' },
  restored_database: { status: 409, title: 'The database was restored from a backup' },
  idempotency_key_busy: { status: 409, title: 'The first request with this idempotency key is under way' },
  erased: { status: 410, title: 'The contact was erased' },
  version_conflict: { status: 412, title: 'The contact has changed since it was read' },
  body_too_large: { status: 413, title: 'The body is too large' },
  media_type_not_supported: { status: 415, title: 'The body is of another type than this door takes' },
  validation_failed: { status: 422, title: 'The request is not as described' },
  idempotency_key_reused: { status: 422, title: 'The idempotency key was used for another request' },
  payload_not_opened: { status: 422, title: 'A payload of Temporal does not open with the keys that are here' },
  purpose_unknown: { status: 422, title: 'The configuration has no such purpose' },
  too_many_requests: { status: 429, title: 'More than the doors let in for now' },
  internal: { status: 500, title: 'Something went wrong here' },
  database_unavailable: { status: 503, title: 'The database cannot be reached' },
  temporal_unavailable: { status: 503, title: 'Temporal cannot be reached' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof PROBLEMS;
export const PROBLEM_CODES = Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]];

/** One thing that is wrong with a request: where, and what was expected. Never what was sent. */
export interface FieldFault {
  /** JSON pointer into the part named by `in`. */
  path: string;
  in: 'body' | 'query' | 'path' | 'header';
  expected: string;
  /** For fields of a contact: the same stable word as in a file of rejects. */
  code?: string;
}

/** Thrown anywhere in a door; answered as a problem document. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly status: number;
  readonly faults: FieldFault[];
  /** With `version_conflict`: the version that stands. */
  readonly currentVersion: number | undefined;
  readonly retryAfterSeconds: number | undefined;
  constructor(
    code: ProblemCode,
    detail: string,
    more: { faults?: FieldFault[]; currentVersion?: number | undefined; retryAfterSeconds?: number } = {},
  ) {
    super(detail);
    this.name = 'Problem';
    this.code = code;
    this.status = PROBLEMS[code].status;
    this.faults = more.faults ?? [];
    this.currentVersion = more.currentVersion;
    this.retryAfterSeconds = more.retryAfterSeconds;
  }
}

/** The document as sent. `instance` is the request's id, which the log has too. */
export function problemDocument(problem: Problem, requestId: string): Record<string, unknown> {
  return {
    type: `urn:plumbline:problem:${problem.code}`,
    title: PROBLEMS[problem.code].title,
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    instance: `urn:uuid:${requestId}`,
    ...(problem.faults.length > 0 ? { faults: problem.faults } : {}),
    ...(problem.currentVersion !== undefined ? { currentVersion: problem.currentVersion } : {}),
  };
}
