/**
 * Emptying a record. Erasure (GDPR Art. 17) and retention purge share the way: one transaction empties the contact, its versions and
 * free texts into a sealed ticket and marks every system; erasure alone leaves tombstones.
 */
import { nameKey, parseEmail, suppressionKey } from '../domain/address.ts';
import type { Contact, ContactId } from '../domain/contact.ts';
import { toContact } from './contacts.ts';
import type { ContactRow } from './contacts.ts';
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';
import type { Keyring } from './keyring.ts';
import type { TicketContent } from './load.ts';

export interface HoldRow {
  id: string;
  contactId: ContactId;
  ground: string;
  until: string | null;
  reviewOn: string | null;
}

/** Holds that keep the data today. */
export async function activeHoldsOf(tx: Db | Tx, ids: ContactId[]): Promise<HoldRow[]> {
  return rows<HoldRow>(
    tx,
    `select id, contact_id as "contactId", ground, until, review_on as "reviewOn" from holds
     where contact_id = any (?::uuid[]) and released_at is null and (until is null or until >= current_date)`,
    [ids],
  );
}

/** Locks a contact for emptying. */
export async function lockContact(tx: Tx, id: ContactId): Promise<Contact | undefined> {
  const found = await row<ContactRow>(tx, 'select * from contacts where id = ? for no key update', [id]);
  return found === undefined ? undefined : toContact(found);
}

function displayNames(contact: Contact): string[] {
  const full = [contact.givenName, contact.familyName].filter((n) => n !== null).join(' ');
  return [full, contact.familyName ?? '', contact.givenName ?? ''].filter((n) => n !== '');
}

async function gather(
  tx: Tx,
  keyring: Keyring,
  contact: Contact,
): Promise<{ content: TicketContent; past: Contact[] }> {
  const id = contact.id;
  const versions = await rows<{ data: ContactRow }>(
    tx,
    'select data from contact_versions where contact_id = ? order by version desc',
    [id],
  );
  const past = [contact, ...versions.map((v) => toContact(v.data))];
  const known = await rows<{ system: string; known_key: string | null }>(
    tx,
    'select system, known_key from deliveries where contact_id = ?',
    [id],
  );
  const ids = await rows<{ system: string; external_id: string }>(
    tx,
    'select system, external_id from external_ids where contact_id = ? order by former, since desc',
    [id],
  );
  const externalIds: Record<string, string[]> = {};
  for (const { system, external_id } of ids) (externalIds[system] ??= []).push(external_id);
  const content: TicketContent = {
    addresses: [
      ...new Set([...past.flatMap((c) => c.emails), ...known.map((k) => k.known_key).filter((k) => k !== null)]),
    ],
    names: [...new Set(past.flatMap(displayNames))],
    externalIds,
    keys: Object.fromEntries(known.map((k) => [k.system, k.known_key])),
  };
  const earlier = await row<{ sealed: Buffer }>(tx, 'select sealed from tickets where contact_id = ?', [id]);
  if (earlier !== undefined) {
    const before = keyring.open<TicketContent>('ticket', earlier.sealed);
    content.addresses = [...new Set([...content.addresses, ...before.addresses])];
    content.names = [...new Set([...content.names, ...before.names])];
    for (const [system, held] of Object.entries(before.externalIds)) {
      content.externalIds[system] = [...new Set([...(content.externalIds[system] ?? []), ...held])];
    }
  }
  return { content, past };
}

async function writeTombstones(
  tx: Tx,
  keyring: Keyring,
  contact: Contact,
  content: TicketContent,
  past: Contact[],
): Promise<void> {
  const names = [...new Set(past.map((c) => nameKey(c.givenName, c.familyName)))];
  const stones: { kind: string; hash: Buffer }[] = [];
  for (const address of content.addresses) {
    const parsed = parseEmail(address);
    if (!parsed.ok) continue;
    const shared = await row(
      tx,
      `select 1 from contact_addresses a join contacts c on c.id = a.contact_id
       where a.norm = ? and a.contact_id <> ? and c.state = 'active' limit 1`,
      [parsed.key, contact.id],
    );
    const key = suppressionKey(address);
    if (shared === undefined) stones.push({ kind: 'email', hash: keyring.hash('email', key) });
    else
      for (const name of names)
        stones.push({ kind: 'email_name', hash: keyring.hash('email_name', `${key}\n${name}`) });
  }
  const aliases = await rows<{ ref: string }>(tx, 'select ref from contact_aliases where contact_id = ?', [contact.id]);
  const refs = new Set([...past.map((c) => c.externalRef), ...aliases.map((a) => a.ref)].filter((r) => r !== null));
  for (const ref of refs) stones.push({ kind: 'ref', hash: keyring.hash('ref', ref) });
  await rows(
    tx,
    `insert into tombstones (kind, hash, key_id, contact_id) select s.kind, s.hash, ?, ? from unnest(?::text[], ?::bytea[]) as s (kind, hash)
     on conflict do nothing`,
    [keyring.keyId, contact.id, stones.map((s) => s.kind), stones.map((s) => s.hash)],
  );
}

/**
 * Empties a locked contact into its sealed ticket and marks every system. Tombstones are written in the same transaction, before
 * anything is deleted at a vendor. The caller has checked holds under the same lock.
 */
