/**
 * `Name` at Xero: unique among active contacts, and what a person sees in lists and on invoices. It is the person's name; where
 * another contact has that name already, our reference is added in brackets.
 */
import { cutAt, foldCase } from '../../domain/text.ts';
import { NAME_LENGTH, WHERE_CHARS } from './limits.ts';

/** The name of a record that holds nobody: without a name in our record, or scrubbed. */
export function neutralName(reference: string): string {
  return `Contact ${reference}`;
}

/** The name with our reference, at most 255 characters. */
export function markedName(name: string, reference: string): string {
  const mark = ` (${reference})`;
  return name === neutralName(reference) ? name : cutAt(name, NAME_LENGTH - mark.length) + mark;
}

/** The person's name of a `Name` that we may have marked; empty for a neutral one. */
export function bareName(name: string, reference: string | null): string {
  if (reference === null || reference === '') return name;
  if (name.startsWith(neutralName(reference))) return '';
  const mark = ` (${reference})`;
  return name.endsWith(mark) ? name.slice(0, -mark.length) : name;
}

/** The name that the mapped fields ask for; undefined when they say nothing of it. */
export function wantedName(fields: Readonly<Record<string, string>>, reference: string): string | undefined {
  const { Name, FirstName, LastName } = fields;
  if (Name === undefined && FirstName === undefined && LastName === undefined) return undefined;
  const name = (Name ?? `${FirstName ?? ''} ${LastName ?? ''}`).trim();
  return name === '' ? neutralName(reference) : cutAt(name, NAME_LENGTH);
}

/** Xero takes two such names for one. */
export function sameName(a: string, b: string): boolean {
  return foldCase(a.trim()) === foldCase(b.trim());
}

/** False where a value cannot stand in a `where` for sure. A name of that kind is marked from the start. */
export function canBeAsked(value: string): boolean {
  return value.isWellFormed() && !/["\\\p{Cc}]/u.test(value) && encodeURIComponent(value).length < WHERE_CHARS / 2;
}
