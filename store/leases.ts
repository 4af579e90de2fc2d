/**
 * One fenced lease a lane. Whoever drains a system holds it; an outcome is recorded only under the token that still holds, so a
 * late answer of an attempt that lost its claim records nothing.
 */
import { row, rows, sqlState } from './db.ts';
import type { Db } from './db.ts';

/** Takes the lease when it is free or has run out. @returns the token, or how long somebody else still has it */
export async function takeLease(
  db: Db,
  system: string,
  owner: string,
  leaseMs: number,
): Promise<{ token: number } | { heldForMs: number }> {
  await rows(db, 'insert into leases (system) values (?) on conflict do nothing', [system]);
  const taken = await row<{ token: number }>(
    db,
    `update leases set token = token + 1, owner = ?, until = clock_timestamp() + ? * interval '1 millisecond'
     where system = ? and (until is null or until <= clock_timestamp()) returning token`,
    [owner, leaseMs, system],
  );
  if (taken !== undefined) return taken;
  const held = await row<{ ms: number }>(
    db,
    `select greatest(0, ceil(extract(epoch from until - clock_timestamp()) * 1000))::integer as ms from leases where system = ?`,
    [system],
  );
  return { heldForMs: held?.ms ?? 0 };
}

/** Prolongs the lease. @returns false when somebody else has taken it over */
export async function renewLease(db: Db, system: string, token: number, leaseMs: number): Promise<boolean> {
  const renewed = await row(
    db,
    `update leases set until = clock_timestamp() + ? * interval '1 millisecond' where system = ? and token = ? returning 1`,
    [leaseMs, system, token],
  );
  return renewed !== undefined;
}

/** Gives the lease back so that the next drain need not wait. */
export async function releaseLease(db: Db, system: string, token: number): Promise<void> {
  await rows(db, 'update leases set until = null, owner = null where system = ? and token = ?', [system, token]);
}

/** True while some process drains the system. */
export async function isDrained(db: Db, system: string): Promise<boolean> {
  const held = await row(db, 'select 1 from leases where system = ? and until > clock_timestamp()', [system]);
  return held !== undefined;
}

/** Thrown where a token no longer holds: what was to be recorded is dropped, the next drain looks again. */
export class LeaseLost extends Error {
  constructor(system: string) {
    super(`the lease of ${system} is held by a later drain`);
    this.name = 'LeaseLost';
  }
}

/** SQLSTATE of `hold_lease` where the token holds no longer. */
const LEASE_LOST = 'PL001';

/** What to throw for an error of a statement that runs under a lease. */
export function leaseLostOr(error: unknown, system: string): unknown {
  return sqlState(error) === LEASE_LOST ? new LeaseLost(system) : error;
}
