/** Reading and changing single contacts. Every door goes through here; SQL writers are met by the triggers. */
import { parseEmail, nameKey, suppressionKey } from '../domain/address.ts';
import type { Contact, ContactData, ContactId } from '../domain/contact.ts';
import { emptyContactData } from '../domain/contact.ts';
import { oneRow, row, rows, sqlState } from './db.ts';
import type { Db, Tx } from './db.ts';
import type { Keyring } from './keyring.ts';

/** Column of each field, for statements and for reading. */
export const COLUMN_OF = {
  externalRef: 'external_ref',
  givenName: 'given_name',
  familyName: 'family_name',
  emails: 'emails',
  phones: 'phones',
  organisation: 'organisation',
  street: 'street',
  city: 'city',
  postcode: 'postcode',
  country: 'country',
  locale: 'locale',
  relationship: 'relationship',
  accountManager: 'account_manager',
  source: 'source',
  obtainedAt: 'obtained_at',
  contractEnd: 'contract_end',
  lastTransactionAt: 'last_transaction_at',
  attributes: 'attributes',
} as const satisfies Record<keyof ContactData, string>;

export const DATA_FIELDS = Object.keys(COLUMN_OF) as (keyof ContactData)[];

export type ContactRow = Record<string, unknown>;

/** Turns a row of `contacts` (or a stored version) into a contact. */
export function toContact(found: ContactRow): Contact {
  const data = emptyContactData() as unknown as Record<string, unknown>;
  for (const field of DATA_FIELDS) {
    const value = found[COLUMN_OF[field]];
    if (value !== undefined) data[field] = value;
  }
  return {
    ...(data as unknown as ContactData),
    id: found['id'] as ContactId,
    seq: Number(found['seq'] ?? 0),
    version: found['version'] as number,
    state: found['state'] as Contact['state'],
    createdAt: found['created_at'] as string,
    changedAt: found['changed_at'] as string,
  };
}

/** Why a door refused a change. `code` is stable and public; the message names no person. */
export class ContactRefused extends Error {
  readonly code: 'not_found' | 'erased' | 'suppressed' | 'version_conflict' | 'reference_taken';
  /** With `version_conflict`: the version that stands. */
  readonly currentVersion?: number;
  constructor(code: ContactRefused['code'], message: string, currentVersion?: number) {
    super(message);
    this.name = 'ContactRefused';
    this.code = code;
    if (currentVersion !== undefined) this.currentVersion = currentVersion;
  }
}

export interface SuppressionHash {
  kind: 'email' | 'email_name' | 'ref';
  hash: Buffer;
}

/** The hashes under which a person would be found among the tombstones, with every key. */
export function suppressionHashes(
  keyring: Keyring,
  data: Pick<ContactData, 'emails' | 'givenName' | 'familyName' | 'externalRef'>,
): SuppressionHash[] {
  const hashes: SuppressionHash[] = [];
  const name = nameKey(data.givenName, data.familyName);
  for (const email of data.emails) {
    const key = suppressionKey(email);
    for (const hash of keyring.hashes('email', key)) hashes.push({ kind: 'email', hash });
    for (const hash of keyring.hashes('email_name', `${key}\n${name}`)) hashes.push({ kind: 'email_name', hash });
  }
  if (data.externalRef !== null)
    for (const hash of keyring.hashes('ref', data.externalRef)) hashes.push({ kind: 'ref', hash });
  return hashes;
}

/** Of SHA-256. */
const HASH_BYTES = 32;

/**
 * Which of many persons are suppressed, in one query.
 * @returns for each, the kinds of tombstone that matched, in no order; empty when free
 */
export async function suppressed(
  db: Db | Tx,
  keyring: Keyring,
  people: Pick<ContactData, 'emails' | 'givenName' | 'familyName' | 'externalRef'>[],
): Promise<SuppressionHash['kind'][][]> {
  return suppressedBy(
    db,
    people.map((person) => suppressionHashes(keyring, person)),
  );
}

