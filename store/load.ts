/** Everything the engine needs to project and deliver a batch of contacts: the record as it is now, in a few set-based reads. */
import { parseEmail } from '../domain/address.ts';
import type { ConsentEvent } from '../domain/consent.ts';
import type { Contact, ContactId } from '../domain/contact.ts';
import { consentEventsOf } from './consents.ts';
import { suppressed, toContact } from './contacts.ts';
import type { ContactRow } from './contacts.ts';
import { rows } from './db.ts';
import type { Db } from './db.ts';
import type { Keyring } from './keyring.ts';

/** The ledger row of one delivery. */
export interface Ledger {
  wanted: number;
  settled: number;
  priority: number;
  lookFirst: boolean;
  distrust: boolean;
  /** Due because of an earlier look. */
  rereading: boolean;
  dataHash: string | null;
  consentHash: string | null;
  knownKey: string | null;
  knownConsents: Record<string, string> | null;
  presence: string | null;
  verifiedAt: string | null;
  mismatches: number;
  dataOutcome: string | null;
  dataCode: string | null;
  dataField: string | null;
  consentOutcome: string | null;
}

/** What a sealed ticket holds of a person who is being erased or purged. */
export interface TicketContent {
  addresses: string[];
  names: string[];
  externalIds: Record<string, string[]>;
  keys: Record<string, string | null>;
}

export interface Loaded {
  contact: Contact;
  events: ConsentEvent[];
  ledger: Ledger;
  /** Current ids at the vendor, newest first, then former ones. */
  externalIds: string[];
  formerIds: string[];
  ticket: TicketContent | null;
  /** Other active contacts that hold the same primary address. */
  holders: {
    id: ContactId;
    seq: number;
    primary: boolean;
    relationship: string | null;
    events: ConsentEvent[];
  }[];
  /** True where a tombstone forbids this person: nothing may leave. */
  suppressed: boolean;
  /** Normalised addresses that the index misses (typed in SQL with another spelling of the domain). */
  missingNorms: string[];
  /** Where the person has no id yet: records of the vendor that match by our reference or exact address. */
  candidates: { externalId: string; byReference: boolean; ownedBy: ContactId | null }[];
}

interface LedgerRow {
  contact_id: ContactId;
  wanted: number;
  settled: number;
  priority: number;
  look_first: boolean;
  distrust: boolean;
  rereading: boolean;
  data_hash: string | null;
  consent_hash: string | null;
  known_key: string | null;
  known_consents: Record<string, string> | null;
  presence: string | null;
  verified_at: string | null;
  mismatches: number;
  data_outcome: string | null;
  data_code: string | null;
  data_field: string | null;
  consent_outcome: string | null;
}

/** The normalised primary address, or null. */
export function primaryKey(contact: Pick<Contact, 'emails'>): string | null {
  const [first] = contact.emails;
  if (first === undefined) return null;
  const parsed = parseEmail(first);
  return parsed.ok ? parsed.key : null;
}

/** The normalised address under which the system held an emptied contact. */
function ticketKey(ticket: TicketContent | undefined, system: string): string | null {
  const address = ticket?.keys[system];
  return address === undefined || address === null ? null : primaryKey({ emails: [address] });
}

function groupBy<T>(list: T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}

type DeliveryRow = ContactRow &
  LedgerRow & { ids: [string, boolean][] | null; sealed: Buffer | null; norms: string[] | null };

const DELIVERIES = `
  select c.*, d.contact_id, d.wanted, d.settled, d.priority, d.look_first, d.distrust, d.rereading, d.data_hash, d.consent_hash, d.known_key,
    d.known_consents, d.presence, d.verified_at, d.mismatches, d.data_outcome, d.data_code, d.data_field, d.consent_outcome, t.sealed,
    (select json_agg(json_build_array(e.external_id, e.former) order by e.former, e.since desc) from external_ids e
     where e.contact_id = d.contact_id and e.system = d.system) as ids,
    (select array_agg(a.norm) from contact_addresses a where a.contact_id = d.contact_id) as norms
  from deliveries d join contacts c on c.id = d.contact_id left join tickets t on t.contact_id = d.contact_id
  where d.system = ? and d.contact_id = any (?::uuid[])`;

