/**
 * Many contacts at once: bulk doors and imports. A row finds its person by reference, else by address and name; a row that says nothing
 * new writes nothing. One transaction a batch, a handful of statements whatever its size.
 */
import { v7 as newId } from 'uuid';
import type { EvidenceFacts } from '../domain/consent.ts';
import { emptyContactData } from '../domain/contact.ts';
import type { ContactData, ContactId } from '../domain/contact.ts';
import { consentEventsOf, recordConsents } from './consents.ts';
import { COLUMN_OF, DATA_FIELDS, suppressedBy, suppressionHashes, toContact } from './contacts.ts';
import type { ContactRow, SuppressionHash } from './contacts.ts';
import { rows as queryRows, sqlState } from './db.ts';
import type { Tx } from './db.ts';
import { FirstSpeakers } from './first-speakers.ts';
import type { Keyring } from './keyring.ts';
import { planUpsert, withoutUndefined } from './upsert-plan.ts';
import type { Identified, Person, Plan, SpokenOf, UpsertResult, UpsertRow } from './upsert-plan.ts';

export type { UpsertResult, UpsertRow } from './upsert-plan.ts';

/** See `SpokenOf`. The caller notes `spokenOf` in `earlier` once the batch is committed. */
export interface UpsertRun {
  earlier: FirstSpeakers;
  spokenOf: SpokenOf;
  /** `hashesAhead` of the rows. */
  hashes?: HashesAhead;
  /** Told when all is planned and only writing is left; again at each retry. */
  onWriting?: () => void;
}

/** By what the hashes are made of: a person whom the plan changed is not found, and is hashed anew. */
type HashesAhead = ReadonlyMap<string, SuppressionHash[]>;

/** The hashes of the persons whom rows would make: half of what planning costs, and needs no database. */
export function hashesAhead(keyring: Keyring, batch: readonly UpsertRow[]): HashesAhead {
  const people = batch.map((row) => ({ ...emptyContactData(), ...withoutUndefined(row.data) }));
  return new Map(people.map((person) => [identityOf(person), suppressionHashes(keyring, person)]));
}

function identityOf(person: Identified): string {
  return JSON.stringify([person.emails, person.givenName, person.familyName, person.externalRef]);
}

/** Rows that one call takes at most. */
export const UPSERT_BATCH = 1_000;
const UPSERT_LOCK = 7_235_004;
const UNIQUE_VIOLATION = '23505';

/**
 * Writes a batch in the writer's name (`asWriter` has set who and by which door).
 *
 * Two bulk writers at once take turns, or both would make the same person. Contacts are locked in id order, as everywhere, so that no
 * writer of single contacts is ever killed for us. An imported consent is never the person's own act (`by_person` false).
 *
 * @param run for a run of several batches: of whom the earlier ones spoke, and a fresh map that is filled with whom this one does
 * @returns one result a row, in order
 * @throws RangeError for more than `UPSERT_BATCH` rows
 */
export async function upsertContacts(
  tx: Tx,
  keyring: Keyring,
  batch: readonly UpsertRow[],
  run: UpsertRun = { earlier: new FirstSpeakers(), spokenOf: new Map() },
): Promise<UpsertResult[]> {
  if (batch.length > UPSERT_BATCH) throw new RangeError(`at most ${UPSERT_BATCH} rows a batch`);
  if (batch.length === 0) return [];
  await queryRows(tx, 'select pg_advisory_xact_lock(?)', [UPSERT_LOCK]);
  for (let attempt = 1; ; attempt += 1) {
    try {
      // A savepoint: a single contact that took one of our references meanwhile is found when we look again.
      return await tx.transaction(async (savepoint) => {
        const known = await knownPeople(savepoint, batch, true);
        const plan = await planBatch(savepoint, keyring, known, batch, run.earlier, run.hashes);
        const written = write(savepoint, plan);
        run.onWriting?.();
        await written;
        for (const [id, ref] of plan.spokenOf) run.spokenOf.set(id, ref);
        return plan.results;
      });
    } catch (error) {
      if (sqlState(error) !== UNIQUE_VIOLATION || attempt >= 3) throw error;
    }
  }
}

