/**
 * Causes: deliveries that need a person, grouped by what is wrong. A cause is derived from the ledger (its contacts are those whose last
 * outcome says so), so losing the row or its workflow loses nothing. It closes when no delivery says so any more.
 */
import type { ContactId } from '../domain/contact.ts';
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';
import { NEEDS_PERSON } from './delivery-views.ts';
import { markContacts } from './marks.ts';

export type CauseAction = 'retry' | 'skip' | 'hand_over';

export interface Cause {
  id: string;
  system: string;
  part: 'data' | 'consent';
  /** Kind of outcome: `rejected`, `refused`, `ambiguous` … */
  kind: string;
  code: string | null;
  /** The vendor's property, where it named one. */
  field: string | null;
  /** Deliveries that it stops now. */
  contacts: number;
  openedAt: string;
  assignedTo: string | null;
  action: CauseAction | null;
  reason: string | null;
  actedBy: string | null;
  actedAt: string | null;
  closedAt: string | null;
  resolution: 'converged' | 'skipped' | null;
}

const COLUMNS = `id, system, part, kind, nullif(code, '') as code, nullif(field, '') as field, contacts, opened_at as "openedAt",
  assigned_to as "assignedTo", action, reason, acted_by as "actedBy", acted_at as "actedAt", closed_at as "closedAt", resolution`;

/** What stops a delivery: its data first, as a consent that fails too has mostly the same cause. */
const STOPPED = `
  select d.system, d.contact_id,
    case when d.data_outcome in ${NEEDS_PERSON} then 'data' else 'consent' end as part,
    case when d.data_outcome in ${NEEDS_PERSON} then d.data_outcome else d.consent_outcome end as kind,
    coalesce(case when d.data_outcome in ${NEEDS_PERSON} then d.data_code else d.consent_code end, '') as code,
    coalesce(case when d.data_outcome in ${NEEDS_PERSON} then d.data_field end, '') as field
  from deliveries d join systems s on s.name = d.system and not s.removed
  where (d.data_outcome in ${NEEDS_PERSON} or d.consent_outcome in ${NEEDS_PERSON})`;

const SYNC_LOCK = 7_235_005;

/**
 * Brings the open causes to what the ledger says, in one set-based look. Only one process does it at a time; others return at once.
 * @returns ids of causes that were opened, changed in number, or closed
 */
export async function syncCauses(db: Db): Promise<{ id: string; closed: boolean }[]> {
  return db.transaction(async (tx) => {
    const { free } = await oneRow<{ free: boolean }>(tx, 'select pg_try_advisory_xact_lock(?) as free', [SYNC_LOCK]);
    if (!free) return [];
    return rows<{ id: string; closed: boolean }>(
      tx,
      `with now as (select system, part, kind, code, field, count(*)::integer as n from (${STOPPED}) x group by 1, 2, 3, 4, 5),
       opened as (
         insert into causes (system, part, kind, code, field, contacts)
         select system, part, kind, code, field, n from now
         where not exists (select 1 from causes c where c.closed_at is null
           and (c.system, c.part, c.kind, c.code, c.field) = (now.system, now.part, now.kind, now.code, now.field))
         returning id),
       counted as (
         update causes c set contacts = now.n from now where c.closed_at is null and c.contacts <> now.n
           and (c.system, c.part, c.kind, c.code, c.field) = (now.system, now.part, now.kind, now.code, now.field)
         returning c.id),
       ended as (
         update causes c set contacts = 0, closed_at = clock_timestamp(),
           resolution = case when c.action = 'skip' then 'skipped' else 'converged' end
         where c.closed_at is null and not exists (select 1 from now
           where (c.system, c.part, c.kind, c.code, c.field) = (now.system, now.part, now.kind, now.code, now.field))
         returning c.id, c.system, c.resolution),
       told as (
         insert into audit (kind, actor, door, system, detail)
         select 'cause.closed', 'keeper', 'engine', system, jsonb_build_object('cause', id, 'resolution', resolution) from ended)
       select id, false as closed from opened union all select id, false from counted union all select id, true from ended`,
    );
  });
}

