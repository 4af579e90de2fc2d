/** A contact of Xero as the engine reads it. */
import type { Contact } from 'xero-node';
import type { Item, Observation } from '../kit/connector.ts';
import { addressesOf, isNamed, whoseIs } from './find.ts';
import { holdsNobody, readTarget } from './mapping.ts';
import { bareName, neutralName } from './names.ts';
import { departureElement, isShared, personFields, placeOf } from './shared.ts';
import type { Place } from './shared.ts';

/** Statuses in which a contact is out of use. Xero sets the second itself while it handles a request to be forgotten. */
export function isArchived(contact: Contact): boolean {
  const status = String(contact.contactStatus);
  return status === 'ARCHIVED' || status === 'GDPRREQUEST';
}

/** True where neither a name nor anything else of a person is left. */
export function isScrubbed(contact: Contact, reference: string): boolean {
  return reference !== '' && (contact.name ?? '').startsWith(neutralName(reference)) && holdsNobody(contact);
}

/** @param item who is looked for; absent in scans */
export function observe(contact: Contact, targets: Iterable<string>, item?: Item): Observation {
  const number = contact.contactNumber ?? '';
  const reference = item?.reference ?? number;
  const observation: Observation = {
    externalId: contact.contactID ?? '',
    reference: number === '' ? null : number,
    presence: presenceOf(contact, reference, item),
    addresses: addressesOf(contact),
    fields: {},
    consents: {},
    ...(contact.updatedDateUTC === undefined ? {} : { changedAt: contact.updatedDateUTC.toISOString() }),
  };
  if (isShared(contact)) {
    observation.shared = true;
    // Only what is the person's is told; in a scan only where the record carries our reference is it known who that is.
    const place: Place = item === undefined ? { kind: number === '' ? 'none' : 'primary' } : placeOf(contact, item);
    if (place.kind !== 'none') {
      const held: Record<string, string> = personFields(contact, place);
      for (const target of targets) if (held[target] !== undefined) observation.fields[target] = held[target];
    }
    return observation;
  }
  for (const target of targets) {
    const value = readTarget(contact, target);
    observation.fields[target] = target === 'Name' ? bareName(value, reference) : value;
  }
  return observation;
}

const LEAVING: readonly string[] = ['erased', 'purged', 'outside'];

/** True where the record says anything of the person: an organisation's goes on when they have left it. */
function isTraced(contact: Contact, item: Item): boolean {
  if (isShared(contact)) return departureElement(contact, item) !== null;
  return whoseIs(contact, item, true) !== 'other' || isNamed(contact, item);
}

/** Archived with nothing personal left is all the "gone" that Xero knows. */
function presenceOf(contact: Contact, reference: string, item: Item | undefined): Observation['presence'] {
  if (isArchived(contact)) return isScrubbed(contact, reference) ? 'gone' : 'archived';
  return item !== undefined && LEAVING.includes(item.want.presence) && !isTraced(contact, item) ? 'gone' : 'present';
}
