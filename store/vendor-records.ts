/** What a system is known to hold, from complete scans: external ids, our reference, keyed hashes of addresses; no plain address. */
import { parseEmail } from '../domain/address.ts';
import type { ContactId } from '../domain/contact.ts';
import { oneRow, rows } from './db.ts';
import type { Db } from './db.ts';
import type { Keyring } from './keyring.ts';

export interface SeenRecord {
  externalId: string;
  reference: string | null;
  presence: string;
  addresses: string[];
  consents: Record<string, string>;
}

/** Stores one page of a scan. Unchanged records are only stamped with the run where `stamp` asks for it. */
export async function saveSeen(
  db: Db,
  keyring: Keyring,
  system: string,
  runId: string,
  seen: SeenRecord[],
): Promise<void> {
  const unique = [...new Map(seen.map((s) => [s.externalId, s])).values()];
  if (unique.length === 0) return;
  const hashes = unique.flatMap((s) =>
    s.addresses
      .map((a) => parseEmail(a))
      .filter((p) => p.ok)
      .map((p) => ({ externalId: s.externalId, hash: keyring.hash('vendor_address', p.key) })),
  );
  await db.transaction(async (tx) => {
    await rows(
      tx,
      `insert into vendor_records (system, external_id, reference, presence, consents, seen_run)
       select ?, s.id, s.ref, s.presence, s.consents, ? from unnest(?::text[], ?::text[], ?::text[], ?::jsonb[]) as s (id, ref, presence, consents)
       order by s.id
       on conflict (system, external_id) do update set reference = excluded.reference, presence = excluded.presence,
         consents = excluded.consents, seen_run = excluded.seen_run, seen_at = clock_timestamp()`,
      [
        system,
        runId,
        unique.map((s) => s.externalId),
        unique.map((s) => s.reference),
        unique.map((s) => s.presence),
        unique.map((s) => JSON.stringify(s.consents)),
      ],
    );
    await rows(
      tx,
      `delete from vendor_addresses v where system = ? and external_id = any (?::text[])
       and not exists (select 1 from unnest(?::text[], ?::bytea[]) as h (id, hash) where h.id = v.external_id and h.hash = v.hash)`,
      [system, unique.map((s) => s.externalId), hashes.map((h) => h.externalId), hashes.map((h) => h.hash)],
    );
    await rows(
      tx,
      `insert into vendor_addresses (system, hash, external_id) select ?, h.hash, h.id from unnest(?::text[], ?::bytea[]) as h (id, hash)
       on conflict do nothing`,
      [system, hashes.map((h) => h.externalId), hashes.map((h) => h.hash)],
    );
  });
}

/** Forgets records that a complete scan did not see. Only after a scan that is known to be complete. @returns how many */
export async function forgetUnseen(db: Db, system: string, runId: string, startedAt: string): Promise<number> {
  const { gone } = await oneRow<{ gone: number }>(
    db,
    `with gone as (delete from vendor_records where system = ? and seen_run is distinct from ? and seen_at < ? returning external_id),
       addresses as (delete from vendor_addresses where system = ? and external_id in (select external_id from gone))
     select count(*)::integer as gone from gone`,
    [system, runId, startedAt, system],
  );
  return gone;
}

/** Forgets single records (erased, purged). */
export async function forgetRecords(db: Db, system: string, externalIds: string[]): Promise<void> {
  if (externalIds.length === 0) return;
  await rows(db, 'delete from vendor_addresses where system = ? and external_id = any (?::text[])', [
    system,
    externalIds,
  ]);
  await rows(db, 'delete from vendor_records where system = ? and external_id = any (?::text[])', [
    system,
    externalIds,
  ]);
}

/** Whose the given external ids are, by the ledger, by our reference, or by exact address. */
export async function ownersOf(
  db: Db,
  keyring: Keyring,
  system: string,
  seen: SeenRecord[],
): Promise<Map<string, ContactId>> {
  const owners = new Map<string, ContactId>();
  const linked = await rows<{ external_id: string; contact_id: ContactId }>(
    db,
    'select external_id, contact_id from external_ids where system = ? and external_id = any (?::text[]) order by former desc',
    [system, seen.map((s) => s.externalId)],
  );
  for (const { external_id, contact_id } of linked) owners.set(external_id, contact_id);
  const references = seen.filter((s) => !owners.has(s.externalId) && s.reference !== null && UUID.test(s.reference));
  const byReference = await rows<{ id: ContactId }>(db, 'select id from contacts where id = any (?::uuid[])', [
    references.map((s) => s.reference),
  ]);
  const ours = new Set<string>(byReference.map((r) => r.id));
  for (const s of references) if (s.reference !== null && ours.has(s.reference)) owners.set(s.externalId, s.reference);
  const rest = seen.filter((s) => !owners.has(s.externalId));
  const norms = rest.flatMap((s) =>
    s.addresses
      .map((a) => parseEmail(a))
      .filter((p) => p.ok)
      .map((p) => ({ id: s.externalId, norm: p.key })),
  );
  const byAddress = await rows<{ norm: string; contact_id: ContactId }>(
    db,
    `select distinct on (a.norm) a.norm, a.contact_id from contact_addresses a join contacts c on c.id = a.contact_id
     where a.norm = any (?::text[]) and c.state = 'active' order by a.norm, c.seq`,
    [[...new Set(norms.map((n) => n.norm))]],
  );
  const holder = new Map(byAddress.map((b) => [b.norm, b.contact_id]));
  for (const { id, norm } of norms) {
    const contact = holder.get(norm);
    if (contact !== undefined && !owners.has(id)) owners.set(id, contact);
  }
  return owners;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/u;

/** Which of the seen records carry an address that a tombstone forbids. */
export async function tombstoned(db: Db, keyring: Keyring, seen: SeenRecord[]): Promise<Set<string>> {
  const pairs = seen.flatMap((s) =>
    s.addresses
      .map((a) => parseEmail(a))
      .filter((p) => p.ok)
      .map((p) => ({ id: s.externalId, hash: keyring.hash('email', p.key) })),
  );
  const found = await rows<{ hash: Buffer }>(
    db,
    `select t.hash from tombstones t where t.kind = 'email' and t.hash = any (?::bytea[])`,
    [pairs.map((p) => p.hash)],
  );
  const stones = new Set(found.map((f) => f.hash.toString('hex')));
  return new Set(pairs.filter((p) => stones.has(p.hash.toString('hex'))).map((p) => p.id));
}