/** Plans with the tombstones asked: again for those whose answer depends on an earlier answer, until none is left to ask. */
export async function planBatch(
  tx: Tx,
  keyring: Keyring,
  known: readonly Person[],
  batch: readonly UpsertRow[],
  earlier: UpsertRun['earlier'],
  hashes: HashesAhead = new Map(),
): Promise<Plan> {
  const answers = new Map<string, boolean>();
  for (;;) {
    const asked = new Map<string, Identified>();
    const plan = planUpsert(
      known,
      batch,
      (person) => {
        const key = identityOf(person);
        const answer = answers.get(key);
        if (answer === undefined) asked.set(key, person);
        return answer ?? false;
      },
      // In the order of time (RFC 9562): a million random ones would touch every page of every index again and again.
      newId,
      earlier,
    );
    if (asked.size === 0) return plan;
    const found = await suppressedBy(
      tx,
      [...asked].map(([identity, person]) => hashes.get(identity) ?? suppressionHashes(keyring, person)),
    );
    for (const [index, key] of [...asked.keys()].entries()) answers.set(key, (found[index]?.length ?? 0) > 0);
    // Nobody among them is suppressed: the plan stands as it was made.
    if (found.every((kinds) => kinds.length === 0)) return plan;
  }
}

/** Everybody with a reference, an alias or an address of the batch, oldest first. Erased contacts have none left. */
export async function knownPeople(tx: Tx, batch: readonly UpsertRow[], lock: boolean): Promise<Person[]> {
  const refs = [...new Set(batch.map((row) => row.identity.ref).filter((ref) => ref !== null))];
  const keys = [...new Set(batch.map((row) => row.identity.addressKey).filter((key) => key !== null))];
  const found = await queryRows<ContactRow>(
    tx,
    `select * from contacts where state <> 'erased' and id in (
       select id from contacts where external_ref = any (?::text[])
       union all select contact_id from contact_aliases where ref = any (?::text[])
       union all select contact_id from contact_addresses where norm = any (?::text[]))
     order by id ${lock ? 'for no key update' : ''}`,
    [refs, refs, keys],
  );
  const contacts = found.map(toContact).toSorted((a, b) => a.seq - b.seq);
  const ids = contacts.map((contact) => contact.id);
  const evidence = ids.length === 0 ? new Map<ContactId, EvidenceFacts[]>() : await consentEventsOf(tx, ids);
  const aliases = await aliasesOf(tx, ids);
  return contacts.map((contact) => ({
    id: contact.id,
    data: dataOf(contact),
    aliases: aliases.get(contact.id) ?? [],
    evidence: evidence.get(contact.id) ?? [],
  }));
}

async function aliasesOf(tx: Tx, ids: readonly ContactId[]): Promise<Map<ContactId, string[]>> {
  const byContact = new Map<ContactId, string[]>();
  if (ids.length === 0) return byContact;
  const found = await queryRows<{ ref: string; contact_id: ContactId }>(
    tx,
    'select ref, contact_id from contact_aliases where contact_id = any (?::uuid[])',
    [ids],
  );
  for (const { ref, contact_id } of found) {
    const list = byContact.get(contact_id);
    if (list === undefined) byContact.set(contact_id, [ref]);
    else list.push(ref);
  }
  return byContact;
}

function dataOf(contact: ContactData): ContactData {
  return Object.fromEntries(DATA_FIELDS.map((field) => [field, contact[field]])) as unknown as ContactData;
}

const COLUMNS = DATA_FIELDS.map((field) => COLUMN_OF[field]);

async function write(tx: Tx, plan: Plan): Promise<void> {
  if (plan.created.length > 0) {
    await queryRows(
      tx,
      `insert into contacts (id, ${COLUMNS.join(', ')})
       select id, ${COLUMNS.join(', ')} from jsonb_populate_recordset(null::contacts, ?::jsonb)`,
      [recordset(plan.created)],
    );
  }
  if (plan.updated.length > 0) {
    await queryRows(
      tx,
      `update contacts c set ${COLUMNS.map((column) => `${column} = v.${column}`).join(', ')}
       from jsonb_populate_recordset(null::contacts, ?::jsonb) v where c.id = v.id`,
      [recordset(plan.updated)],
    );
  }
  if (plan.aliases.length > 0) {
    await queryRows(
      tx,
      `with added as (
         insert into contact_aliases (ref, contact_id) select * from unnest(?::text[], ?::uuid[]) returning contact_id)
       insert into audit (kind, actor, door, contact_id) select 'contact.aliased', who_actor(), who_door(), contact_id from added`,
      [plan.aliases.map((alias) => alias.ref), plan.aliases.map((alias) => alias.id)],
    );
  }
  await recordConsents(
    tx,
    plan.events.map(({ id, facts }) => ({
      contactId: id,
      purpose: facts.purpose,
      kind: facts.kind,
      // A mere day would be read in the session's time zone.
      happenedAt: facts.happenedAt,
      channel: facts.channel,
      statement: facts.statement,
      byPerson: false,
    })),
  );
}

function recordset(people: readonly Person[]): string {
  return JSON.stringify(
    people.map(({ id, data }) => ({
      id,
      ...Object.fromEntries(DATA_FIELDS.map((field) => [COLUMN_OF[field], data[field]])),
    })),
  );
}