export async function emptyContact(
  tx: Tx,
  keyring: Keyring,
  contact: Contact,
  state: 'erased' | 'purged',
): Promise<void> {
  const { content, past } = await gather(tx, keyring, contact);
  if (state === 'erased') await writeTombstones(tx, keyring, contact, content, past);
  await rows(
    tx,
    `insert into tickets (contact_id, kind, key_id, sealed) values (?, ?, ?, ?)
     on conflict (contact_id) do update set kind = excluded.kind, key_id = excluded.key_id, sealed = excluded.sealed`,
    [contact.id, state === 'erased' ? 'erasure' : 'purge', keyring.keyId, keyring.seal('ticket', content)],
  );
  await tx.raw(`select set_config('plumbline.process', ?, true)`, [state]);
  await rows(
    tx,
    `update contacts set state = ?, external_ref = null, given_name = null, family_name = null, emails = '{}', phones = '{}',
       organisation = null, street = null, city = null, postcode = null, country = null, locale = null, account_manager = null,
       source = null, attributes = '{}', relationship = null, obtained_at = null, contract_end = null, last_transaction_at = null
     where id = ?`,
    [state, contact.id],
  );
  await tx.raw(`select set_config('plumbline.process', '', true)`);
  await rows(tx, 'delete from contact_versions where contact_id = ? and version <= ?', [contact.id, contact.version]);
  await rows(tx, 'delete from free_texts where contact_id = ?', [contact.id]);
  await rows(tx, 'delete from contact_aliases where contact_id = ?', [contact.id]);
  await rows(tx, 'delete from external_ids where contact_id = ?', [contact.id]);
  await rows(
    tx,
    'update deliveries set known_key = null, message = null, data_hash = null, consent_hash = null, distrust = true where contact_id = ?',
    [contact.id],
  );
}

/**
 * Gives an emptied contact its id and addresses at a vendor back, sealed, so that its delivery can remove a copy that was found there
 * later and check whose it is.
 */
export async function reopenTicket(
  db: Db,
  keyring: Keyring,
  id: ContactId,
  system: string,
  copy: { externalId: string; addresses: string[] },
): Promise<void> {
  await db.transaction(async (tx) => {
    const contact = await lockContact(tx, id);
    if (contact === undefined || contact.state === 'active') return;
    const earlier = await row<{ sealed: Buffer }>(tx, 'select sealed from tickets where contact_id = ?', [id]);
    const content: TicketContent =
      earlier === undefined
        ? { addresses: [], names: [], externalIds: {}, keys: {} }
        : keyring.open<TicketContent>('ticket', earlier.sealed);
    content.addresses = [...new Set([...content.addresses, ...copy.addresses])];
    content.externalIds[system] = [...new Set([...(content.externalIds[system] ?? []), copy.externalId])];
    await rows(
      tx,
      `insert into tickets (contact_id, kind, key_id, sealed) values (?, ?, ?, ?)
       on conflict (contact_id) do update set key_id = excluded.key_id, sealed = excluded.sealed`,
      [id, contact.state === 'erased' ? 'erasure' : 'purge', keyring.keyId, keyring.seal('ticket', content)],
    );
  });
}

/** What became of a contact in each system. */
export interface SystemResult {
  system: string;
  open: boolean;
  outcome: string | null;
  code: string | null;
  verifiedAt: string | null;
  reviewOn: string | null;
}

/** The system has let go, or keeps lawfully what it must. */
const LET_GO = `('applied', 'unchanged', 'not_held', 'carried', 'retained', 'refused', 'not_supported')`;

/** How far an emptied contact is gone, per system. */
export async function emptiedProgress(db: Db | Tx, id: ContactId): Promise<SystemResult[]> {
  return rows<SystemResult>(
    db,
    `select d.system, d.wanted > d.settled
         or d.data_outcome is null or d.data_outcome not in ${LET_GO} as open,
       d.data_outcome as outcome, d.data_code as code, d.verified_at as "verifiedAt", d.review_on as "reviewOn"
     from deliveries d join systems s on s.name = d.system and not s.removed where d.contact_id = ? order by d.system`,
    [id],
  );
}

/**
 * Of a ticket: every system was read back as gone from, and nobody is to look for the person any more. A later reading needs the address: what a
 * vendor shows late is under no id that we know.
 */
const NOT_NEEDED = `
  not exists (
    select 1 from deliveries d join systems s on s.name = d.system and not s.removed
    where d.contact_id = t.contact_id and (d.wanted > d.settled or d.data_outcome is null or d.data_outcome not in ${LET_GO}))
  and not exists (
    select 1 from rechecks r join systems s on s.name = r.system and not s.removed where r.contact_id = t.contact_id)`;

/** Deletes the ticket of a contact if it is not needed any more. */
export async function closeTicket(db: Db, id: ContactId): Promise<void> {
  await rows(
    db,
    `with gone as (delete from tickets t where t.contact_id = ? and ${NOT_NEEDED} returning contact_id)
     delete from external_ids e using gone where e.contact_id = gone.contact_id and e.former`,
    [id],
  );
}

/** Deletes the tickets that are not needed any more and have no open case. @returns how many */
export async function closeTickets(db: Db): Promise<number> {
  const { closed } = await oneRow<{ closed: number }>(
    db,
    `with gone as (
       delete from tickets t where ${NOT_NEEDED}
         and not exists (select 1 from cases k where k.contact_id = t.contact_id and k.closed_at is null)
       returning contact_id),
     ids as (delete from external_ids e using gone where e.contact_id = gone.contact_id and e.former)
     select count(*)::integer as closed from gone`,
  );
  return closed;
}
