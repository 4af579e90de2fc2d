/** A value that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };

/**
 * JSON with sorted keys and without white space, so that equal values give equal text to hash. Keys with `undefined` are left
 * out, as JSON.stringify does. Throws a RangeError for numbers that JSON cannot hold (NaN, Infinity).
 */
export function canonicalJson(value: unknown): string {
  return write(value as Json | undefined) ?? 'null';
}

function write(value: Json | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new RangeError('not a number that JSON can hold');
    return JSON.stringify(value);
  }
  if (isList(value)) return `[${value.map((item) => write(item) ?? 'null').join(',')}]`;
  const parts: string[] = [];
  for (const key of Object.keys(value).toSorted()) {
    const text = write(value[key]);
    if (text !== undefined) parts.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${parts.join(',')}}`;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
