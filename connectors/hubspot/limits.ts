/**
 * HubSpot's limits of a privately distributed app on Professional (developers.hubspot.com, "API usage guidelines", 2026-11): 190 calls in
 * any ten seconds, 650,000 a day. Headers tell what is left on most answers; a 429 names its policy and promises no Retry-After.
 */
import type { LimitReading } from '../kit/connector.ts';
import type { AccountLimits } from '../kit/module.ts';

export const limits: AccountLimits = { calls: 190, windowMs: 10_000, perDay: 650_000, concurrency: 8 };

/** Inputs of one batch call. */
export const BATCH = 100;

const WINDOW_MS = 10_000;
const SECOND_MS = 1_000;
/** The day's end is the account's midnight; asking once in a while is cheap. */
const DAY_PAUSE_MS = 900_000;

export type Headers = Readonly<Record<string, unknown>>;

function number(headers: Headers, name: string): number | undefined {
  const value = Number(headers[name]);
  return headers[name] === undefined || Number.isNaN(value) ? undefined : value;
}

function policyOf(body: unknown): unknown {
  return typeof body === 'object' && body !== null ? (body as { policyName?: unknown }).policyName : undefined;
}

/** Milliseconds to wait after a 429: Retry-After where there is one, else by the policy that was hit. */
export function pauseMs(headers: Headers, body: unknown): number {
  const seconds = number(headers, 'retry-after');
  if (seconds !== undefined) return seconds * SECOND_MS;
  const policy = policyOf(body);
  if (policy === 'DAILY') return DAY_PAUSE_MS;
  if (policy === 'SECONDLY') return SECOND_MS;
  // The window rolls: a part of it is free again soon.
  return WINDOW_MS / 5;
}

/** What an answer says of the account's limits. */
export function limitReading(status: number, headers: Headers, body: unknown): LimitReading {
  const remaining = number(headers, 'x-hubspot-ratelimit-remaining');
  const dayRemaining = number(headers, 'x-hubspot-ratelimit-daily-remaining');
  return {
    ...(remaining === undefined ? {} : { remaining, windowMs: WINDOW_MS }),
    ...(dayRemaining === undefined ? {} : { dayRemaining }),
    ...(status === 429
      ? { blockedForMs: pauseMs(headers, body), reason: policyOf(body) === 'DAILY' ? 'day' : 'rate' }
      : {}),
  };
}
