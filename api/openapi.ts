/** The last touches to the OpenAPI document: what the schemas cannot say, and nothing that no door uses. */
import { STATUS_CODES } from 'node:http';
import type { SwaggerTransformObject } from '@fastify/swagger';
import { jsonSchemaTransformObject } from 'fastify-type-provider-zod';

type Json = { [key: string]: Json } | Json[] | string | number | boolean | null | undefined;
type JsonObject = { [key: string]: Json };

const REF = '#/components/schemas/';

const REASON_HEADER = {
  name: 'Plumbline-Reason',
  in: 'header',
  required: false,
  description: 'Why; kept with the version, in UTF-8',
  schema: { type: 'string', maxLength: 500 },
};
const IF_MATCH_HEADER = {
  name: 'If-Match',
  in: 'header',
  required: false,
  description: 'The version that was read, as given by ETag; a stale one is answered with 412',
  schema: { type: 'string', examples: ['"3"'] },
};

const IDEMPOTENCY_HEADER = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'The same key with the same request is one change, and the first answer is given again (with Idempotent-Replayed: true); with another request it is ' +
    'refused. One key a request, as a text in quotes; it belongs to your API key and this door.',
  schema: { type: 'string', minLength: 1, maxLength: 257, examples: ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'] },
};
/** Doors that change nothing, though what is in their body makes them a POST. */
const READING = new Set(['/v1/contacts/find', '/v1/codec/decode', '/v1/codec/encode']);

export const finishDocument: SwaggerTransformObject = (document) => {
  const whole = jsonSchemaTransformObject(document) as unknown as JsonObject;
  for (const [path, method, operation] of operationsOf(whole)) {
    describeResponses(operation);
    freeOptionalBody(operation);
    if (method === 'get' || READING.has(path)) continue;
    addParameter(operation, REASON_HEADER);
    addParameter(operation, IDEMPOTENCY_HEADER);
    if (method === 'patch') addParameter(operation, IF_MATCH_HEADER);
  }
  const components = asObject(whole['components']);
  components['schemas'] = usedSchemas(whole, asObject(components['schemas']));
  // One form for both directions where only one is in use: ContactPatch, not ContactPatchInput.
  return JSON.parse(shortened(JSON.stringify(whole), Object.keys(asObject(components['schemas'])))) as ReturnType<
    typeof jsonSchemaTransformObject
  >;
};

function asObject(value: Json): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

function* operationsOf(whole: JsonObject): Generator<[path: string, method: string, operation: JsonObject]> {
  for (const [path, methods] of Object.entries(asObject(whole['paths']))) {
    for (const [method, operation] of Object.entries(asObject(methods))) yield [path, method, asObject(operation)];
  }
}

function describeResponses(operation: JsonObject): void {
  for (const [status, response] of Object.entries(asObject(operation['responses']))) {
    const described = asObject(response);
    if (described['description'] === 'Default Response') described['description'] = STATUS_CODES[status] ?? status;
  }
}

/** A body that may be left out is shown as the schemas have it: null or the object. */
function freeOptionalBody(operation: JsonObject): void {
  const body = asObject(operation['requestBody']);
  for (const media of Object.values(asObject(body['content']))) {
    const choices = asObject(asObject(media)['schema'])['anyOf'];
    if (!Array.isArray(choices)) continue;
    const [first, second] = choices;
    if (choices.length !== 2 || asObject(second)['type'] !== 'null') continue;
    asObject(media)['schema'] = first;
    body['required'] = false;
  }
}

function addParameter(operation: JsonObject, parameter: JsonObject): void {
  const there = operation['parameters'];
  operation['parameters'] = [...(Array.isArray(there) ? there : []), parameter];
}

function refsIn(value: Json): string[] {
  return [...JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1] ?? '');
}

/** Schemas that some door leads to, directly or through others. */
function usedSchemas(whole: JsonObject, schemas: JsonObject): JsonObject {
  const used = new Set<string>();
  const open = refsIn(whole['paths']);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const schema = schemas[name];
    if (used.has(name) || schema === undefined) continue;
    used.add(name);
    open.push(...refsIn(schema));
  }
  return Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)));
}

function shortened(text: string, names: string[]): string {
  let result = text;
  for (const name of names) {
    const short = name.replace(/Input$/, '');
    if (short === name || names.includes(short)) continue;
    result = result.replaceAll(`"${REF}${name}"`, `"${REF}${short}"`).replaceAll(`"${name}":`, `"${short}":`);
  }
  return result;
}
