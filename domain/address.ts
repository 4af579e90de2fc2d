/**
 * E-mail addresses: what is stored, what is matched, what is suppressed. The only file of the domain that needs the platform
 * (IDN), so that the others load inside Temporal's workflow sandbox.
 */
import { domainToASCII } from 'node:url';
import { collapseSpaces, foldCase, hasBidiControl, hasControl, hasLineBreak, utf8Length } from './text.ts';

export { parsePhone, MAX_PHONE_LENGTH } from './phone.ts';
export type { ParsedPhone, PhoneFault } from './phone.ts';

export type EmailFault =
  | 'empty'
  | 'too_long'
  /** A line break inside: header injection. */
  | 'line_break'
  | 'control_character'
  | 'bidi_control'
  | 'formula'
  | 'space'
  | 'quoted'
  | 'no_at'
  | 'several_at'
  | 'bad_local_part'
  | 'local_part_too_long'
  | 'domain_without_dot'
  | 'bad_domain';

export type ParsedEmail =
  /**
   * `address`: as to store and to send to (trimmed, NFC, domain as lower-case A-label without trailing dot, local part as
   * typed). `key`: for matching and hashing, the local part lower-cased besides. Plus tags and dots always stay: the local part is
   * opaque (RFC 5321 section 2.3.11).
   */
  { ok: true; address: string; key: string } | { ok: false; reason: EmailFault };

/** RFC 5321 section 4.5.3.1: a path of 256 octets with its angle brackets, a local part of 64. */
export const MAX_EMAIL_OCTETS = 254;
const MAX_LOCAL_OCTETS = 64;
const MAX_DOMAIN_OCTETS = 253;

/** RFC 5322 atext, and for RFC 6531 everything beyond ASCII that is neither control, format, space nor unassigned. */
const LOCAL_PART =
  /^(?:[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]|[^\p{ASCII}\p{C}\p{Z}])+(?:\.(?:[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]|[^\p{ASCII}\p{C}\p{Z}])+)*$/u;
const DOMAIN_CHARACTERS = /^[\p{L}\p{M}\p{N}\-.\u3002\uFF0E\uFF61\u30FB\u00B7]+$/u;
const A_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The usual address: plain ASCII, a lower-case domain whose labels need no IDN processing (none with hyphens in third and fourth
 * place), a top label of letters. Everything else takes the long way; a test holds that both say the same.
 */
const USUAL =
  /^[A-Za-z0-9][A-Za-z0-9_+-]*(?:\.[A-Za-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9]|-(?!-)){0,40}(?<!-)\.)+[a-z]{2,24}$/;
const USUAL_LENGTH = 80;
const USUAL_LOCAL_LENGTH = 64;

/** Reads one address; anything that is not exactly one plain address is refused with a code, never repaired by guessing. */
export function parseEmail(text: string): ParsedEmail {
  if (text.length <= USUAL_LENGTH && USUAL.test(text) && text.indexOf('@') <= USUAL_LOCAL_LENGTH) {
    return { ok: true, address: text, key: text.toLowerCase() };
  }
  const typed = text.trim().normalize('NFC');
  const fault = faultOfText(typed);
  if (fault !== null) return { ok: false, reason: fault };

  const at = typed.lastIndexOf('@');
  const local = typed.slice(0, at);
  if (local.length === 0) return { ok: false, reason: 'bad_local_part' };
  if (!LOCAL_PART.test(local)) return { ok: false, reason: 'bad_local_part' };
  if (utf8Length(local) > MAX_LOCAL_OCTETS) return { ok: false, reason: 'local_part_too_long' };

  const domain = asciiDomain(typed.slice(at + 1));
  if (domain === null) return { ok: false, reason: 'bad_domain' };
  if (!domain.includes('.')) return { ok: false, reason: 'domain_without_dot' };
  const address = `${local}@${domain}`;
  if (utf8Length(address) > MAX_EMAIL_OCTETS) return { ok: false, reason: 'too_long' };
  return { ok: true, address, key: `${local.toLowerCase().normalize('NFC')}@${domain}` };
}

/** The order matters: the reason named is the one that tells an operator most about where the text came from. */
function faultOfText(typed: string): EmailFault | null {
  if (typed === '') return 'empty';
  if (hasLineBreak(typed)) return 'line_break';
  if (!typed.isWellFormed() || hasControl(typed)) return 'control_character';
  if (hasBidiControl(typed)) return 'bidi_control';
  if (typed.normalize('NFKC').startsWith('=')) return 'formula';
  if (typed.includes('"')) return 'quoted';
  if (/\s/u.test(typed)) return 'space';
  const ats = typed.split('@').length - 1;
  if (ats === 0) return 'no_at';
  return ats > 1 ? 'several_at' : null;
}

/** Lower-case A-labels (UTS 46, non-transitional, as the URL standard has it), or null where it is no host name for mail. */
function asciiDomain(typed: string): string | null {
  // domainToASCII reads hosts as URLs do: percent signs, brackets and bare numbers would be taken for something else.
  if (!DOMAIN_CHARACTERS.test(typed)) return null;
  const domain = domainToASCII(typed).replace(/\.$/, '');
  if (domain === '' || domain.length > MAX_DOMAIN_OCTETS) return null;
  const labels = domain.split('.');
  if (!labels.every((label) => A_LABEL.test(label))) return null;
  // A number as top label is an IP address, never a mail domain here.
  return /^\d+$/.test(labels.at(-1) ?? '') ? null : domain;
}

/**
 * The form under which an erased or suppressed address is hashed: the key with full-width and other compatibility characters
 * folded (NFKC), because over-matching is the mild harm here. Plus tags and Gmail dots stay. Total: what is no address (SQL knows no
 * `parseEmail`) is folded as text, so that it matches itself in every spelling.
 */
export function suppressionKey(address: string): string {
  const folded = foldCompatible(address);
  const parsed = parseEmail(folded);
  return parsed.ok ? foldCompatible(parsed.key) : folded;
}

/** NFKC and lower case, until nothing changes: each of the two can undo the other for a few characters. */
function foldCompatible(text: string): string {
  let folded = text.normalize('NFKC').toLowerCase().trim();
  for (let round = 0; round < 4; round += 1) {
    const next = folded.normalize('NFKC').toLowerCase().trim();
    if (next === folded) return folded;
    folded = next;
  }
  return folded;
}

/** For 'same address and same name is the same person': NFKC, spaces collapsed, case folded. Empty where there is no name. */
export function nameKey(given: string | null, family: string | null): string {
  return foldCase(collapseSpaces(`${given ?? ''} ${family ?? ''}`.normalize('NFKC')));
}
