/** Further attributes of a contact, declared with their types in the configuration. */
import type { AttributeValue } from './contact.ts';
import type { DataFaultCode } from './data-faults.ts';
import { readDate } from './dates.ts';
import { cleanText } from './clean-text.ts';
import { foldCase } from './text.ts';

export const ATTRIBUTE_TYPES = ['text', 'number', 'boolean', 'date'] as const;
export type AttributeType = (typeof ATTRIBUTE_TYPES)[number];

export interface AttributeDeclaration {
  type: AttributeType;
  /** With `text`: the only values taken. */
  values?: readonly string[];
  /** With `text`: characters, at most and by default `ATTRIBUTE_TEXT_LIMIT`. */
  maxLength?: number;
}
/** Name → declaration. */
export type AttributeDeclarations = Readonly<Record<string, AttributeDeclaration>>;

export const ATTRIBUTE_TEXT_LIMIT = 1_000;

const TRUE_WORDS: readonly string[] = ['true', 'yes', '1', 'on'];
const FALSE_WORDS: readonly string[] = ['false', 'no', '0', 'off'];

export type ReadAttribute = { ok: true; value: AttributeValue } | { ok: false; code: DataFaultCode; limit?: number };

/** Reads a value for a declared attribute; texts (as from CSV) are read by its type. Null and empty text are null. */
export function readAttribute(declaration: AttributeDeclaration, value: unknown): ReadAttribute {
  if (value === null || value === undefined) return { ok: true, value: null };
  if (typeof value === 'string' && value.trim() === '') return { ok: true, value: null };
  switch (declaration.type) {
    case 'text':
      return readText(declaration, value);
    case 'number': {
      const number = typeof value === 'string' ? Number(value) : value;
      return typeof number === 'number' && Number.isFinite(number)
        ? { ok: true, value: number }
        : { ok: false, code: 'not_a_number' };
    }
    case 'boolean': {
      if (typeof value === 'boolean') return { ok: true, value };
      const word = typeof value === 'string' ? foldCase(value.trim()) : '';
      if (TRUE_WORDS.includes(word)) return { ok: true, value: true };
      return FALSE_WORDS.includes(word) ? { ok: true, value: false } : { ok: false, code: 'not_a_boolean' };
    }
    case 'date': {
      if (typeof value !== 'string') return { ok: false, code: 'not_text' };
      const date = readDate(value);
      return date.ok ? { ok: true, value: date.day } : { ok: false, code: date.code };
    }
  }
}

function readText(declaration: AttributeDeclaration, value: unknown): ReadAttribute {
  if (typeof value !== 'string') return { ok: false, code: 'not_text' };
  const limit = Math.min(declaration.maxLength ?? ATTRIBUTE_TEXT_LIMIT, ATTRIBUTE_TEXT_LIMIT);
  const cleaned = cleanText(value, { limit });
  if (!cleaned.ok) return { ok: false, code: cleaned.code, limit };
  if (declaration.values !== undefined && cleaned.text !== null && !declaration.values.includes(cleaned.text)) {
    return { ok: false, code: 'not_among_values' };
  }
  return { ok: true, value: cleaned.text };
}