/** `suppressed`, by the `suppressionHashes` of each person. */
export async function suppressedBy(db: Db | Tx, hashes: SuppressionHash[][]): Promise<SuppressionHash['kind'][][]> {
  const asked = { email: asking(), email_name: asking(), ref: asking() };
  for (const [at, mine] of hashes.entries()) {
    for (const { kind, hash } of mine) {
      asked[kind].hashes.push(hash);
      asked[kind].who.push(at);
    }
  }
  const matched: SuppressionHash['kind'][][] = hashes.map(() => []);
  if (Object.values(asked).every(({ who }) => who.length === 0)) return matched;
  const found = await rows<{ kind: keyof typeof asked; at: number }>(
    db,
    // Hashes end to end in one value a kind: as arrays, turning them into text and back took longer than finding them.
    `select a.kind, n as at from (values ('email', ?::bytea), ('email_name', ?), ('ref', ?)) as a (kind, hashes)
     cross join generate_series(0, length(a.hashes) / ${HASH_BYTES} - 1) n
     join tombstones t on t.kind = a.kind and t.hash = substring(a.hashes from n * ${HASH_BYTES} + 1 for ${HASH_BYTES})`,
    [Buffer.concat(asked.email.hashes), Buffer.concat(asked.email_name.hashes), Buffer.concat(asked.ref.hashes)],
  );
  for (const { kind, at } of found) matched[asked[kind].who[at]!]!.push(kind);
  return matched;
}

/** Hashes, and whose each is. */
function asking(): { hashes: Buffer[]; who: number[] } {
  return { hashes: [], who: [] };
}

async function refuseSuppressed(tx: Tx, keyring: Keyring, data: ContactData): Promise<void> {
  const [kinds] = await suppressed(tx, keyring, [data]);
  if (kinds !== undefined && kinds.length > 0) {
    throw new ContactRefused(
      'suppressed',
      'This person was erased and must not come back by this door (GDPR Art. 17).',
    );
  }
}

/** Column values of a full set of data, in the order of `DATA_FIELDS`. */
function valuesOf(data: Partial<ContactData>, fields: (keyof ContactData)[]): unknown[] {
  return fields.map((field) => (field === 'attributes' ? JSON.stringify(data[field] ?? {}) : (data[field] ?? null)));
}

function placeholder(field: keyof ContactData): string {
  if (field === 'attributes') return '?::jsonb';
  if (field === 'emails' || field === 'phones') return '?::text[]';
  return '?';
}

/** Creates a contact. @throws ContactRefused suppressed, reference_taken */
export async function createContact(tx: Tx, keyring: Keyring, data: ContactData): Promise<Contact> {
  await refuseSuppressed(tx, keyring, data);
  try {
    const made = await oneRow<ContactRow>(
      tx,
      `insert into contacts (${DATA_FIELDS.map((f) => COLUMN_OF[f]).join(', ')})
       values (${DATA_FIELDS.map(placeholder).join(', ')}) returning *`,
      valuesOf(data, DATA_FIELDS),
    );
    return toContact(made);
  } catch (error) {
    if (sqlState(error) === '23505') {
      throw new ContactRefused('reference_taken', 'Another contact has this external reference.');
    }
    throw error;
  }
}

/**
 * Changes the given fields; absent ones stay. Nothing is written when nothing differs.
 * @param expectedVersion the version that the writer saw; null to write whatever stands
 * @throws ContactRefused not_found, erased, version_conflict, suppressed, reference_taken
 */
