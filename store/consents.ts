/** Consent events: append-only evidence (GDPR Art. 7(1)). The state is always derived from them, never stored. */
import type { ConsentEvent } from '../domain/consent.ts';
import type { ContactId } from '../domain/contact.ts';
import { oneRow, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

export interface NewConsentEvent {
  contactId: ContactId;
  purpose: string;
  kind: ConsentEvent['kind'];
  /** When the person did it, ISO 8601; null when nobody knows. */
  happenedAt: string | null;
  channel: string | null;
  /** Id of the wording shown. */
  statement: string | null;
  /** Free text; kept apart, emptied at erasure. */
  evidence?: string | null;
  /** True only for an act of the person, proven by the door that took it. */
  byPerson: boolean;
}

interface EventRow {
  id: number;
  contact_id: ContactId;
  purpose: string;
  kind: ConsentEvent['kind'];
  happened_at: string | null;
  recorded_at: string;
  channel: string | null;
  statement: string | null;
  recorded_by: string;
  door: ConsentEvent['door'];
  by_person: boolean;
}

function toEvent(found: EventRow): ConsentEvent {
  return {
    id: found.id,
    purpose: found.purpose,
    kind: found.kind,
    happenedAt: found.happened_at,
    recordedAt: found.recorded_at,
    channel: found.channel,
    statement: found.statement,
    recordedBy: found.recorded_by,
    door: found.door,
    byPerson: found.by_person,
  };
}

/**
 * Appends events in the writer's name (`asWriter` has set who and by which door). One statement for all.
 * @returns their ids, in order
 */
export async function recordConsents(tx: Tx, events: NewConsentEvent[]): Promise<number[]> {
  if (events.length === 0) return [];
  const withText = events.filter((e) => e.evidence !== undefined && e.evidence !== null && e.evidence !== '');
  const textIds = new Map<NewConsentEvent, string>();
  for (const event of withText) {
    const { id } = await oneRow<{ id: string }>(
      tx,
      'insert into free_texts (contact_id, text) values (?, ?) returning id',
      [event.contactId, event.evidence],
    );
    textIds.set(event, id);
  }
  const made = await rows<{ id: number }>(
    tx,
    `insert into consent_events (contact_id, purpose, kind, happened_at, channel, statement, evidence_text, by_person, recorded_by, door)
     select e.*, who_actor(), who_door() from unnest(?::uuid[], ?::text[], ?::text[], ?::timestamptz[], ?::text[], ?::text[], ?::uuid[], ?::boolean[])
       as e (contact_id, purpose, kind, happened_at, channel, statement, evidence_text, by_person)
     returning id`,
    [
      events.map((e) => e.contactId),
      events.map((e) => e.purpose),
      events.map((e) => e.kind),
      events.map((e) => e.happenedAt),
      events.map((e) => e.channel),
      events.map((e) => e.statement),
      events.map((e) => textIds.get(e) ?? null),
      events.map((e) => e.byPerson),
    ],
  );
  return made.map((e) => e.id);
}

/** All events of some contacts, in central sequence, by contact. */
export async function consentEventsOf(db: Db | Tx, ids: ContactId[]): Promise<Map<ContactId, ConsentEvent[]>> {
  const found = await rows<EventRow>(
    db,
    `select id, contact_id, purpose, kind, happened_at, recorded_at, channel, statement, recorded_by, door, by_person
     from consent_events where contact_id = any (?::uuid[]) order by id`,
    [ids],
  );
  const byContact = new Map<ContactId, ConsentEvent[]>();
  for (const event of found) {
    const list = byContact.get(event.contact_id);
    if (list === undefined) byContact.set(event.contact_id, [toEvent(event)]);
    else list.push(toEvent(event));
  }
  return byContact;
}

/** Ids of the statements that exist, for judging proof. */
export async function knownStatements(db: Db | Tx): Promise<Set<string>> {
  const found = await rows<{ id: string }>(db, 'select id from statements');
  return new Set(found.map((s) => s.id));
}
