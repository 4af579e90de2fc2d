/** What is due, and which calls are open. A claim is a plain read: no lease is written per row, the lane has one for all. */
import type { ContactId } from '../domain/contact.ts';
import { leaseLostOr } from './leases.ts';
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

export interface Due {
  contactId: ContactId;
  wanted: number;
  priority: number;
  /** Milliseconds that it had been due when it was claimed. */
  waitedMs: number;
}

/** Priorities up to this one are urgent: withdrawals and erasures. */
export const URGENT_UP_TO = 10;
/** Priorities up to this one are live: single changes. Above is bulk. */
export const LIVE_UP_TO = 20;

export type DueClass = 'urgent' | 'live' | 'bulk';

export function classOf({ priority }: Pick<Due, 'priority'>): DueClass {
  if (priority <= URGENT_UP_TO) return 'urgent';
  return priority <= LIVE_UP_TO ? 'live' : 'bulk';
}

/** How many of the most urgent are asked for, and how many of the rest; each includes those that the caller has in flight. */
export interface ClaimLimits {
  /** Priorities up to this one count as urgent. */
  upTo: number;
  urgent: number;
  rest: number;
}

/** The next due deliveries of a system, most urgent and oldest first. */
export async function claimDue(db: Db, system: string, limits: ClaimLimits): Promise<Due[]> {
  const due = `select contact_id as "contactId", wanted, priority,
       greatest(0, extract(epoch from clock_timestamp() - due_since) * 1000)::double precision as "waitedMs" from deliveries
     where system = ? and wanted > settled and (not_before is null or not_before <= clock_timestamp())`;
  return rows<Due>(
    db,
    `(${due} and priority <= ? order by priority, due_since limit ?)
     union all (${due} and priority > ? order by priority, due_since limit ?)`,
    [system, limits.upTo, limits.urgent, system, limits.upTo, limits.rest],
  );
}

/** Milliseconds until a delivery that waits for its time becomes due; null when none waits. */
export async function nextDueInMs(db: Db, system: string): Promise<number | null> {
  const { ms } = await oneRow<{ ms: number | null }>(
    db,
    // 'greatest' leaves nulls out: without the case, nothing that waits would read as 'now'.
    `select case when count(*) = 0 then null
       else greatest(0, ceil(extract(epoch from min(coalesce(not_before, clock_timestamp())) - clock_timestamp()) * 1000))::integer end as ms
     from deliveries where system = ? and wanted > settled`,
    [system],
  );
  return ms;
}

/** Writes down, before a call, which contacts it is for: after a crash these are the calls of unknown outcome. */
export async function openCall(db: Db, id: string, system: string, token: number, ids: ContactId[]): Promise<void> {
  try {
    await rows(db, 'select open_call(?, ?, ?, ?::uuid[])', [id, system, token, ids]);
  } catch (error) {
    throw leaseLostOr(error, system);
  }
}

/** Minutes after which a record is read again when the vendor may still apply an attempt, or show it. */
export const RECHECK_MINUTES = [2, 5, 15] as const;

/** Notes the later readings of contacts whose calls were taken over. */
export async function planRechecks(tx: Db | Tx, system: string, ids: ContactId[]): Promise<void> {
  await rows(
    tx,
    `insert into rechecks (contact_id, system, due_at)
     select c, ?, clock_timestamp() + m * interval '1 minute' from unnest(?::uuid[]) c cross join unnest(?::integer[]) m
     on conflict do nothing`,
    [system, ids, [...RECHECK_MINUTES]],
  );
}

/**
 * Turns the open calls of earlier tokens into work: each of their contacts is looked at before it is written again.
 * Rows that a writer holds are skipped and stay open.
 * @returns how many calls were taken over, and the contacts that must not be claimed yet
 */
export async function takeOverCalls(
  db: Db,
  system: string,
  token: number,
): Promise<{ calls: number; contacts: number; blocked: ContactId[] }> {
  const open = await rows<{ id: string; contact_ids: ContactId[] }>(
    db,
    'select id, contact_ids from calls where system = ? and token < ? order by started_at limit 1000',
    [system, token],
  );
  const blocked: ContactId[] = [];
  let contacts = 0;
  for (const call of open) {
    await db.transaction(async (tx) => {
      const marked = await rows<{ contact_id: ContactId }>(
        tx,
        `update deliveries d set look_first = true, distrust = true, wanted = wanted + 1, not_before = null,
           due_since = case when wanted > settled then due_since else clock_timestamp() end
         where (contact_id, system) in (
           select contact_id, system from deliveries where contact_id = any (?::uuid[]) and system = ?
           order by contact_id for no key update skip locked)
         returning contact_id`,
        [call.contact_ids, system],
      );
      const done = new Set(marked.map((m) => m.contact_id));
      const left = call.contact_ids.filter((id) => !done.has(id));
      await planRechecks(tx, system, [...done]);
      contacts += done.size;
      blocked.push(...left);
      if (left.length === 0) await rows(tx, 'delete from calls where id = ?', [call.id]);
      else await rows(tx, 'update calls set contact_ids = ?::uuid[] where id = ?', [left, call.id]);
      await rows(
        tx,
        `insert into audit (kind, actor, door, system, detail) values ('call.taken_over', 'lane', 'engine', ?, ?)`,
        [system, JSON.stringify({ contacts: done.size, left: left.length })],
      );
    });
  }
  return { calls: open.length, contacts, blocked };
}

/** The highest audit sequence the database has given out: a lower one than a lane has seen means a restored backup. */
export async function ledgerSequence(db: Db): Promise<number> {
  const found = await row<{ last: number }>(
    db,
    `select case when is_called then last_value else 0 end as last from audit_id_seq`,
  );
  return found?.last ?? 0;
}
