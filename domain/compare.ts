/**
 * Does a system hold what it should? Vendors rewrite values (case, spaces, phones, dates, length), so each kind of
 * field is compared in a canonical form of its own.
 */
import { parseEmail, suppressionKey } from './address.ts';
import { parsePhone } from './phone.ts';
import { collapseSpaces, cutAt, foldCase } from './text.ts';
import { dayOf, parseDay, parseMoment } from './time.ts';
import type { ConsentWant, FieldKind, FieldRule, Want } from './want.ts';

/** The part of an observation that is compared. Absent fields are empty, absent consents are `none`. */
export interface Observed {
  presence: 'present' | 'archived' | 'gone';
  addresses: readonly string[];
  fields: Readonly<Record<string, string>>;
  /** Target → `subscribed`, `unsubscribed`, `complained`, `pending`, `undeliverable`, `off` or `none`. */
  consents: Readonly<Record<string, string>>;
}

export interface Differences {
  /** Vendor properties that differ. */
  fields: string[];
  /** Vendor consent targets that differ. */
  consents: string[];
  /** True where the record is not known by the wanted address. */
  key: boolean;
  /** True where it is there and should not be, or the other way round. */
  presence: boolean;
}

/** Compares what is wanted with what was read. A record that rightly is not there has no differences within it. */
export function differences(want: Want, observed: Observed, rules: readonly FieldRule[]): Differences {
  const none: Differences = { fields: [], consents: [], key: false, presence: false };
  switch (want.presence) {
    case 'carried':
      return none;
    case 'erased':
      // An archived record still holds the person: only gone is gone.
      return { ...none, presence: observed.presence !== 'gone' };
    case 'purged':
    case 'outside':
      return { ...none, presence: observed.presence === 'present' };
    case 'if_there':
      return observed.presence === 'present' ? contentDifferences(want, observed, rules) : none;
    case 'present':
      return { ...contentDifferences(want, observed, rules), presence: observed.presence !== 'present' };
  }
}

export function hasDifferences(found: Differences): boolean {
  return found.presence || found.key || found.fields.length > 0 || found.consents.length > 0;
}

function contentDifferences(want: Want, observed: Observed, rules: readonly FieldRule[]): Differences {
  const ruleOf = rulesByTarget(rules);
  const fields = Object.keys(want.fields).filter((target) => {
    const rule = ruleOf.get(target);
    const kind = rule?.kind ?? 'text';
    const wanted = cutAt(want.fields[target] ?? '', rule?.maxLength);
    return !isSameValue(kind, wanted, observed.fields[target] ?? '');
  });
  const consents = Object.keys(want.consents).filter((target) => {
    const wanted = want.consents[target];
    return wanted !== undefined && !isConsentAsWanted(wanted, observed.consents[target] ?? 'none');
  });
  return { fields, consents, key: isUnderAnotherKey(want.key, observed.addresses), presence: false };
}

const targets = new WeakMap<readonly FieldRule[], Map<string, FieldRule>>();

/** Rules are compared with thousands of records: indexed once. */
function rulesByTarget(rules: readonly FieldRule[]): Map<string, FieldRule> {
  let found = targets.get(rules);
  if (found === undefined) {
    found = new Map(rules.map((rule) => [rule.target, rule]));
    targets.set(rules, found);
  }
  return found;
}

/** Equal texts need no canonical form. */
function isSameValue(kind: FieldKind, a: string, b: string): boolean {
  return a === b || canonicalValue(kind, a) === canonicalValue(kind, b);
}

function isUnderAnotherKey(key: string | null, addresses: readonly string[]): boolean {
  if (key === null) return false;
  if (addresses.includes(key)) return false;
  const wanted = emailForm(key);
  return !addresses.some((address) => emailForm(address) === wanted);
}

/**
 * True where the vendor's state needs no write. An undeliverable address (bounced, cleaned) is sent nothing whatever is wanted.
 * `pending` waits for the person at the vendor: writing again would mail them again. A complaint is as strict as unsubscribed.
 */
function isConsentAsWanted(want: ConsentWant, observed: string): boolean {
  switch (want.state) {
    case 'untouched':
      return true;
    case 'subscribed':
      return observed === 'subscribed' || observed === 'pending' || observed === 'undeliverable';
    case 'unsubscribed':
      return ['unsubscribed', 'complained', 'undeliverable', 'off'].includes(observed);
  }
}

/**
 * One form for all texts that a vendor may give back for the same value of this kind. A national telephone number and an
 * international one stay different, because the country is not known; a value that does not read as its kind is compared as text.
 */
export function canonicalValue(kind: FieldKind, value: string): string {
  const text = collapseSpaces(value);
  if (text === '') return '';
  switch (kind) {
    case 'text':
      return text;
    case 'caseless':
      return foldCase(text);
    case 'email':
      return emailForm(text);
    case 'phone': {
      const parsed = parsePhone(text);
      return parsed.ok ? parsed.canonical : text;
    }
    case 'date':
      return dateForm(text);
    case 'number': {
      const number = Number(text);
      return Number.isFinite(number) ? String(number + 0) : text;
    }
    case 'boolean':
      return booleanForm(text);
  }
}

function emailForm(address: string): string {
  const parsed = parseEmail(address);
  return parsed.ok ? parsed.key : suppressionKey(address);
}

const VENDOR_DATE = /^\/Date\((-?\d{1,15})(?:[+-]\d{4})?\)\/$/;

/** `YYYY-MM-DD` of a day, a moment, Xero's `/Date(ms+0000)/` or milliseconds since 1970. */
function dateForm(text: string): string {
  if (parseDay(text) !== null) return text;
  const vendor = VENDOR_DATE.exec(text)?.[1] ?? (/^-?\d{10,14}$/.test(text) ? text : undefined);
  const ms = vendor === undefined ? parseMoment(withOffset(text)) : Number(vendor);
  return ms === null || Math.abs(ms) > 8.64e15 ? text : dayOf(ms);
}

/** Vendors write moments without an offset and mean UTC. */
function withOffset(text: string): string {
  return /T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?$/.test(text) ? `${text}Z` : text;
}

function booleanForm(text: string): string {
  const folded = foldCase(text);
  if (['true', 'yes', '1', 'on'].includes(folded)) return 'true';
  if (['false', 'no', '0', 'off'].includes(folded)) return 'false';
  return folded;
}
