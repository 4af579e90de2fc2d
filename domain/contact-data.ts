/** The one validation of a contact's data, for every door: API, CSV, preference centre. */
import { parseEmail } from './address.ts';
import { readAttribute, type AttributeDeclarations } from './attributes.ts';
import { cleanText } from './clean-text.ts';
import { RELATIONSHIPS, type AttributeValue, type ContactData, type Relationship } from './contact.ts';
import { sentenceFor, type DataFaultCode } from './data-faults.ts';
import { readDate } from './dates.ts';
import { MAX_PHONE_LENGTH, parsePhone } from './phone.ts';
import { foldCase } from './text.ts';
import { DAY_MS, parseMoment } from './time.ts';

/** Most characters (UTF-16 units) per field. Wide enough for real names and addresses of every country. */
export const TEXT_LIMITS = {
  externalRef: 100,
  givenName: 100,
  familyName: 100,
  organisation: 200,
  street: 250,
  city: 100,
  postcode: 20,
  accountManager: 100,
  source: 100,
} as const;
export const MAX_EMAILS = 20;
export const MAX_PHONES = 20;
const MAX_CODE_LENGTH = 35;

/** `field` is `givenName`, `emails.0`, `attributes.vip`; `sentence` is for people and never holds the value. */
export interface DataError {
  field: string;
  code: DataFaultCode;
  sentence: string;
}
export interface DataWarning {
  field: string;
  code: 'invisible_removed' | 'line_break_joined' | 'double_removed';
}
export interface ValidatedData {
  /** The fields that were given and are valid, in the form to store. */
  data: Partial<ContactData>;
  /** Empty where all is well; one per bad value. */
  errors: DataError[];
  warnings: DataWarning[];
}

type TextField = keyof typeof TEXT_LIMITS;
type DateField = 'obtainedAt' | 'contractEnd' | 'lastTransactionAt';

/**
 * Validates and cleans the given fields of a contact; absent fields stay absent, null and empty text become null. Dates in the future are
 * refused for what is past by its nature (`obtainedAt`, `lastTransactionAt`), where `now` (ISO 8601) is given; a day's
 * tolerance covers the time zones. Never throws, whatever the values are.
 */
export function validateContactData(
  input: Readonly<Record<string, unknown>>,
  declarations: AttributeDeclarations,
  now?: string,
): ValidatedData {
  const check = new Check(declarations, now);
  for (const field of Object.keys(input)) check.field(field, input[field]);
  return check.validated;
}

class Check {
  readonly validated: ValidatedData = { data: {}, errors: [], warnings: [] };
  readonly #declarations: AttributeDeclarations;
  readonly #latestPast: number;

  constructor(declarations: AttributeDeclarations, now: string | undefined) {
    this.#declarations = declarations;
    const nowMs = now === undefined ? null : parseMoment(now);
    this.#latestPast = nowMs === null ? Number.POSITIVE_INFINITY : nowMs + DAY_MS;
  }

  field(field: string, value: unknown): void {
    if (value === undefined) return;
    switch (field) {
      case 'emails':
      case 'phones':
        return this.#list(field, value);
      case 'attributes':
        return this.#attributes(value);
      case 'obtainedAt':
      case 'contractEnd':
      case 'lastTransactionAt':
        return this.#date(field, value);
      case 'country':
        return this.#code(field, value, canonicalCountry, 'unknown_country');
      case 'locale':
        return this.#code(field, value, canonicalLocale, 'bad_locale');
      case 'relationship':
        return this.#relationship(value);
      default:
        if (isTextField(field)) return this.#text(field, value);
        this.#fault(safeName(field), 'unknown_field');
    }
  }

