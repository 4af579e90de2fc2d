/**
 * Records with further contact persons. Such a record is an organisation's: only our person's fields in it are touched, it is
 * never archived for one of them, and its name, phones and addresses are not compared.
 */
import { Contact, ContactPerson } from 'xero-node';
import type { Item } from '../kit/connector.ts';
import { addressKey, nameKey } from './find.ts';
import { withoutPerson } from './mapping.ts';
import { bareName, neutralName } from './names.ts';

/** The targets that belong to a person of a shared record. */
export const PERSON_TARGETS = { FirstName: 'firstName', LastName: 'lastName', EmailAddress: 'emailAddress' } as const;
type PersonTarget = keyof typeof PERSON_TARGETS;
const TARGETS = Object.keys(PERSON_TARGETS) as PersonTarget[];

export type Place = { kind: 'primary' } | { kind: 'person'; index: number } | { kind: 'none' };

export function isShared(contact: Contact): boolean {
  return (contact.contactPersons ?? []).length > 0;
}

/** Where in the record our person is: by address, by our reference, by name. */
export function placeOf(contact: Contact, item: Item): Place {
  const persons = contact.contactPersons ?? [];
  const known = new Set([...item.identity.addresses, item.want.key ?? ''].filter(Boolean).map(addressKey));
  const isKnown = (address: string | undefined): boolean => address !== undefined && known.has(addressKey(address));
  if (isKnown(contact.emailAddress)) return { kind: 'primary' };
  const byAddress = persons.findIndex((person) => isKnown(person.emailAddress));
  if (byAddress >= 0) return { kind: 'person', index: byAddress };
  if (contact.contactNumber === item.reference) return { kind: 'primary' };
  const names = new Set(item.identity.names.map(nameKey));
  const isNamed = (each: Contact | ContactPerson): boolean =>
    names.has(nameKey(`${each.firstName ?? ''} ${each.lastName ?? ''}`));
  if (isNamed(contact)) return { kind: 'primary' };
  const byName = persons.findIndex(isNamed);
  return byName >= 0 ? { kind: 'person', index: byName } : { kind: 'none' };
}

/** What the record holds of the person in that place. */
export function personFields(contact: Contact, place: Place): Record<PersonTarget, string> {
  const held = place.kind === 'person' ? contact.contactPersons?.[place.index] : contact;
  return {
    FirstName: held?.firstName ?? '',
    LastName: held?.lastName ?? '',
    EmailAddress: held?.emailAddress ?? '',
  };
}

/** The write that makes the record hold these fields of the person; null when it does. */
export function personElement(
  contact: Contact,
  place: Exclude<Place, { kind: 'none' }>,
  fields: Readonly<Record<string, string>>,
): Contact | null {
  const held = personFields(contact, place);
  const changed = TARGETS.filter((target) => fields[target] !== undefined && fields[target] !== held[target]);
  if (changed.length === 0) return null;
  const element = new Contact();
  element.contactID = contact.contactID ?? '';
  if (place.kind === 'primary') {
    for (const target of changed) element[PERSON_TARGETS[target]] = fields[target] ?? '';
    return element;
  }
  element.contactPersons = (contact.contactPersons ?? []).map((person, index) => {
    const next = Object.assign(new ContactPerson(), person);
    if (index === place.index) for (const target of changed) next[PERSON_TARGETS[target]] = fields[target] ?? '';
    return next;
  });
  return element;
}

/** The write that takes the person out of the record; null when nothing of them is left. */
export function departureElement(contact: Contact, item: Item): Contact | null {
  const place = placeOf(contact, item);
  if (place.kind === 'none') return null;
  if (place.kind === 'person') {
    const element = new Contact();
    element.contactID = contact.contactID ?? '';
    element.contactPersons = (contact.contactPersons ?? []).filter((_, index) => index !== place.index);
    return element;
  }
  const name = bareName(contact.name ?? '', item.reference);
  const isPersonsName = item.identity.names.some((each) => nameKey(each) === nameKey(name));
  const isEmpty = TARGETS.every((target) => personFields(contact, place)[target] === '');
  if (isEmpty && !isPersonsName) return null;
  // A record that carries our reference was the person's before others were added: what we wrote there goes too.
  const element = contact.contactNumber === item.reference ? withoutPerson() : new Contact();
  element.contactID = contact.contactID ?? '';
  for (const target of TARGETS) element[PERSON_TARGETS[target]] = '';
  if (isPersonsName) element.name = neutralName(item.reference);
  return element;
}
