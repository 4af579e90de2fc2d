/**
 * Xero's limits of one tenant and what its answers say of them (developer.xero.com, "OAuth 2.0 API limits", 2026-11). The
 * smallest tier has had 1,000 calls a day since 2026: lower `perDay` in the configuration there.
 */
import type { LimitReading } from '../kit/connector.ts';
import type { AccountLimits } from '../kit/module.ts';

const MINUTE_MS = 60_000;

export const limits: AccountLimits = { calls: 60, windowMs: MINUTE_MS, perDay: 5000, concurrency: 5 };

/** Contacts a write carries; the documented practical size. */
export const WRITE_BATCH = 50;
/** Ids a read carries: the query string ends at 2,048 characters, 404 above. */
export const IDS_BATCH = 50;
/** Characters of a `where`, percent-encoded, with room for the other parameters. */
export const WHERE_CHARS = 1800;
export const PAGE_SIZE = 1000;
/** `ContactNumber`, which carries our reference. */
export const NUMBER_LENGTH = 50;
export const NAME_LENGTH = 255;

export type Headers = Readonly<Record<string, unknown>>;

/** Milliseconds of Retry-After in whole seconds. */
export function retryAfterMs(headers: Headers): number | undefined {
  return wholeNumber(headers['retry-after'], 1000);
}

export function limitReading(status: number, headers: Headers): LimitReading | undefined {
  const remaining = wholeNumber(headers['x-minlimit-remaining'], 1);
  const dayRemaining = wholeNumber(headers['x-daylimit-remaining'], 1);
  const reading: LimitReading = {
    ...(remaining === undefined ? {} : { remaining, windowMs: MINUTE_MS }),
    ...(dayRemaining === undefined ? {} : { dayRemaining }),
  };
  if (status === 429 || status === 503) {
    const afterMs = retryAfterMs(headers);
    if (afterMs !== undefined) reading.blockedForMs = afterMs;
    if (status === 429) reading.reason = reasonOf(headers['x-rate-limit-problem']);
  }
  return Object.keys(reading).length === 0 ? undefined : reading;
}

function reasonOf(problem: unknown): 'rate' | 'day' | 'concurrency' {
  if (problem === 'day') return 'day';
  return problem === 'concurrent' ? 'concurrency' : 'rate';
}

function wholeNumber(value: unknown, factor: number): number | undefined {
  return typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) * factor : undefined;
}
