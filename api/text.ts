/**
 * Texts that PostgreSQL cannot store (NUL) or no vendor can read (half of a surrogate pair) are refused at the border, wherever they
 * are in a request. Everything else is for the rules of the single fields.
 */
import { Problem } from './errors.ts';
import type { FieldFault } from './errors.ts';

const MAX_DEPTH = 20;

export function isSound(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** @throws Problem text_not_allowed */
export function refuseUnsoundText(where: FieldFault['in'], value: unknown): void {
  const open: { value: unknown; path: string; depth: number }[] = [{ value, path: '', depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value === 'string' && !isSound(next.value)) throw unsound(where, next.path);
    if (typeof next.value !== 'object' || next.value === null) continue;
    if (next.depth >= MAX_DEPTH)
      throw new Problem('body_not_json', `The body is nested deeper than ${MAX_DEPTH} levels.`);
    for (const [key, inner] of Object.entries(next.value)) {
      if (!isSound(key)) throw unsound(where, next.path);
      open.push({ value: inner, path: `${next.path}/${safeSegment(key)}`, depth: next.depth + 1 });
    }
  }
}

function unsound(where: FieldFault['in'], path: string): Problem {
  return new Problem('text_not_allowed', 'A text has a NUL character or half of a surrogate pair in it.', {
    faults: [{ in: where, path, expected: 'whole Unicode characters other than U+0000' }],
  });
}

/** Names in a request are the sender's text too: only what looks like a field name or an index is repeated in an answer. */
export function safeSegment(key: PropertyKey): string {
  const text = String(key);
  return /^(?:[A-Za-z][A-Za-z0-9_]{0,39}|\d{1,6})$/.test(text) ? text : '…';
}
