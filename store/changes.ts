/** Which changes a delivery carries: for traces, and read only while somebody records them. */
import { caseKey, consentKey, contactKey, runKey } from '../domain/change-key.ts';
import type { ContactId } from '../domain/contact.ts';
import { rows } from './db.ts';
import type { Db } from './db.ts';

export interface Carried {
  contactId: ContactId;
  /** As `domain/change-key.ts` makes them. */
  key: string;
  /** Through which door it came; null for a run, which the door of its contacts' changes says nothing of. */
  door: string | null;
  /** Milliseconds since the change was written. */
  agoMs: number;
}

/** How far a contact was loaded: what was written since is another delivery's. */
export interface Held {
  contactId: ContactId;
  version: number;
  /** Id of the last consent event; 0 where there is none. */
  lastEvent: number;
}

/** Of each kind and contact; ten edits become one call, and each of them is told of. */
const AT_MOST = 10;

/**
 * Everything that was written since a delivery became due: versions, consents, the erasure that is under way, and runs that marked it. A mark is
 * made by the statement of the change itself, so a version of that moment is one of its reasons; five seconds are for large statements.
 */
export async function carriedBy(db: Db, system: string, held: readonly Held[]): Promise<Carried[]> {
  const found = await rows<{ contact: ContactId; kind: string; id: string; door: string | null; agoMs: number }>(
    db,
    `with due as materialized (
       select contact_id as contact, due_since - interval '5 seconds' as since, held.version, held.event from deliveries
       join unnest(?::uuid[], ?::integer[], ?::bigint[]) as held (contact, version, event) on contact_id = held.contact where system = ?)
     select contact, kind, id, door, greatest(0, extract(epoch from clock_timestamp() - at) * 1000)::double precision as "agoMs" from (
       select contact, 'contact' as kind, v.version::text as id, v.door, v.at from due cross join lateral (
         select version, door, at from contact_versions where contact_id = contact and at >= since and version <= due.version order by version desc limit ?) v
       union all
       select contact, 'consent', e.id::text, e.door, e.recorded_at from due cross join lateral (
         select id, door, recorded_at from consent_events where contact_id = contact and recorded_at >= since and id <= due.event order by id desc limit ?) e
       union all
       select contact, 'case', c.id::text, case when c.requested_by like 'key:%' then 'api' end, c.requested_at
       from due join cases c on c.contact_id = contact and c.kind = 'erasure' and c.closed_at is null and c.state = 'erasing'
       union all
       select distinct contact, 'run', r.id::text, null, r.started_at
       from due join drifts d on d.contact_id = contact and d.system = ? join runs r on r.id = d.run_id and r.ended_at is null
       union all
       select distinct contact, 'run', r.id::text, null, r.started_at
       from runs r join run_items i on i.run_id = r.id join due on contact = i.contact_id
       where r.kind = 'retention' and r.ended_at is null) one`,
    [
      held.map((h) => h.contactId),
      held.map((h) => h.version),
      held.map((h) => h.lastEvent),
      system,
      AT_MOST,
      AT_MOST,
      system,
    ],
  );
  return found.map(({ contact, kind, id, door, agoMs }) => ({
    contactId: contact,
    key: keyOf(kind, contact, id),
    door,
    agoMs,
  }));
}

function keyOf(kind: string, contact: ContactId, id: string): string {
  switch (kind) {
    case 'contact':
      return contactKey(contact, Number(id));
    case 'consent':
      return consentKey(contact, Number(id));
    case 'case':
      return caseKey(id);
    default:
      return runKey(id);
  }
}

/** The versions in force. */
export async function versionsOf(
  db: Db,
  ids: readonly ContactId[],
): Promise<{ contactId: ContactId; version: number }[]> {
  return rows(db, 'select id as "contactId", version from contacts where id = any (?::uuid[])', [ids]);
}
