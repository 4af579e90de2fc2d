/** Looks for the records of people: by id, by our reference, by exact address, by name. */
import type { Contact } from 'xero-node';
import { parseEmail, suppressionKey } from '../../domain/address.ts';
import { foldCase } from '../../domain/text.ts';
import type { Gate, Item } from '../kit/connector.ts';
import type { Client } from './client.ts';
import { IDS_BATCH, WHERE_CHARS } from './limits.ts';
import { bareName, canBeAsked, neutralName } from './names.ts';

/**
 * The records under these ids, those they were merged into included. @throws ConnectorStop
 */
export async function byIds(client: Client, ids: readonly string[], gate: Gate): Promise<Map<string, Contact>> {
  const found = new Map<string, Contact>();
  let wanted = [...new Set(ids)].filter(isId);
  // A merged record may have been merged again; three steps are more than anybody has seen.
  for (let step = 0; step < 3 && wanted.length > 0; step += 1) {
    const pages = await Promise.all(chunks(wanted, IDS_BATCH).map((some) => client.contactsByIds(some, gate)));
    for (const contact of pages.flat()) found.set(contact.contactID ?? '', contact);
    const targets = pages.flat().flatMap((contact) => contact.mergedToContactID ?? []);
    wanted = [...new Set(targets)].filter((id) => !found.has(id));
  }
  return found;
}

/** An id that could not be one would have the whole list refused. */
function isId(id: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id);
}

/** The records that an item is known under, survivors of merges first. */
export function recordsOf(item: Pick<Item, 'externalIds'>, found: ReadonlyMap<string, Contact>): Contact[] {
  const records = new Map<string, Contact>();
  for (const id of item.externalIds) {
    let contact = found.get(id);
    for (let step = 0; step < 3 && contact?.mergedToContactID !== undefined; step += 1) {
      contact = found.get(contact.mergedToContactID);
    }
    if (contact?.contactID !== undefined) records.set(contact.contactID, contact);
  }
  return [...records.values()];
}

/** The records that hold one of the values, asked for in as few calls as fit. @throws ConnectorStop */
export async function whereAny(
  client: Client,
  field: 'ContactNumber' | 'EmailAddress' | 'Name',
  values: readonly string[],
  gate: Gate,
): Promise<Contact[]> {
  const clauses: string[] = [];
  let clause = '';
  for (const value of new Set(values.filter((each) => each !== '' && canBeAsked(each)))) {
    const term = `${field}=="${value}"`;
    const joined = clause === '' ? term : `${clause} OR ${term}`;
    if (clause !== '' && encodeURIComponent(joined).length > WHERE_CHARS) {
      clauses.push(clause);
      clause = term;
    } else clause = joined;
  }
  if (clause !== '') clauses.push(clause);
  const pages = await Promise.all(clauses.map((each) => client.contactsWhere(each, gate)));
  const found = new Map(pages.flat().map((contact) => [contact.contactID, contact]));
  return [...found.values()];
}

/** Every address that a record is known by, as Xero gives it. */
export function addressesOf(contact: Contact): string[] {
  const persons = contact.contactPersons ?? [];
  return [contact.emailAddress, ...persons.map((person) => person.emailAddress)].flatMap((address) =>
    address === undefined || address === '' ? [] : [address],
  );
}

/** How sure it is that a record is this person's. */
export type Whose = 'ours' | 'same_address_other_name' | 'other';

/**
 * @param isKnownId the record was found under an id that the item carries, so its owner was established before
 */
export function whoseIs(contact: Contact, item: Item, isKnownId: boolean): Whose {
  const number = contact.contactNumber ?? '';
  if (number === item.reference || (contact.name ?? '').startsWith(neutralName(item.reference))) return 'ours';
  // Another reference of ours: the record of somebody who shares the address.
  if (!isKnownId && isReference(number)) return 'other';
  const known = new Set(item.identity.addresses.map(addressKey));
  if (!addressesOf(contact).some((address) => known.has(addressKey(address)))) return 'other';
  if (isKnownId || item.identity.names.length === 0 || isNamed(contact, item)) return 'ours';
  return 'same_address_other_name';
}

export function addressKey(address: string): string {
  const parsed = parseEmail(address);
  return parsed.ok ? parsed.key : suppressionKey(address);
}

/** True where the record's name, or that of one of its persons, is one of the person's. */
export function isNamed(contact: Contact, item: Item): boolean {
  const names = new Set(item.identity.names.map(nameKey));
  const held = [contact, ...(contact.contactPersons ?? [])].map(
    (each) => `${each.firstName ?? ''} ${each.lastName ?? ''}`,
  );
  return [bareName(contact.name ?? '', contact.contactNumber ?? null), ...held].some((name) =>
    names.has(nameKey(name)),
  );
}

export function nameKey(name: string): string {
  return foldCase(name.replaceAll(/\s+/g, ' ').trim());
}

function isReference(number: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(number);
}

export function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size),
  );
}