export async function patchContact(
  tx: Tx,
  keyring: Keyring,
  id: ContactId,
  expectedVersion: number | null,
  changes: Partial<ContactData>,
): Promise<Contact> {
  const found = await row<ContactRow>(tx, 'select * from contacts where id = ? for no key update', [id]);
  if (found === undefined) throw new ContactRefused('not_found', 'There is no such contact.');
  const before = toContact(found);
  if (before.state === 'erased') {
    throw new ContactRefused('erased', 'This contact was erased; nothing of it can be changed.');
  }
  if (expectedVersion !== null && expectedVersion !== before.version) {
    throw new ContactRefused(
      'version_conflict',
      `The contact is at version ${before.version}, not ${expectedVersion}.`,
      before.version,
    );
  }
  const fields = DATA_FIELDS.filter((field) => changes[field] !== undefined);
  if (fields.length === 0) return before;
  const after: Contact = { ...before, ...changes };
  if (fields.some((f) => f === 'emails' || f === 'givenName' || f === 'familyName' || f === 'externalRef')) {
    await refuseSuppressed(tx, keyring, after);
  }
  try {
    const changed = await oneRow<ContactRow>(
      tx,
      `update contacts set ${fields.map((f) => `${COLUMN_OF[f]} = ${placeholder(f)}`).join(', ')} where id = ? returning *`,
      [...valuesOf(changes, fields), id],
    );
    return toContact(changed);
  } catch (error) {
    if (sqlState(error) === '23505') {
      throw new ContactRefused('reference_taken', 'Another contact has this external reference.');
    }
    throw error;
  }
}

/** The contact as it is, or undefined. */
export async function getContact(db: Db | Tx, id: ContactId): Promise<Contact | undefined> {
  const found = await row<ContactRow>(db, 'select * from contacts where id = ?', [id]);
  return found === undefined ? undefined : toContact(found);
}

/** By external reference or one of its aliases. */
export async function getContactByRef(db: Db | Tx, ref: string): Promise<Contact | undefined> {
  const found = await row<ContactRow>(
    db,
    `select * from contacts where external_ref = ?
     union all
     select c.* from contact_aliases a join contacts c on c.id = a.contact_id where a.ref = ? limit 1`,
    [ref, ref],
  );
  return found === undefined ? undefined : toContact(found);
}

/** Every contact that holds the address, oldest first. Text that is no address finds nobody. */
export async function findContactsByEmail(db: Db | Tx, address: string): Promise<Contact[]> {
  const parsed = parseEmail(address);
  if (!parsed.ok) return [];
  const found = await rows<ContactRow>(
    db,
    `select c.* from contact_addresses a join contacts c on c.id = a.contact_id where a.norm = ? order by c.seq`,
    [parsed.key],
  );
  return found.map(toContact);
}

export interface ContactVersion {
  version: number;
  at: string;
  actor: string;
  door: string;
  reason: string | null;
  contact: Contact;
}

/** PostgreSQL writes the moments of a stored version in a form of its own. */
function storedContact(data: ContactRow): Contact {
  const contact = toContact(data);
  const iso = (moment: string): string => new Date(moment).toISOString();
  return { ...contact, createdAt: iso(contact.createdAt), changedAt: iso(contact.changedAt) };
}

/** All versions of a contact, newest first. After erasure only the empty last one is left. */
export async function contactVersions(db: Db | Tx, id: ContactId, limit = 100): Promise<ContactVersion[]> {
  const found = await rows<Omit<ContactVersion, 'contact'> & { data: ContactRow }>(
    db,
    `select version, at, actor, door, reason, data from contact_versions where contact_id = ? order by version desc limit ?`,
    [id, limit],
  );
  return found.map(({ data, ...version }) => ({ ...version, contact: storedContact(data) }));
}

/** One version, or undefined. */
export async function contactVersion(db: Db | Tx, id: ContactId, version: number): Promise<ContactVersion | undefined> {
  const found = await row<Omit<ContactVersion, 'contact'> & { data: ContactRow }>(
    db,
    `select version, at, actor, door, reason, data from contact_versions where contact_id = ? and version = ?`,
    [id, version],
  );
  if (found === undefined) return undefined;
  const { data, ...rest } = found;
  return { ...rest, contact: storedContact(data) };
}
