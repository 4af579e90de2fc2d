/** What an imported row changes in a contact that is known already: nothing, where it says nothing new. */
import { parseEmail } from './address.ts';
import type { ContactData } from './contact.ts';
import { parsePhone } from './phone.ts';
import { parseMoment } from './time.ts';

export interface Merge {
  /** Only fields whose value changes. */
  changes: Partial<ContactData>;
  /** A reference other than the contact's own: another name for the same person, never a change of the first. */
  alias: string | null;
}

/**
 * Lays a row over a record. An address or number in another spelling (case, spaces, IDN form) is no change, so a double of a person
 * changes nothing. A new first address or number takes the first place of the old one; further ones stay.
 */
export function mergeInto(existing: ContactData, incoming: Partial<ContactData>): Merge {
  const { externalRef, emails, phones, attributes, ...plain } = incoming;
  const changes: Partial<ContactData> = {};
  for (const field of Object.keys(plain) as (keyof typeof plain)[]) {
    if (plain[field] !== undefined && !isSameValue(existing[field], plain[field])) copy(changes, plain, field);
  }

  const mergedEmails = mergeList(existing.emails, emails, emailKey);
  if (mergedEmails !== null) changes.emails = mergedEmails;
  const mergedPhones = mergeList(existing.phones, phones, phoneKey);
  if (mergedPhones !== null) changes.phones = mergedPhones;

  const newAttributes = Object.entries(attributes ?? {}).filter(
    ([name, value]) => (existing.attributes[name] ?? null) !== value,
  );
  if (newAttributes.length > 0) changes.attributes = { ...existing.attributes, ...Object.fromEntries(newAttributes) };

  let alias: string | null = null;
  if (externalRef !== undefined && externalRef !== null && externalRef !== existing.externalRef) {
    if (existing.externalRef === null) changes.externalRef = externalRef;
    else alias = externalRef;
  }
  return { changes, alias };
}

function copy<T extends object, K extends keyof T>(to: Partial<T>, from: Partial<T>, field: K): void {
  const value = from[field];
  if (value !== undefined) to[field] = value;
}

/** Moments are the same in every notation. */
function isSameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'string' || typeof b !== 'string') return false;
  const ms = parseMoment(a);
  return ms !== null && ms === parseMoment(b);
}

/** The new list, or null where nothing changes. An empty incoming list empties; one value replaces the first place only. */
function mergeList(
  existing: readonly string[],
  incoming: readonly string[] | undefined,
  keyOf: (value: string) => string,
): string[] | null {
  if (incoming === undefined) return null;
  if (incoming.length === 0) return existing.length === 0 ? null : [];
  const had = new Set(existing.map(keyOf));
  if (incoming.every((value) => had.has(keyOf(value)))) return null;
  const [first] = incoming;
  const isNewFirst = first !== undefined && !had.has(keyOf(first));
  const kept = isNewFirst ? existing.slice(1) : existing;
  const added = incoming.filter((value) => !had.has(keyOf(value)));
  return isNewFirst ? [first, ...kept, ...added.slice(1)] : [...kept, ...added];
}

function emailKey(value: string): string {
  const parsed = parseEmail(value);
  return parsed.ok ? parsed.key : value;
}

function phoneKey(value: string): string {
  const parsed = parsePhone(value);
  return parsed.ok ? parsed.canonical : value;
}