interface HolderRow {
  id: ContactId;
  seq: number;
  emails: string[];
  relationship: string | null;
  norm: string;
}

const HOLDER = 'c.id, c.seq, c.emails, c.relationship, a.norm';

/** Others that have an address of one of these, as the index of addresses knows it. */
async function sharers(db: Db, ids: ContactId[]): Promise<HolderRow[]> {
  return rows<HolderRow>(
    db,
    `select distinct ${HOLDER} from contact_addresses own join contact_addresses a on a.norm = own.norm and a.contact_id <> own.contact_id
     join contacts c on c.id = a.contact_id where own.contact_id = any (?::uuid[]) and c.state = 'active'`,
    [ids],
  );
}

/** Whoever has one of these addresses. */
async function holdersOfKeys(db: Db, keys: string[]): Promise<HolderRow[]> {
  if (keys.length === 0) return [];
  return rows<HolderRow>(
    db,
    `select ${HOLDER} from contact_addresses a join contacts c on c.id = a.contact_id
     where a.norm = any (?::text[]) and c.state = 'active'`,
    [keys],
  );
}

/** Loads contacts of one system's ledger. Ids without a ledger row are left out. Order follows `ids`. */
export async function loadForDelivery(db: Db, keyring: Keyring, system: string, ids: ContactId[]): Promise<Loaded[]> {
  if (ids.length === 0) return [];
  // Record and ledger by one statement, all else after it: what is read may be newer than the `wanted` it settles, never older.
  const found = await rows<DeliveryRow>(db, DELIVERIES, [system, ids]);
  const contacts = found.map(toContact);
  const rowOf = new Map(found.map((one, at) => [one.contact_id, { row: one, contact: contacts[at]!, at }]));
  const ticketOf = new Map(
    found.flatMap((one) =>
      one.sealed === null ? [] : [[one.contact_id, keyring.open<TicketContent>('ticket', one.sealed)] as const],
    ),
  );
  // An emptied contact shares what it was held under with those who still have that address.
  const keyOf = new Map(contacts.map((c) => [c.id, primaryKey(c) ?? ticketKey(ticketOf.get(c.id), system)]));
  // What the index does not know of a contact itself, it was not asked for above.
  const strange = [...keyOf].flatMap(([id, key]) =>
    key === null || rowOf.get(id)?.row.norms?.includes(key) === true ? [] : [key],
  );
  const unlinked = contacts.filter((c) => rowOf.get(c.id)?.row.ids?.some(([, former]) => !former) !== true);
  const [sharing, ownEvents, more, blocked, candidates] = await Promise.all([
    sharers(db, ids),
    consentEventsOf(db, ids),
    holdersOfKeys(db, [...new Set(strange)]),
    suppressed(db, keyring, contacts),
    findCandidates(db, keyring, system, unlinked),
  ]);
  const holderRows = [...new Map([...sharing, ...more].map((h) => [`${h.id} ${h.norm}`, h])).values()].toSorted(
    (a, b) => a.seq - b.seq,
  );
  const others = [...new Set(holderRows.map((h) => h.id))].filter((id) => !ownEvents.has(id));
  const events = others.length === 0 ? ownEvents : new Map([...ownEvents, ...(await consentEventsOf(db, others))]);
  const holdersOf = groupBy(holderRows, (h) => h.norm);

  const loaded: Loaded[] = [];
  for (const id of ids) {
    const one = rowOf.get(id);
    if (one === undefined) continue;
    const { contact, row: ledger } = one;
    const key = keyOf.get(id) ?? null;
    const own = ledger.ids ?? [];
    const norms = ledger.norms ?? [];
    loaded.push({
      contact,
      events: events.get(id) ?? [],
      ledger: {
        wanted: ledger.wanted,
        settled: ledger.settled,
        priority: ledger.priority,
        lookFirst: ledger.look_first,
        distrust: ledger.distrust,
        rereading: ledger.rereading,
        dataHash: ledger.data_hash,
        consentHash: ledger.consent_hash,
        knownKey: ledger.known_key,
        knownConsents: ledger.known_consents,
        presence: ledger.presence,
        verifiedAt: ledger.verified_at,
        mismatches: ledger.mismatches,
        dataOutcome: ledger.data_outcome,
        dataCode: ledger.data_code,
        dataField: ledger.data_field,
        consentOutcome: ledger.consent_outcome,
      },
      externalIds: own.filter(([, former]) => !former).map(([externalId]) => externalId),
      formerIds: own.filter(([, former]) => former).map(([externalId]) => externalId),
      ticket: ticketOf.get(id) ?? null,
      holders:
        key === null
          ? []
          : (holdersOf.get(key) ?? [])
              .filter((h) => h.id !== id)
              .map((h) => ({
                id: h.id,
                seq: h.seq,
                primary: primaryKey(h) === key,
                relationship: h.relationship,
                events: events.get(h.id) ?? [],
              })),
      suppressed: (blocked[one.at] ?? []).length > 0,
      missingNorms: contact.emails
        .map((e) => parseEmail(e))
        .filter((p) => p.ok)
        .map((p) => p.key)
        .filter((k) => !norms.includes(k)),
      candidates: candidates.get(id) ?? [],
    });
  }
  return loaded;
}

