/** Holds an answer to the part of Xero's OpenAPI description in `sandboxes/xero/spec/`. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  enum?: unknown[];
  maxLength?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  'x-is-msdate'?: boolean;
  'x-is-msdate-time'?: boolean;
}

const spec = parse(readFileSync(new URL('../../sandboxes/xero/spec/xero-contacts.yaml', import.meta.url), 'utf8')) as {
  paths: Record<string, Record<string, { responses: Record<string, { content: Record<string, { schema: Schema }> }> }>>;
  components: { schemas: Record<string, Schema> };
};

/** In the published examples of these answers, but not in their schemas. */
const BESIDES = ['Id', 'Status', 'ProviderName', 'DateTimeUTC', 'DateString', 'DueDateString'];
const OF_ELEMENTS = ['HasValidationErrors', 'StatusAttributeString'];

/** What is wrong with `body` as the answer to that call; empty when it is as published. */
export function spokenOutOfSpec(path: string, method: string, status: number, body: unknown): string[] {
  const schema = spec.paths[path]?.[method]?.responses[String(status)]?.content['application/json']?.schema;
  if (schema === undefined) return [`nothing is published for ${method} ${path} ${status}`];
  const wrong: string[] = [];
  compare(schema, body, '$', wrong, status === 400);
  return wrong;
}

function compare(given: Schema, value: unknown, at: string, wrong: string[], isError: boolean): void {
  const schema = given.$ref === undefined ? given : named(given.$ref);
  const { type } = schema;
  if (type === 'array' || schema.items !== undefined) {
    if (!Array.isArray(value)) wrong.push(`${at}: no array`);
    else for (const [index, each] of value.entries()) compare(schema.items!, each, `${at}[${index}]`, wrong, isError);
    return;
  }
  if (type === 'object' || schema.properties !== undefined) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      wrong.push(`${at}: no object`);
      return;
    }
    // The elements of an error are whole contacts in the published example; their schema lists ids only.
    const known =
      isError && at.includes('Elements')
        ? { ...named('#/x/Contact').properties, ...schema.properties }
        : schema.properties!;
    for (const [name, each] of Object.entries(value)) {
      const property = known[name];
      if (property !== undefined) compare(property, each, `${at}.${name}`, wrong, isError);
      else if (![...BESIDES, ...OF_ELEMENTS].includes(name)) wrong.push(`${at}.${name}: not published`);
    }
    return;
  }
  const expected = type === 'integer' || type === 'number' ? 'number' : type;
  if (expected !== undefined && typeof value !== expected) wrong.push(`${at}: ${typeof value}, not ${type}`);
  if (schema.enum !== undefined && !schema.enum.includes(value)) wrong.push(`${at}: not one of its values`);
  if (typeof value !== 'string') return;
  if (schema.maxLength !== undefined && value.length > schema.maxLength && !isError) wrong.push(`${at}: too long`);
  if (schema.format === 'uuid' && !/^[0-9a-f-]{36}$/.test(value)) wrong.push(`${at}: no UUID`);
  const isMoment = schema['x-is-msdate'] === true || schema['x-is-msdate-time'] === true;
  if (isMoment && !/^\/Date\(\d+(\+0000)?\)\/$/.test(value)) wrong.push(`${at}: no date in Xero's form`);
}

function named(ref: string): Schema {
  return spec.components.schemas[ref.split('/').at(-1)!]!;
}
