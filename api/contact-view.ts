/** A contact as the doors show it, and the two ways in which it is not there. */
import type { Contact, ContactData, ContactId } from '../domain/contact.ts';
import { consentStates } from '../domain/consent.ts';
import type { ConsentResult } from '../domain/consent.ts';
import { consentEventsOf, knownStatements } from '../store/consents.ts';
import { contactVersion, getContact } from '../store/contacts.ts';
import type { Db, Tx } from '../store/db.ts';
import type { ApiConfig } from './deps.ts';
import { Problem } from './errors.ts';

/** @throws Problem not_found, erased */
export async function standingContact(db: Db | Tx, id: ContactId): Promise<Contact> {
  const contact = await existingContact(db, id);
  if (contact.state === 'erased') throw erasedProblem();
  return contact;
}

/** Erased ones too. @throws Problem not_found */
export async function existingContact(db: Db | Tx, id: ContactId): Promise<Contact> {
  const contact = await getContact(db, id);
  if (contact === undefined) throw new Problem('not_found', 'There is no such contact.');
  return contact;
}

/**
 * A contact as a write left it: what an idempotent request is answered with again. A version that was emptied since (a purge) is not there any
 * more; then the contact as it is.
 * @throws Problem erased, whatever the first answer was
 */
export async function contactAsOf(db: Db | Tx, id: ContactId, version: number): Promise<Contact> {
  const contact = await standingContact(db, id);
  if (contact.version === version) return contact;
  return (await contactVersion(db, id, version))?.contact ?? contact;
}

export function erasedProblem(): Problem {
  return new Problem('erased', 'The contact was erased; its deliveries and its case say how far.');
}

export type ShownContact = Omit<Contact, 'seq'>;

/** Without the order of creation, which is ours. */
export function shown(contact: Contact): ShownContact {
  const { seq: _seq, ...rest } = contact;
  return rest;
}

/**
 * Consent for every configured purpose, and for those that only the evidence knows.
 * @param upTo the last event that counts, by its place in the central sequence; all where left out
 */
export async function consentsOf(
  db: Db | Tx,
  config: ApiConfig,
  id: ContactId,
  upTo = Infinity,
): Promise<Record<string, ConsentResult>> {
  const [events, statements] = await Promise.all([consentEventsOf(db, [id]), knownStatements(db)]);
  const own = (events.get(id) ?? []).filter((event) => event.id <= upTo);
  const purposes = new Set([...Object.keys(config.purposes), ...own.map((e) => e.purpose)]);
  return consentStates(own, [...purposes], statements);
}

/** The strong entity tag of a version (RFC 9110 section 8.8.3). */
export function etagOf(contact: Pick<Contact, 'version'>): string {
  return `"${contact.version}"`;
}

/** True where no field is given or all are empty: nobody to keep a record of. */
export function saysNothing(data: Partial<ContactData>): boolean {
  return Object.values(data).every(
    (value) => value === null || (typeof value === 'object' && Object.keys(value).length === 0),
  );
}
