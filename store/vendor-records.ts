/** What a system is known to hold, from complete scans: external ids, our reference, keyed hashes of addresses; no plain address. */
import { parseEmail, suppressionKey } from '../domain/address.ts';
import type { ContactId } from '../domain/contact.ts';
import { rows } from './db.ts';
import type { Db } from './db.ts';
import type { Keyring } from './keyring.ts';

export interface SeenRecord {
  externalId: string;
  reference: string | null;
  presence: string;
  addresses: string[];
  consents: Record<string, string>;
}

/** A record that was compared in full and agreed. */
export interface Agreed {
  externalId: string;
  contactId: ContactId;
  /** The ledger's `settled` when it was compared. */
  settled: number;
  /** Keyed hash of what was read. */
  digest: Buffer;
}

/**
 * Notes one page of a scan as seen, and tells what of it must be compared: all but what agreed before, reads as it did then, and was not
 * marked since.
 * @param runId null where the scan does not read everything
 * @param digests external id → keyed hash of what was read
 */
export async function withoutAgreed(
  db: Db,
  system: string,
  runId: string | null,
  digests: ReadonlyMap<string, Buffer>,
): Promise<Set<string>> {
  if (digests.size === 0) return new Set();
  // Scalar subqueries: two index look-ups a record, whatever the statistics of a table that a first night has just filled say.
  const left = await rows<{ id: string }>(
    db,
    `with page as materialized (select p.id, p.digest from unnest(?::text[], ?::bytea[]) as p (id, digest)),
     seen as (insert into scan_seen (run_id, external_id) select ?::uuid, id from page where ?::uuid is not null on conflict do nothing)
     select p.id from page p where not coalesce((
       select v.digest = p.digest and (
         select d.wanted = d.settled and d.settled = v.agreed_at_settled from deliveries d
         where d.contact_id = v.contact_id and d.system = v.system)
       from vendor_records v where v.system = ? and v.external_id = p.id), false)`,
    [[...digests.keys()], [...digests.values()], runId, runId, system],
  );
  return new Set(left.map((l) => l.id));
}

/** Keeps what was compared in full and agreed, so that the next night knows it. */
export async function keepAgreed(db: Db, system: string, agreed: readonly Agreed[]): Promise<void> {
  if (agreed.length === 0) return;
  await rows(
    db,
    `update vendor_records v set contact_id = a.contact, digest = a.digest, agreed_at_settled = a.settled
     from unnest(?::text[], ?::uuid[], ?::bytea[], ?::bigint[]) as a (id, contact, digest, settled)
     where v.system = ? and v.external_id = a.id`,
    [
      agreed.map((a) => a.externalId),
      agreed.map((a) => a.contactId),
      agreed.map((a) => a.digest),
      agreed.map((a) => a.settled),
      system,
    ],
  );
}

/** Stores what a scan read; what is as it was is not written again. */
export async function saveSeen(db: Db, keyring: Keyring, system: string, seen: SeenRecord[]): Promise<void> {
  const unique = [...new Map(seen.map((s) => [s.externalId, s])).values()];
  if (unique.length === 0) return;
  const hashes = unique.flatMap((s) =>
    s.addresses
      .map((a) => parseEmail(a))
      .filter((p) => p.ok)
      .map((p) => ({ externalId: s.externalId, hash: keyring.hash('vendor_address', p.key) })),
  );
  const ids = unique.map((s) => s.externalId);
  await db.transaction(async (tx) => {
    await rows(
      tx,
      `insert into vendor_records as v (system, external_id, reference, presence, consents)
       select ?, s.id, s.ref, s.presence, s.consents from unnest(?::text[], ?::text[], ?::text[], ?::jsonb[]) as s (id, ref, presence, consents)
       order by s.id
       on conflict (system, external_id) do update set reference = excluded.reference, presence = excluded.presence,
         consents = excluded.consents, seen_at = clock_timestamp()
       where (v.reference, v.presence, v.consents) is distinct from (excluded.reference, excluded.presence, excluded.consents)`,
      [
        system,
        ids,
        unique.map((s) => s.reference),
        unique.map((s) => s.presence),
        unique.map((s) => JSON.stringify(s.consents)),
      ],
    );
    await rows(
      tx,
      `delete from vendor_addresses v where system = ? and external_id = any (?::text[])
       and not exists (select 1 from unnest(?::text[], ?::bytea[]) as h (id, hash) where h.id = v.external_id and h.hash = v.hash)`,
      [system, ids, hashes.map((h) => h.externalId), hashes.map((h) => h.hash)],
    );
    await rows(
      tx,
      `insert into vendor_addresses (system, hash, external_id) select ?, h.hash, h.id from unnest(?::text[], ?::bytea[]) as h (id, hash)
       on conflict do nothing`,
      [system, hashes.map((h) => h.externalId), hashes.map((h) => h.hash)],
    );
  });
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
export async function ownersOf(db: Db, system: string, seen: SeenRecord[]): Promise<Map<string, ContactId>> {
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

/** Seen records whose address a tombstone forbids: external id → the erased contact. */
export async function tombstoned(db: Db, keyring: Keyring, seen: SeenRecord[]): Promise<Map<string, ContactId>> {
  const pairs = seen.flatMap((s) =>
    s.addresses
      .map((a) => parseEmail(a))
      .filter((p) => p.ok)
      .flatMap((p) => keyring.hashes('email', suppressionKey(p.address)).map((hash) => ({ id: s.externalId, hash }))),
  );
  if (pairs.length === 0) return new Map();
  const found = await rows<{ hash: Buffer; contact_id: ContactId }>(
    db,
    `select hash, contact_id from tombstones where kind = 'email' and hash = any (?::bytea[])`,
    [pairs.map((p) => p.hash)],
  );
  const stones = new Map(found.map((f) => [f.hash.toString('hex'), f.contact_id]));
  const erased = new Map<string, ContactId>();
  for (const { id, hash } of pairs) {
    const contact = stones.get(hash.toString('hex'));
    if (contact !== undefined) erased.set(id, contact);
  }
  return erased;
}
