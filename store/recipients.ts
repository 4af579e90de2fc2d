/**
 * Who may be written to for a purpose: active contacts with a primary address whose consent is proven as given, and whose address nobody
 * else holds with a stricter word (one address, several contacts: the strictest stands). One recipient an address: the oldest holder.
 */
import { consentState, strictest } from '../domain/consent.ts';
import type { ConsentEvent } from '../domain/consent.ts';
import type { Contact, ContactId } from '../domain/contact.ts';
import { consentEventsOf, knownStatements } from './consents.ts';
import { suppressed, toContact } from './contacts.ts';
import type { ContactRow } from './contacts.ts';
import { rows } from './db.ts';
import type { Db } from './db.ts';
import type { Keyring } from './keyring.ts';
import { primaryKey } from './load.ts';

export interface Recipient {
  contactId: ContactId;
  email: string;
  givenName: string | null;
  familyName: string | null;
  organisation: string | null;
  locale: string | null;
  /** When the consent began, as stated. */
  since: string | null;
  /** The event that proves it. */
  evidence: number;
}

const PAGE = 500;

/**
 * Pages through all recipients in the order of the contacts' creation. Each page reads the consents as they are then, so that a withdrawal
 * during a long export is honoured from its moment on.
 */
export async function* recipients(db: Db, keyring: Keyring, purpose: string): AsyncGenerator<Recipient[]> {
  const statements = await knownStatements(db);
  for (let after = 0; ;) {
    // A contact without a single 'given' cannot be a recipient; the fold decides about the others.
    const found = await rows<ContactRow>(
      db,
      `select c.* from contacts c where c.seq > ? and c.state = 'active' and cardinality(c.emails) > 0
         and exists (select 1 from consent_events e where e.contact_id = c.id and e.purpose = ? and e.kind = 'given')
       order by c.seq limit ?`,
      [after, purpose, PAGE],
    );
    const contacts = found.map(toContact);
    const last = contacts.at(-1);
    if (last === undefined) return;
    after = last.seq;
    yield await permitted(db, keyring, purpose, statements, contacts);
    if (contacts.length < PAGE) return;
  }
}

async function permitted(
  db: Db,
  keyring: Keyring,
  purpose: string,
  statements: ReadonlySet<string>,
  contacts: Contact[],
): Promise<Recipient[]> {
  const keyed = contacts.flatMap((contact) => {
    const key = primaryKey(contact);
    return key === null ? [] : [{ contact, key }];
  });
  const holders = await holdersOf(
    db,
    keyed.map((k) => k.key),
  );
  const ids = new Set([...keyed.map((k) => k.contact.id), ...[...holders.values()].flat().map((h) => h.id)]);
  const [events, stones] = await Promise.all([
    consentEventsOf(db, [...ids]),
    suppressed(
      db,
      keyring,
      keyed.map((k) => k.contact),
    ),
  ]);
  const ofPurpose = (id: ContactId): ConsentEvent[] => (events.get(id) ?? []).filter((e) => e.purpose === purpose);

  const allowed: Recipient[] = [];
  for (const [at, { contact, key }] of keyed.entries()) {
    if ((stones[at]?.length ?? 0) > 0) continue;
    const own = consentState(ofPurpose(contact.id), statements);
    if (own.state !== 'given' || own.evidence === null) continue;
    const others = (holders.get(key) ?? []).filter((h) => h.id !== contact.id);
    const states = others.map((h) => consentState(ofPurpose(h.id), statements).state);
    if (strictest([own.state, ...states]) !== 'given') continue;
    if (others.some((h) => h.seq < contact.seq && h.primary === key)) continue;
    allowed.push({
      contactId: contact.id,
      email: contact.emails[0] ?? '',
      givenName: contact.givenName,
      familyName: contact.familyName,
      organisation: contact.organisation,
      locale: contact.locale,
      since: own.since,
      evidence: own.evidence,
    });
  }
  return allowed;
}

interface Holder {
  id: ContactId;
  seq: number;
  /** Normalised primary address. */
  primary: string | null;
}

async function holdersOf(db: Db, keys: string[]): Promise<Map<string, Holder[]>> {
  const found = await rows<{ id: ContactId; seq: number; emails: string[]; norm: string }>(
    db,
    `select c.id, c.seq, c.emails, a.norm from contact_addresses a join contacts c on c.id = a.contact_id
     where a.norm = any (?::text[]) and c.state = 'active' order by c.seq`,
    [[...new Set(keys)]],
  );
  const holders = new Map<string, Holder[]>();
  for (const { id, seq, emails, norm } of found) {
    const list = holders.get(norm) ?? [];
    list.push({ id, seq, primary: primaryKey({ emails }) });
    holders.set(norm, list);
  }
  return holders;
}
