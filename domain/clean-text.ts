/** One cleaned line of text for the record, or the reason why it is not taken. */
import { collapseSpaces, hasBidiControl, hasControl, hasLineBreak, looksLikeFormula, stripInvisible } from './text.ts';

export type CleanText =
  | { ok: true; text: string | null; changed: 'invisible_removed' | 'line_break_joined' | null }
  | { ok: false; code: 'too_long' | 'line_break' | 'control_character' | 'bidi_control' | 'formula' };

export interface CleanTextOptions {
  /** Most UTF-16 units after cleaning. */
  limit: number;
  /** Postal addresses are written on several lines: they are joined with a comma. Elsewhere a line break is refused. */
  lines?: 'join' | 'refuse';
}

/**
 * NFC, trimmed, white space collapsed; empty text is null. Invisible characters without meaning are taken out. Refused, not repaired: line breaks,
 * control characters, overrides of the direction of reading, formulas. Letters of every script stay, joiners included.
 */
export function cleanText(text: string, options: CleanTextOptions): CleanText {
  let line = stripInvisible(text).trim();
  let changed: 'invisible_removed' | 'line_break_joined' | null =
    /\S/u.test(text) && line !== text.trim() ? 'invisible_removed' : null;
  if (hasLineBreak(line)) {
    if (options.lines !== 'join') return { ok: false, code: 'line_break' };
    line = line
      .split(/[\n\v\f\r\u0085\u2028\u2029]+/u)
      .map((part) => part.trim().replace(/,$/, ''))
      .filter((part) => part !== '')
      .join(', ');
    changed = 'line_break_joined';
  }
  const cleaned = collapseSpaces(line);
  if (hasControl(cleaned)) return { ok: false, code: 'control_character' };
  if (hasBidiControl(cleaned)) return { ok: false, code: 'bidi_control' };
  if (looksLikeFormula(cleaned)) return { ok: false, code: 'formula' };
  if (cleaned.length > options.limit) return { ok: false, code: 'too_long' };
  return { ok: true, text: cleaned === '' ? null : cleaned, changed };
}
