/** Small text rules that several files share. All total: any string goes in, nothing throws. */

/** Characters that reorder what a reader sees (embeddings, overrides, isolates): Unicode TR 36, 'Trojan Source'. */
const BIDI_CONTROL = /[\u202A-\u202E\u2066-\u2069]/u;
/**
 * Invisible characters that carry no meaning in a name. The joiners U+200C and U+200D stay: Persian and Indic names need them.
 * The direction marks U+200E, U+200F and U+061C are put in by right-to-left keyboards and mean no harm: they go without a word.
 */
const INVISIBLE =
  /[\u00AD\u061C\u180E\u200B\u200E\u200F\u2060-\u2064\u206A-\u206F\uFEFF\uFFF9-\uFFFB\u{E0000}-\u{E007F}]/gu;
const LINE_BREAK = /[\n\v\f\r\u0085\u2028\u2029]/u;
/** Control, private use and unpaired surrogates; without the white space that `collapseSpaces` folds. */
const CONTROL = /[\p{Cc}\p{Co}\p{Cs}]/u;

/** NFC, every run of white space one space, none at the ends. */
export function collapseSpaces(text: string): string {
  return text.normalize('NFC').replace(/\s+/gu, ' ').trim();
}

/**
 * One form for all spellings that differ in case only. Down, up and down again, because a single lower-casing keeps
 * `ß` and `SS`, `ı` and `I`, `ς` and `σ` apart, and vendors change the case in both directions.
 */
export function foldCase(text: string): string {
  return text.toLowerCase().toUpperCase().toLowerCase().normalize('NFC');
}

/** Takes out the invisible characters listed above. */
export function stripInvisible(text: string): string {
  return text.replace(INVISIBLE, '');
}

export function hasLineBreak(text: string): boolean {
  return LINE_BREAK.test(text);
}

export function hasBidiControl(text: string): boolean {
  return BIDI_CONTROL.test(text);
}

export function hasControl(text: string): boolean {
  return CONTROL.test(text);
}

/**
 * True where a spreadsheet would run the text as a formula (OWASP 'CSV Injection'). `=` always counts. `+`, `-` and `@` begin honest
 * values too (`+Pluspunkt`, `-`, `@home`), so they count only before a function call, a DDE pipe, a cell or sheet
 * reference with `!`, or plain arithmetic. Full-width forms count as their ASCII ones. Exports escape on their own besides.
 */
export function looksLikeFormula(text: string): boolean {
  const plain = text.normalize('NFKC').trim();
  if (plain.startsWith('=')) return plain.length > 1;
  if (!/^[+\-@]/.test(plain)) return false;
  const rest = plain.slice(1);
  return /^[+\-@=\s]*[\p{L}_.]+\w*\s*\(/u.test(rest) || /[|!]/.test(rest) || /^[\d.\s]+[-+*/^][\d.\s]/.test(rest);
}

/**
 * Cuts at a whole character as people see one (a letter with its accents, an emoji with its parts), so that at most `maxLength` UTF-16 units
 * remain: no vendor counts more than those for the same text.
 */
export function cutAt(text: string, maxLength: number | undefined): string {
  if (maxLength === undefined || text.length <= maxLength) return text;
  let end = 0;
  for (const part of new Intl.Segmenter('und', { granularity: 'grapheme' }).segment(text)) {
    const next = part.index + part.segment.length;
    if (next > maxLength) break;
    end = next;
  }
  return text.slice(0, end);
}

/** Bytes of the text in UTF-8, without a platform encoder. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
