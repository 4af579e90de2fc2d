/** Takes what could be a person out of a vendor's message before it is kept (GDPR Art. 5(1)(c)). */

const ADDRESS = /[^\s"'<>(),;:]+@[^\s"'<>(),;:]+/gu;
const QUOTED = /(["'`“‘«])(?:(?!["'`”’»]).){1,200}["'`”’»]/gu;
const PHONE = /\+?\d[\d\s().-]{6,}\d/gu;

/** The message without addresses, quoted values and phone numbers, at most 200 characters. Property names given in `keep` stay. */
export function masked(message: string, keep: readonly string[] = []): string {
  return message
    .slice(0, 1000)
    .replace(ADDRESS, '<address>')
    .replace(QUOTED, (quoted) => (keep.includes(quoted.slice(1, -1)) ? quoted : '<value>'))
    .replace(PHONE, '<number>')
    .replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .slice(0, 200);
}