export async function getCause(db: Db | Tx, id: string): Promise<Cause | undefined> {
  return row<Cause>(db, `select ${COLUMNS} from causes where id = ?`, [id]);
}

/** Open ones, those that stop most first; or those closed last. */
export async function listCauses(
  db: Db,
  { closed = false, system, limit = 100 }: { closed?: boolean; system?: string; limit?: number } = {},
): Promise<Cause[]> {
  return rows<Cause>(
    db,
    `select ${COLUMNS} from causes where (closed_at is not null) = ? and (?::text is null or system = ?)
     order by ${closed ? 'closed_at desc' : 'contacts desc, opened_at'} limit ?`,
    [closed, system ?? null, system ?? null, limit],
  );
}

/** Contacts that an open cause stops, in the order of their ids. */
export async function contactsOfCause(
  db: Db,
  cause: Cause,
  after: ContactId | null,
  limit: number,
): Promise<ContactId[]> {
  const found = await rows<{ id: ContactId }>(
    db,
    `select contact_id as id from (${STOPPED} and d.system = ? and (?::uuid is null or d.contact_id > ?::uuid)) x
     where part = ? and kind = ? and code = ? and field = ? order by contact_id limit ?`,
    [cause.system, after, after, cause.part, cause.kind, cause.code ?? '', cause.field ?? '', limit],
  );
  return found.map((f) => f.id);
}

/** Notes what a person did about a cause, with its audit entry. @returns false where it is closed already */
export async function noteAction(
  db: Db,
  id: string,
  what: { action: CauseAction; reason: string | null; to: string | null; by: string },
): Promise<boolean> {
  const noted = await row(
    db,
    `with noted as (
       update causes set action = ?, reason = ?, assigned_to = coalesce(?, assigned_to), acted_by = ?, acted_at = clock_timestamp()
       where id = ? and closed_at is null returning id, system)
     insert into audit (kind, actor, door, system, detail)
     select 'cause.' || ?, ?, 'operator', system, jsonb_strip_nulls(jsonb_build_object('cause', id, 'reason', ?::text, 'to', ?::text)) from noted
     returning 1`,
    [what.action, what.reason, what.to, what.by, id, what.action, what.by, what.reason, what.to],
  );
  return noted !== undefined;
}

/** Makes deliveries due again. @returns the contacts marked; the others are held by a writer */
export async function retryOf(db: Db, cause: Cause, ids: ContactId[]): Promise<ContactId[]> {
  return markContacts(db, cause.system, ids, { priority: 20, distrust: true });
}

/**
 * Accepts deliveries as they are until their contact changes: they are `skipped`, which is not done. Contacts that are being erased or purged
 * are never skipped, and what is due now is tried first.
 * @returns the contacts skipped
 */
export async function skipOf(db: Db, cause: Cause, ids: ContactId[], by: string, reason: string): Promise<ContactId[]> {
  const column = cause.part === 'data' ? 'data_outcome' : 'consent_outcome';
  const skipped = await rows<{ id: ContactId }>(
    db,
    `with chosen as (
       select d.contact_id from deliveries d join contacts c on c.id = d.contact_id and c.state = 'active'
       where d.system = ? and d.contact_id = any (?::uuid[]) and d.wanted = d.settled
       order by d.contact_id for no key update of d skip locked),
     skipped as (
       update deliveries d set ${column} = 'skipped' from chosen where d.system = ? and d.contact_id = chosen.contact_id
       returning d.contact_id),
     told as (
       insert into audit (kind, actor, door, contact_id, system, detail)
       select 'delivery.skipped', ?, 'operator', contact_id, ?, jsonb_build_object('cause', ?::text, 'reason', ?::text) from skipped)
     select contact_id as id from skipped`,
    [cause.system, ids, cause.system, by, cause.system, cause.id, reason],
  );
  return skipped.map(({ id }) => id);
}
