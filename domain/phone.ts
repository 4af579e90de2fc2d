/** Telephone numbers: kept as typed, compared in a canonical form. */
import { hasBidiControl, hasControl, hasLineBreak, stripInvisible } from './text.ts';

export type PhoneFault =
  | 'empty'
  | 'too_long'
  | 'control_character'
  | 'not_a_phone'
  | 'too_few_digits'
  | 'too_many_digits';

export type ParsedPhone =
  /** `phone` as typed but trimmed; `canonical` digits with a leading `+` where international, `x…` for an extension. */
  { ok: true; phone: string; canonical: string } | { ok: false; reason: PhoneFault };

/** Characters of a number as typed, extension included. */
export const MAX_PHONE_LENGTH = 40;
/** ITU-T E.164: at most 15 digits. Short service numbers have three. */
const MIN_DIGITS = 3;
const MAX_DIGITS = 15;

const EXTENSION = /\s*(?:ext\.?|extension|x|#)\s*(\d{1,6})$/i;
const NUMBER = /^(?:\(\+|\+\(?)?[\d\s().\-/]*$/;
/** Here the zero behind the country code belongs to the number: Italy, San Marino, Vatican. */
const KEEPS_ZERO = /^\+(?:39|378|379)/;

/**
 * Reads a telephone number. `00` before a country code is `+`; the `(0)` people write behind a country code falls away
 * (`+44 (0)20` is `+4420`, but Italy keeps it). A national number is never guessed into an international one: `020 …` and
 * `+44 20 …` stay different, because the country is not ours to assume.
 */
export function parsePhone(text: string): ParsedPhone {
  const phone = stripInvisible(text).trim();
  if (phone === '') return { ok: false, reason: 'empty' };
  if (phone.length > MAX_PHONE_LENGTH) return { ok: false, reason: 'too_long' };
  if (hasControl(phone) || hasLineBreak(phone) || hasBidiControl(phone))
    return { ok: false, reason: 'control_character' };

  const plain = asciiDigits(phone.normalize('NFKC')).replace(/\p{Pd}/gu, '-');
  const extension = EXTENSION.exec(plain)?.[1];
  const number = extension === undefined ? plain : plain.replace(EXTENSION, '');
  if (!NUMBER.test(number)) return { ok: false, reason: 'not_a_phone' };

  let compact = number.replace(/[\s.\-/]/g, '');
  const bare = withPlus(compact);
  if (bare.startsWith('+') && !KEEPS_ZERO.test(bare)) compact = compact.replace('(0)', '');
  const main = withPlus(compact);
  const digits = main.replace('+', '');
  if (digits.length < MIN_DIGITS) return { ok: false, reason: 'too_few_digits' };
  if (digits.length > MAX_DIGITS) return { ok: false, reason: 'too_many_digits' };
  const canonical = extension === undefined ? main : `${main}x${extension}`;
  return { ok: true, phone, canonical };
}

function withPlus(compact: string): string {
  return compact.replace(/[()]/g, '').replace(/^00/, '+');
}

/** Arabic-Indic and Persian digits to ASCII; full-width ones are folded by NFKC. */
function asciiDigits(text: string): string {
  return text.replace(/[\u0660-\u0669\u06F0-\u06F9]/g, (digit) => String(digit.charCodeAt(0) & 0xf));
}
