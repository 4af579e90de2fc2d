/**
 * A dry run of an import: the same plan for every batch, with what earlier batches would have written laid over the record. It runs in a
 * read-only transaction, so that PostgreSQL itself vouches that nothing is written; only temporary tables are, which go with it.
 */
import { rows as queryRows } from './db.ts';
import type { Db, Tx } from './db.ts';
import { FirstSpeakers } from './first-speakers.ts';
import type { Keyring } from './keyring.ts';
import { addressKeysOf } from './upsert-plan.ts';
import type { Person, UpsertResult, UpsertRow } from './upsert-plan.ts';
import { knownPeople, planBatch } from './upsert.ts';

/** Runs `fn` with an `upsert` that only says what would come of each batch. */
export async function rehearse<T>(
  db: Db,
  keyring: Keyring,
  fn: (upsert: (batch: readonly UpsertRow[]) => Promise<UpsertResult[]>) => Promise<T>,
): Promise<T> {
  return db.transaction(async (tx) => {
    await tx.raw(
      `create temporary table rehearsed_people (id uuid primary key, person jsonb not null) on commit drop;
       create temporary table rehearsed_keys (key text, id uuid, primary key (key, id)) on commit drop;
       set transaction read only`,
    );
    const earlier = new FirstSpeakers();
    return fn(async (batch) => {
      const overlay = await rehearsedPeople(tx, batch);
      const overlaid = new Set(overlay.map((person) => person.id));
      const recorded = await knownPeople(tx, batch, false);
      const known = [...recorded.filter((person) => !overlaid.has(person.id)), ...overlay];
      const plan = await planBatch(tx, keyring, known, batch, earlier);
      for (const [id, ref] of plan.spokenOf) earlier.note(id, ref);
      await keep(tx, plan.touched);
      return plan.results;
    });
  });
}

async function rehearsedPeople(tx: Tx, batch: readonly UpsertRow[]): Promise<Person[]> {
  const keys = batch.flatMap(({ identity }) => [
    ...(identity.ref === null ? [] : [refKey(identity.ref)]),
    ...(identity.addressKey === null ? [] : [addressKey(identity.addressKey)]),
  ]);
  const found = await queryRows<{ person: Person }>(
    tx,
    'select person from rehearsed_people where id in (select id from rehearsed_keys where key = any (?::text[]))',
    [keys],
  );
  return found.map(({ person }) => person);
}

async function keep(tx: Tx, people: readonly Person[]): Promise<void> {
  if (people.length === 0) return;
  const keys = people.flatMap((person) => [
    ...[person.data.externalRef, ...person.aliases].flatMap((ref) => (ref === null ? [] : [[refKey(ref), person.id]])),
    ...addressKeysOf(person.data).map((key) => [addressKey(key), person.id]),
  ]);
  await queryRows(
    tx,
    `insert into rehearsed_people (id, person) select p.id, p.person from unnest(?::uuid[], ?::jsonb[]) as p (id, person)
     on conflict (id) do update set person = excluded.person`,
    [people.map((person) => person.id), people.map((person) => JSON.stringify(person))],
  );
  await queryRows(
    tx,
    'insert into rehearsed_keys (key, id) select k.key, k.id from unnest(?::text[], ?::uuid[]) as k (key, id) on conflict do nothing',
    [keys.map(([key]) => key), keys.map(([, id]) => id)],
  );
}

function refKey(ref: string): string {
  return `ref:${ref}`;
}

function addressKey(key: string): string {
  return `address:${key}`;
}
