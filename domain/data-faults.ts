/** Why a value of a contact is not taken, as stable codes with a sentence for people. A sentence never repeats the value. */
import type { EmailFault } from './address.ts';
import type { PhoneFault } from './phone.ts';

export type DataFaultCode =
  | EmailFault
  | PhoneFault
  | 'not_text'
  | 'not_a_list'
  | 'not_an_object'
  | 'too_many'
  | 'impossible_date'
  | 'date_format'
  | 'future_date'
  | 'unknown_country'
  | 'bad_locale'
  | 'unknown_relationship'
  | 'not_a_number'
  | 'not_a_boolean'
  | 'not_among_values'
  | 'unknown_field'
  | 'unknown_attribute'
  | 'no_identity'
  | 'unknown_consent'
  | 'unknown_purpose';

export const FAULT_SENTENCES: Readonly<Record<DataFaultCode, string>> = {
  empty: 'The value is empty.',
  too_long: 'The value is too long.',
  line_break: 'The value holds a line break, as in an attempt to inject a header.',
  control_character: 'The value holds a control character or a broken one.',
  bidi_control: 'The value holds a character that reverses the direction of reading.',
  formula: 'The value is a spreadsheet formula.',
  space: 'The address holds a space.',
  quoted: 'The address holds a quotation mark.',
  no_at: 'The address has no @.',
  several_at: 'The address has more than one @.',
  bad_local_part: 'The part of the address before the @ is not valid.',
  local_part_too_long: 'The part of the address before the @ is longer than 64 bytes.',
  domain_without_dot: 'The domain of the address has no dot.',
  bad_domain: 'The domain of the address is not valid.',
  not_a_phone: 'The value is not a telephone number.',
  too_few_digits: 'The telephone number has too few digits.',
  too_many_digits: 'The telephone number has more than 15 digits.',
  not_text: 'The value is not a text.',
  not_a_list: 'The value is not a list of texts.',
  not_an_object: 'The value is not an object with attributes by name.',
  too_many: 'There are too many values.',
  impossible_date: 'There is no such date.',
  date_format: 'The date is not written as YYYY-MM-DD or as a moment with its offset (ISO 8601).',
  future_date: 'The date lies in the future.',
  unknown_country: 'The country is not an ISO 3166-1 code of two letters.',
  bad_locale: 'The locale is not a BCP 47 language tag.',
  unknown_relationship: 'The relationship is none of lead, customer, supplier and former_customer.',
  not_a_number: 'The value is not a number.',
  not_a_boolean: 'The value is neither true nor false.',
  not_among_values: 'The value is none of those declared for this attribute.',
  unknown_field: 'There is no such field.',
  unknown_attribute: 'No such attribute is declared in the configuration.',
  no_identity: 'There is neither a reference nor an address to know the person by.',
  unknown_consent: 'The state of consent is none of the known words.',
  unknown_purpose: 'No such purpose is declared in the configuration.',
};

/** The sentence for a code; with the limit where there is one. */
export function sentenceFor(code: DataFaultCode, limit?: number): string {
  if (code === 'too_long' && limit !== undefined) return `The value is longer than ${limit} characters.`;
  if (code === 'too_many' && limit !== undefined) return `There are more than ${limit} values.`;
  return FAULT_SENTENCES[code];
}