  #text(field: TextField, value: unknown): void {
    if (value === null) {
      this.validated.data[field] = null;
      return;
    }
    if (typeof value !== 'string') return this.#fault(field, 'not_text');
    const limit = TEXT_LIMITS[field];
    const cleaned = cleanText(value, { limit, lines: field === 'street' ? 'join' : 'refuse' });
    if (!cleaned.ok) return this.#fault(field, cleaned.code, limit);
    this.validated.data[field] = cleaned.text;
    if (cleaned.changed !== null) this.validated.warnings.push({ field, code: cleaned.changed });
  }

  #date(field: DateField, value: unknown): void {
    if (value === null || (typeof value === 'string' && value.trim() === '')) {
      this.validated.data[field] = null;
      return;
    }
    if (typeof value !== 'string') return this.#fault(field, 'not_text');
    const date = readDate(value);
    if (!date.ok) return this.#fault(field, date.code);
    if (field !== 'contractEnd' && date.ms > this.#latestPast) return this.#fault(field, 'future_date');
    this.validated.data[field] = field === 'contractEnd' ? date.day : date.moment;
  }

  #code(
    field: 'country' | 'locale',
    value: unknown,
    canonical: (text: string) => string | null,
    code: DataFaultCode,
  ): void {
    if (value === null) {
      this.validated.data[field] = null;
      return;
    }
    if (typeof value !== 'string') return this.#fault(field, 'not_text');
    const text = value.trim();
    const found = text.length > MAX_CODE_LENGTH ? null : canonical(text);
    if (found === null && text !== '') return this.#fault(field, code);
    this.validated.data[field] = found;
  }

  #relationship(value: unknown): void {
    if (value !== null && typeof value !== 'string') return this.#fault('relationship', 'not_text');
    const word = foldCase((value ?? '').trim()).replace(/[\s-]+/g, '_');
    const found = RELATIONSHIPS.find((relationship: Relationship) => relationship === word) ?? null;
    if (found === null && word !== '') return this.#fault('relationship', 'unknown_relationship');
    this.validated.data.relationship = found;
  }

  #list(field: 'emails' | 'phones', value: unknown): void {
    const limit = field === 'emails' ? MAX_EMAILS : MAX_PHONES;
    if (!Array.isArray(value)) return this.#fault(field, 'not_a_list');
    if (value.length > limit) return this.#fault(field, 'too_many', limit);
    const found = new Map<string, string>();
    let good = true;
    for (const [index, entry] of (value as unknown[]).entries()) {
      const read = readEntry(field, entry);
      if (!read.ok) {
        this.#fault(`${field}.${index}`, read.reason, field === 'emails' ? undefined : MAX_PHONE_LENGTH);
        good = false;
      } else if (found.has(read.key)) {
        this.validated.warnings.push({ field: `${field}.${index}`, code: 'double_removed' });
      } else {
        found.set(read.key, read.value);
      }
    }
    if (good) this.validated.data[field] = [...found.values()];
  }

  #attributes(value: unknown): void {
    if (value === null || typeof value !== 'object' || Array.isArray(value))
      return this.#fault('attributes', 'not_an_object');
    const read: Record<string, AttributeValue> = {};
    for (const [name, given] of Object.entries(value)) {
      const declaration = Object.hasOwn(this.#declarations, name) ? this.#declarations[name] : undefined;
      if (declaration === undefined) {
        this.#fault(`attributes.${safeName(name)}`, 'unknown_attribute');
        continue;
      }
      const attribute = readAttribute(declaration, given);
      if (attribute.ok) read[name] = attribute.value;
      else this.#fault(`attributes.${name}`, attribute.code, attribute.limit);
    }
    this.validated.data.attributes = read;
  }

  #fault(field: string, code: DataFaultCode, limit?: number): void {
    this.validated.errors.push({ field, code, sentence: sentenceFor(code, limit) });
  }
}

function isTextField(field: string): field is TextField {
  return Object.hasOwn(TEXT_LIMITS, field);
}

function readEntry(
  field: 'emails' | 'phones',
  entry: unknown,
): { ok: true; key: string; value: string } | { ok: false; reason: DataFaultCode } {
  if (typeof entry !== 'string') return { ok: false, reason: 'not_text' };
  if (field === 'emails') {
    const email = parseEmail(entry);
    return email.ok ? { ok: true, key: email.key, value: email.address } : email;
  }
  const phone = parsePhone(entry);
  return phone.ok ? { ok: true, key: phone.canonical, value: phone.phone } : phone;
}

/** A field name from outside may be anything, a person's address too: what is no plain name is not repeated. */
function safeName(name: string): string {
  return /^[A-Za-z][A-Za-z0-9_.-]{0,60}$/.test(name) ? name : '?';
}

/** Asks `Intl` once for each text: an import asks the same few again and again, and each answer was a tenth or a twentieth of its time. */
function remembered(find: (text: string) => string | null): (text: string) => string | null {
  const found = new Map<string, string>();
  return (text) => {
    const known = found.get(text);
    if (known !== undefined) return known;
    const value = find(text);
    if (value !== null && found.size < REMEMBERED_AT_MOST) found.set(text, value);
    return value;
  };
}

const REMEMBERED_AT_MOST = 500;

/** ISO 3166-1 alpha-2 in capitals; withdrawn or colloquial codes become the present one (`UK` is `GB`). */
const canonicalCountry = remembered((text) => {
  if (!/^[A-Za-z]{2}$/.test(text)) return null;
  const region = new Intl.Locale(`und-${text}`).region ?? '';
  const isKnown = REGION_NAMES.of(region) !== undefined && /^[A-Z]{2}$/.test(region) && !UNASSIGNED_REGIONS.has(region);
  return isKnown ? region : null;
});

const REGION_NAMES = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' });

/** Codes that CLDR names and ISO 3166-1 does not assign to a country. */
const UNASSIGNED_REGIONS: ReadonlySet<string> = new Set(['EU', 'EZ', 'UN', 'XA', 'XB', 'ZZ', 'QO']);

const canonicalLocale = remembered((text) => {
  try {
    return Intl.getCanonicalLocales(text.replaceAll('_', '-'))[0] ?? null;
  } catch {
    return null;
  }
});
