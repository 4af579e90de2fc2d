/** The budget of a vendor account: rate, day and concurrency, across processes. If it cannot be read, no call is made. */
import type { CallClass } from '../domain/call-class.ts';
import { oneRow, rows } from './db.ts';
import type { Db } from './db.ts';

export interface AccountLimits {
  calls?: number;
  windowMs?: number;
  perDay?: number;
  concurrency: number;
}

/** Share of a window's calls that may go at once; the rest is spread evenly, so that what is urgent never waits long for the next one. */
const BURST_SHARE = 0.05;
/** So that two can be kept for what is urgent. */
const LEAST_BURST = 3;

/**
 * Writes the limits of an account. A bucket spreads the calls, and those of the last window are counted: each until a window after its end,
 * when the vendor has forgotten it whenever it arrived. The count alone holds the limit, since calls that were granted evenly may be made late and
 * arrive together; a crash of PostgreSQL forgets it for a window, in which the bucket lets a few calls too many pass at most.
 */
export async function syncBudget(db: Db, account: string, limits: AccountLimits): Promise<void> {
  const { calls, windowMs } = limits;
  const limited = calls !== undefined && windowMs !== undefined;
  const burst = limited ? Math.min(calls, Math.max(LEAST_BURST, Math.floor(calls * BURST_SHARE))) : 1;
  const perMs = limited ? calls / windowMs : null;
  await rows(
    db,
    `insert into budgets (account, per_ms, burst, tokens, per_day, concurrency, window_calls, window_ms) values (?, ?, ?, 0, ?, ?, ?, ?)
     on conflict (account) do update set per_ms = excluded.per_ms, burst = excluded.burst, per_day = excluded.per_day,
       concurrency = excluded.concurrency, tokens = least(budgets.tokens, excluded.burst),
       window_calls = excluded.window_calls, window_ms = excluded.window_ms
     where (budgets.per_ms, budgets.burst, budgets.per_day, budgets.concurrency, budgets.window_calls, budgets.window_ms) is distinct from
       (excluded.per_ms, excluded.burst, excluded.per_day, excluded.concurrency, excluded.window_calls, excluded.window_ms)`,
    [
      account,
      perMs,
      burst,
      limits.perDay ?? null,
      limits.concurrency,
      limited ? calls : null,
      limited ? windowMs : null,
    ],
  );
}

/** Asks for one call and gives back the connections of `ended` ones. 0: granted. Else milliseconds after which to ask again. */
export async function takeCall(
  db: Db,
  account: string,
  callClass: CallClass,
  slot: string,
  slotMs: number,
  ended: readonly string[] = [],
): Promise<number> {
  const { wait } = await oneRow<{ wait: number }>(db, 'select take_call(?, ?, ?, ?, ?::uuid[]) as wait', [
    account,
    callClass,
    slot,
    slotMs,
    ended,
  ]);
  return wait;
}

/** Gives back the connections of calls that have ended. */
export async function endCalls(db: Db, slots: readonly string[]): Promise<void> {
  await rows(db, 'select end_calls(?::uuid[])', [slots]);
}

/** Gives back a call that was never made, connection and token. */
export async function refundCall(db: Db, account: string, slot: string): Promise<void> {
  await rows(db, 'delete from budget_slots where id = ?', [slot]);
  await rows(
    db,
    `update budgets set tokens = least(burst, tokens + 1), day_used = greatest(0, day_used - 1) where account = ? and per_ms is not null`,
    [account],
  );
}

/** What the vendor's headers said of its limits. The stricter of its figures and ours stands. */
export async function observeLimits(
  db: Db,
  account: string,
  reading: { remaining?: number; dayRemaining?: number; blockedForMs?: number; reason?: string },
): Promise<void> {
  await rows(
    db,
    `update budgets set
       tokens = case when ?::integer is null then tokens else least(tokens, ?::integer) end,
       day_used = case when ?::integer is null or per_day is null then day_used else greatest(day_used, per_day - ?::integer) end,
       blocked_until = case when ?::integer is null then blocked_until
         else greatest(blocked_until, clock_timestamp() + ?::integer * interval '1 millisecond') end,
       blocked_reason = coalesce(?, blocked_reason)
     where account = ?`,
    [
      reading.remaining ?? null,
      reading.remaining ?? null,
      reading.dayRemaining ?? null,
      reading.dayRemaining ?? null,
      reading.blockedForMs ?? null,
      reading.blockedForMs ?? null,
      reading.reason ?? null,
      account,
    ],
  );
}
