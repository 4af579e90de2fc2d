/** Reads the `from` paths of a field mapping: `givenName`, `emails.0`, `attributes.vip`, `fullName`, `id`. */
import type { Contact } from './contact.ts';

/** Fields that are one text each. */
export const PLAIN_FIELDS = [
  'externalRef',
  'givenName',
  'familyName',
  'organisation',
  'street',
  'city',
  'postcode',
  'country',
  'locale',
  'relationship',
  'accountManager',
  'source',
  'obtainedAt',
  'contractEnd',
  'lastTransactionAt',
  'id',
] as const;
type PlainField = (typeof PLAIN_FIELDS)[number];

function isPlainField(path: string): path is PlainField {
  return (PLAIN_FIELDS as readonly string[]).includes(path);
}

/** True for a path that `readPath` understands; attributes must be declared. For the check of a configuration. */
export function isKnownPath(path: string, attributeNames: readonly string[]): boolean {
  if (isPlainField(path) || path === 'fullName') return true;
  if (/^(?:emails|phones)\.\d{1,2}$/.test(path)) return true;
  return path.startsWith('attributes.') && attributeNames.includes(path.slice('attributes.'.length));
}

/** The value as text; the empty string where there is none or the path is unknown. */
export function readPath(contact: Contact, path: string): string {
  if (isPlainField(path)) return contact[path] ?? '';
  if (path === 'fullName') return fullNameOf(contact);
  const dot = path.indexOf('.');
  const head = path.slice(0, Math.max(dot, 0));
  const tail = path.slice(dot + 1);
  switch (head) {
    case 'emails':
      return contact.emails[Number(tail)] ?? '';
    case 'phones':
      return contact.phones[Number(tail)] ?? '';
    case 'attributes': {
      const value = Object.hasOwn(contact.attributes, tail) ? contact.attributes[tail] : null;
      return value === null || value === undefined ? '' : String(value);
    }
    default:
      return '';
  }
}

/** Given and family name; the organisation where a contact has neither. */
export function fullNameOf(contact: Pick<Contact, 'givenName' | 'familyName' | 'organisation'>): string {
  const name = `${contact.givenName ?? ''} ${contact.familyName ?? ''}`.trim();
  return name === '' ? (contact.organisation ?? '') : name;
}
