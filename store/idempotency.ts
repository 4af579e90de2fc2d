/**
 * Receipts of the API's writes, by idempotency key. A receipt commits with the change it stands for. It has ids, versions and counts, so
 * an erasure has nothing to empty here: the answer is told anew from the record, and of an erased person there is nothing to tell.
 */
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

/** A request under a key, as keyed hashes of 32 bytes. */
export interface KeyedRequest {
  /** Of API key, route and idempotency key. */
  name: Buffer;
  /** Of what is asked. */
  request: Buffer;
}

export type Seen<R> =
  /** Not seen within the time that receipts are kept; the key is this transaction's until it ends. */
  | { kind: 'new' }
  /** Another transaction works under this key now. */
  | { kind: 'busy' }
  /** The key was used for something else. */
  | { kind: 'other' }
  | { kind: 'again'; receipt: R };

/**
 * Looks a key up, and holds it to the end of the transaction so that nobody else works under it.
 * @param asked the request under each key of the keyring: a receipt of before a rotation counts
 */
export async function seenBefore<R>(tx: Tx, asked: readonly KeyedRequest[], keepHours: number): Promise<Seen<R>> {
  const locks = asked.map(({ name }) => name.readBigInt64BE(0).toString());
  const { held } = await oneRow<{ held: boolean }>(
    tx,
    'select bool_and(pg_try_advisory_xact_lock(lock)) as held from unnest(?::bigint[]) as lock',
    [locks],
  );
  if (!held) return { kind: 'busy' };
  // A statement of its own: what the last holder committed is seen only by a look that begins after it.
  const found = await row<{ name: Buffer; request: Buffer; receipt: R }>(
    tx,
    `select name, request, receipt from idempotency_keys
     where name = any (?::bytea[]) and at > clock_timestamp() - ? * interval '1 hour'`,
    [asked.map(({ name }) => name), keepHours],
  );
  if (found === undefined) return { kind: 'new' };
  const same = asked.find(({ name }) => name.equals(found.name));
  return same?.request.equals(found.request) === true ? { kind: 'again', receipt: found.receipt } : { kind: 'other' };
}

/** Keeps what a change came to, under the key that this transaction holds. */
export async function keepReceipt(tx: Db | Tx, { name, request }: KeyedRequest, receipt: unknown): Promise<void> {
  await rows(
    tx,
    `insert into idempotency_keys (name, request, receipt) values (?, ?, ?)
     on conflict (name) do update set request = excluded.request, receipt = excluded.receipt, at = excluded.at`,
    [name, request, JSON.stringify(receipt)],
  );
}

/** Receipts deleted by one statement. */
const PRUNED_AT_ONCE = 5_000;

/** Deletes receipts that are older than they are kept. @returns how many; 0 when none is left */
export async function pruneReceipts(db: Db, keepHours: number, limit = PRUNED_AT_ONCE): Promise<number> {
  const { pruned } = await oneRow<{ pruned: number }>(
    db,
    `with old as (
       delete from idempotency_keys where name = any (array(
         select name from idempotency_keys where at <= clock_timestamp() - ? * interval '1 hour' order by at limit ?))
       returning 1)
     select count(*)::integer as pruned from old`,
    [keepHours, limit],
  );
  return pruned;
}
