/** Takes what could be a person, or a credential of ours, out of a vendor's message before it is kept (GDPR Art. 5(1)(c)). */

const ADDRESS = /[^\s"'<>(),;:]+@[^\s"'<>(),;:]+/gu;
const QUOTED = /(["'`“‘«])(?:(?!["'`”’»]).){1,200}["'`”’»]/gu;
/** A vendor or a proxy may repeat the header that it did not like. What follows such a word is a credential; after the weaker words, where a digit is in it. */
const CREDENTIAL =
  /\b(?:(?:bearer|basic)\s+(?!auth)[^\s"'<>,;]{8,}|(?:api[-_ ]?key|(?:access|refresh)?[-_ ]?token|client[-_ ]?(?:id|secret)|secret|password)\b["'\s:=]*(?=[^\s"'<>,;]*\d)[^\s"'<>,;]{8,})/giu;
const PHONE = /\+?\d[\d\s().-]{6,}\d/gu;

/** The message without addresses, quoted values, phone numbers and credentials, at most 200 characters. Property names given in `keep` stay. */
export function masked(message: string, keep: readonly string[] = []): string {
  return message
    .slice(0, 1000)
    .replace(CREDENTIAL, '<credential>')
    .replace(ADDRESS, '<address>')
    .replace(QUOTED, (quoted) => (keep.includes(quoted.slice(1, -1)) ? quoted : '<value>'))
    .replace(PHONE, '<number>')
    .replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .slice(0, 200);
}
