/** Rules of merge fields: what is refused, what is cut, what is ignored without a word. */
import { invalidMergeFields } from './answers.ts';
import type { FieldError, Problem } from './answers.ts';
import type { Address, Audience, MergeField, MergeValue } from './state.ts';

const TEXT_MAX = 255;
const ADDRESS_PARTS = ['addr1', 'addr2', 'city', 'state', 'zip', 'country'] as const;

export interface MergeRules {
  /** Leaves required fields out of account (`skip_merge_validation`). */
  skipRequired: boolean;
  /** What becomes of an address without street, city or postcode: both have been reported. */
  incompleteAddress: 'ignored' | 'refused';
}

/** The values after this write, or why it is refused. Tags the audience does not know are ignored, as Mailchimp does. */
export function merged(
  audience: Audience,
  held: Record<string, MergeValue>,
  given: Record<string, unknown>,
  rules: MergeRules,
): { values: Record<string, MergeValue> } | { problem: Problem } {
  const values = { ...held };
  const errors: FieldError[] = [];
  for (const field of audience.mergeFields) {
    const value = given[field.tag];
    if (value !== undefined && value !== null) {
      const read = readValue(field, value, rules);
      if (typeof read === 'object' && 'message' in read) errors.push({ field: field.tag, message: read.message });
      else if (read !== undefined && read !== (values[field.tag] ?? '')) values[field.tag] = read;
    }
    const now = values[field.tag] ?? '';
    if (field.required && !rules.skipRequired && now === '' && errors.every((error) => error.field !== field.tag)) {
      errors.push({ field: field.tag, message: 'Please enter a value' });
    }
  }
  return errors.length > 0 ? { problem: invalidMergeFields(errors) } : { values };
}

/** The value as kept; undefined where the write is ignored. */
function readValue(field: MergeField, value: unknown, rules: MergeRules): MergeValue | { message: string } | undefined {
  if (field.type === 'address') return readAddress(value, rules);
  if (typeof value === 'object') return { message: 'Please enter a value' };
  const text = String(value as string).trim();
  if (text === '') return '';
  switch (field.type) {
    case 'number':
      return Number.isFinite(Number(text)) ? Number(text) : { message: 'Please enter a number' };
    case 'date': {
      const american = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text);
      const day =
        american === null ? text : `${american[3]}-${american[1]!.padStart(2, '0')}-${american[2]!.padStart(2, '0')}`;
      return /^\d{4}-\d\d-\d\d$/.test(day) ? day : { message: 'Please enter a valid date' };
    }
    default:
      return text.slice(0, TEXT_MAX);
  }
}

function readAddress(value: unknown, rules: MergeRules): MergeValue | { message: string } | undefined {
  if (value === '') return '';
  const given = (typeof value === 'object' ? value : {}) as Record<string, unknown>;
  const address = Object.fromEntries(
    ADDRESS_PARTS.map((part) => [part, String((given[part] as string | undefined) ?? '').trim()]),
  ) as unknown as Address;
  if (address.addr1 !== '' && address.city !== '' && address.zip !== '') {
    return { ...address, country: address.country === '' ? 'US' : address.country };
  }
  return rules.incompleteAddress === 'refused' ? { message: 'Please enter a complete address' } : undefined;
}

/** Every tag of the audience, empty ones too. */
export function mergeView(audience: Audience, held: Record<string, MergeValue>): Record<string, MergeValue> {
  return Object.fromEntries(audience.mergeFields.map(({ tag }) => [tag, held[tag] ?? '']));
}
