/**
 * Mailchimp's limits (mailchimp.com/developer, "Fundamentals": throttling, 2026-11). There is no published rate and there are no
 * headers: only ten simultaneous connections an account, 429 above, and a bare 403 at very high volume.
 */
import type { LimitReading } from '../kit/connector.ts';
import type { AccountLimits } from '../kit/module.ts';

export const limits: AccountLimits = { concurrency: 10 };

/** Members one bulk call carries. */
export const BULK_MAX = 500;
/** From here on one bulk call beats single calls. */
export const BULK_FROM = 3;
/** Members one page of a listing carries. */
export const PAGE_SIZE = 1000;
/** From here on one listing beats single reads. */
export const LIST_FROM = 20;
/** `last_changed` has whole seconds. */
export const SECOND_MS = 1000;

/** A connection is soon free again; nobody is to call meanwhile. */
const TOO_MANY_PAUSE_MS = 250;
/** The bare 403 comes from in front of the API and lasts. */
const THROTTLED_PAUSE_MS = 2000;

export type Headers = Readonly<Record<string, unknown>>;

/** Milliseconds of Retry-After in whole seconds; Mailchimp does not promise one. */
export function retryAfterMs(headers: Headers): number | undefined {
  const value = headers['retry-after'];
  return typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) * SECOND_MS : undefined;
}

export function limitReading(status: number, isProblem: boolean, headers: Headers): LimitReading | undefined {
  if (status === 429) return { blockedForMs: retryAfterMs(headers) ?? TOO_MANY_PAUSE_MS, reason: 'concurrency' };
  if (status === 403 && !isProblem) {
    return { blockedForMs: retryAfterMs(headers) ?? THROTTLED_PAUSE_MS, reason: 'rate' };
  }
  const afterMs = status === 503 ? retryAfterMs(headers) : undefined;
  return afterMs === undefined ? undefined : { blockedForMs: afterMs };
}
