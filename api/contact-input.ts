/** From a body to the fields to store: the domain's one validation, with its faults as a problem document. */
import { validateContactData } from '../domain/contact-data.ts';
import type { DataError } from '../domain/contact-data.ts';
import type { AttributeValue, ContactData } from '../domain/contact.ts';
import type { ApiConfig } from './deps.ts';
import { Problem } from './errors.ts';
import type { FieldFault } from './errors.ts';
import type { ContactFieldsIn } from './schemas/contact.ts';

/** Null empties a list as it empties a text (RFC 7396). */
function withEmptied(input: ContactFieldsIn): Record<string, unknown> {
  return {
    ...input,
    ...(input.emails === null ? { emails: [] } : {}),
    ...(input.phones === null ? { phones: [] } : {}),
    ...(input.attributes === null ? { attributes: {} } : {}),
  };
}

export function faultsOf(errors: readonly DataError[], prefix = ''): FieldFault[] {
  return errors.map((error) => ({
    in: 'body',
    path: `${prefix}/${error.field.replaceAll('.', '/')}`,
    expected: error.sentence,
    code: error.code,
  }));
}

/** Reads fields. @returns either the data or what is wrong with them */
export function readContactFields(
  input: ContactFieldsIn,
  config: ApiConfig,
): { ok: true; data: Partial<ContactData> } | { ok: false; faults: DataError[] } {
  const { data, errors } = validateContactData(withEmptied(input), config.attributes, new Date().toISOString());
  return errors.length === 0 ? { ok: true, data } : { ok: false, faults: errors };
}

/** @throws Problem validation_failed */
export function contactFields(input: ContactFieldsIn, config: ApiConfig): Partial<ContactData> {
  const read = readContactFields(input, config);
  if (read.ok) return read.data;
  throw new Problem('validation_failed', 'See faults for each field and what was expected.', {
    faults: faultsOf(read.faults),
  });
}

/** Attributes given by a patch over those that stand; null takes one away (RFC 7396). */
export function mergeAttributes(
  standing: Record<string, AttributeValue>,
  given: Record<string, AttributeValue>,
): Record<string, AttributeValue> {
  const merged = Object.entries({ ...standing, ...given }).filter(([, value]) => value !== null);
  return Object.fromEntries(merged);
}
