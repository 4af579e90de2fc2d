/**
 * Raising `wanted` for reasons other than a change of the contact itself. Never waits for a row that a writer holds: what is
 * locked now is marked by the next round.
 */
import type { ContactId } from '../domain/contact.ts';
import { NEEDS_PERSON } from './delivery-views.ts';
import { oneRow, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

export interface MarkOptions {
  priority: number;
  /** What is there must be read again even if nothing changed. */
  distrust?: boolean;
  /** Because of an earlier look: no later readings follow where it finds nobody. */
  rereading?: boolean;
}

/** Marks some contacts of one system. @returns those marked; the others are locked by a writer or unknown */
export async function markContacts(
  db: Db | Tx,
  system: string,
  ids: ContactId[],
  options: MarkOptions,
): Promise<ContactId[]> {
  const marked = await rows<{ contact_id: ContactId }>(
    db,
    `update deliveries d set wanted = wanted + 1, not_before = null,
       distrust = distrust or ?, rereading = rereading or ?, mismatches = 0,
       priority = case when wanted > settled then least(priority, ?) else ? end,
       due_since = case when wanted > settled then due_since else clock_timestamp() end
     where system = ? and contact_id in (
       select contact_id from deliveries where system = ? and contact_id = any (?::uuid[])
       order by contact_id for no key update skip locked)
     returning contact_id`,
    [options.distrust ?? false, options.rereading ?? false, options.priority, options.priority, system, system, ids],
  );
  if (marked.length > 0) await rows(db, `select pg_notify('plumbline_due', ?)`, [system]);
  return marked.map((m) => m.contact_id);
}

/** Contacts to look at again because another holder of their address changed. @returns how many were taken up */
export async function takeRemarks(db: Db): Promise<number> {
  if ((await rows(db, 'select 1 from remarks limit 1')).length === 0) return 0;
  return db.transaction(async (tx) => {
    const taken = await rows<{ id: number; contact_id: ContactId; urgent: boolean }>(
      tx,
      'select id, contact_id, urgent from remarks order by id limit 1000 for update skip locked',
    );
    if (taken.length === 0) return 0;
    const systems = await rows<{ name: string }>(tx, 'select name from systems where not removed');
    const missed = new Set<ContactId>();
    for (const { name } of systems) {
      for (const urgent of [true, false]) {
        const ids = [...new Set(taken.filter((t) => t.urgent === urgent).map((t) => t.contact_id))];
        if (ids.length === 0) continue;
        const marked = new Set(await markContacts(tx, name, ids, { priority: urgent ? 0 : 20 }));
        for (const id of ids) if (!marked.has(id)) missed.add(id);
      }
    }
    const done = taken.filter((t) => !missed.has(t.contact_id)).map((t) => t.id);
    await rows(tx, 'delete from remarks where id = any (?::bigint[])', [done]);
    return done.length;
  });
}

/** Marks the contacts whose later reading is due: after an attempt of unknown outcome, or one whose effect was not shown. @returns how many */
export async function takeRechecks(db: Db, system: string): Promise<number> {
  return db.transaction(async (tx) => {
    const due = await rows<{ contact_id: ContactId; due_at: string }>(
      tx,
      `select contact_id, due_at from rechecks where system = ? and due_at <= clock_timestamp()
       order by due_at limit 1000 for update skip locked`,
      [system],
    );
    if (due.length === 0) return 0;
    const marked = await markContacts(tx, system, [...new Set(due.map((d) => d.contact_id))], {
      priority: 20,
      distrust: true,
      rereading: true,
    });
    await rows(
      tx,
      'delete from rechecks where system = ? and due_at <= clock_timestamp() and contact_id = any (?::uuid[])',
      [system, marked],
    );
    return marked.length;
  });
}

/**
 * After a restore the ledger is as old as the backup: what it believes to be there is read before it is relied on. Rows that a
 * writer holds are due anyway when the writer commits; they are tried again, not waited for.
 */
export async function distrustAll(db: Db, system: string): Promise<number> {
  let distrusted = 0;
  for (let empty = 0; empty < 5;) {
    const { n } = await oneRow<{ n: number }>(
      db,
      `with chosen as (
         select contact_id from deliveries where system = ? and not distrust
         limit 2000 for no key update skip locked),
       changed as (
         update deliveries d set distrust = true from chosen where d.system = ? and d.contact_id = chosen.contact_id returning 1)
       select count(*)::integer as n from changed`,
      [system, system],
    );
    distrusted += n;
    if (n === 0) empty += 1;
  }
  return distrusted;
}

/** Pairs of contact and system that have no ledger row yet (a new system, a disabled trigger). @returns how many were added */
export async function addMissingPairs(db: Db, limit = 5000): Promise<number> {
  const { added } = await oneRow<{ added: number }>(
    db,
    `with missing as (
       select c.id, s.name from systems s cross join contacts c
       where not s.removed and not exists (select 1 from deliveries d where d.contact_id = c.id and d.system = s.name)
       limit ?),
     made as (
       insert into deliveries (contact_id, system, priority) select id, name, 30 from missing order by id, name
       on conflict do nothing returning 1)
     select count(*)::integer as added from made`,
    [limit],
  );
  return added;
}

/** Deliveries whose lawful reason to keep is to be looked at again today (GDPR Art. 17(3)). @returns how many were marked */
export async function takeReviews(db: Db, system: string): Promise<number> {
  const due = await rows<{ contact_id: ContactId }>(
    db,
    `select contact_id from deliveries where system = ? and review_on <= current_date and wanted = settled limit 1000`,
    [system],
  );
  if (due.length === 0) return 0;
  const marked = await markContacts(
    db,
    system,
    due.map((d) => d.contact_id),
    { priority: 30, distrust: true },
  );
  return marked.length;
}

/** What an operator asks to be tried again: one contact, one system or all with an open problem. @returns how many were marked */
export async function retryDeliveries(db: Db, asked: { system?: string; contactId?: ContactId }): Promise<number> {
  const targets = await rows<{ contact_id: ContactId; system: string }>(
    db,
    `select contact_id, system from deliveries
     where (?::text is null or system = ?) and (?::uuid is null or contact_id = ?)
       and (?::uuid is not null or wanted > settled
            or data_outcome in ${NEEDS_PERSON}
            or consent_outcome in ${NEEDS_PERSON})`,
    [
      asked.system ?? null,
      asked.system ?? null,
      asked.contactId ?? null,
      asked.contactId ?? null,
      asked.contactId ?? null,
    ],
  );
  let marked = 0;
  for (const system of new Set(targets.map((t) => t.system))) {
    const ids = targets.filter((t) => t.system === system).map((t) => t.contact_id);
    for (let at = 0; at < ids.length; at += 1000) {
      const done = await markContacts(db, system, ids.slice(at, at + 1000), { priority: 20, distrust: true });
      marked += done.length;
    }
  }
  return marked;
}