/** Vendor records that match unlinked contacts by our reference or by exact address, as the last scan knows them. */
async function findCandidates(
  db: Db,
  keyring: Keyring,
  system: string,
  contacts: Contact[],
): Promise<Map<ContactId, Loaded['candidates']>> {
  const found = new Map<ContactId, Loaded['candidates']>();
  if (contacts.length === 0) return found;
  const pairs = contacts.flatMap((c) => {
    const key = primaryKey(c);
    return key === null ? [] : keyring.hashes('vendor_address', key).map((hash) => ({ id: c.id, hash }));
  });
  const matches = await rows<{
    contact_id: ContactId;
    external_id: string;
    by_reference: boolean;
    owned_by: ContactId | null;
  }>(
    db,
    `with matched as (
       select v.reference::uuid as contact_id, v.external_id, true as by_reference from vendor_records v
       where v.system = ? and v.reference = any (?::text[])
       union all
       select asked.contact_id, a.external_id, false
       from unnest(?::uuid[], ?::bytea[]) as asked (contact_id, hash)
       join vendor_addresses a on a.system = ? and a.hash = asked.hash)
     select distinct on (m.contact_id, m.external_id) m.contact_id, m.external_id, m.by_reference, e.contact_id as owned_by
     from matched m left join external_ids e on e.system = ? and e.external_id = m.external_id and not e.former
     order by m.contact_id, m.external_id, m.by_reference desc`,
    [system, contacts.map((c) => c.id), pairs.map((p) => p.id), pairs.map((p) => p.hash), system, system],
  );
  for (const match of matches) {
    const list = found.get(match.contact_id) ?? [];
    list.push({ externalId: match.external_id, byReference: match.by_reference, ownedBy: match.owned_by });
    found.set(match.contact_id, list);
  }
  return found;
}

/** Adds normalised spellings that only the programme can compute (IDN domains typed in SQL). */
export async function addNorms(db: Db, pairs: { contactId: ContactId; norm: string }[]): Promise<void> {
  if (pairs.length === 0) return;
  await rows(
    db,
    `insert into contact_addresses (contact_id, norm) select * from unnest(?::uuid[], ?::text[]) on conflict do nothing`,
    [pairs.map((p) => p.contactId), pairs.map((p) => p.norm)],
  );
}
