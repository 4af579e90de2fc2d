/** The description that the doors give of themselves. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROBLEMS } from '../../api/errors.ts';
import { apiRig } from './rig.ts';
import type { ApiRig } from './rig.ts';

interface Operation {
  tags?: string[];
  summary?: string;
  security?: Record<string, string[]>[];
  parameters?: { name: string; in: string; required?: boolean; schema: unknown }[];
  requestBody?: { required?: boolean; content: Record<string, { schema: unknown }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: unknown }> }>;
}
interface Description {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
}

let rig: ApiRig;
let document: Description;
beforeAll(async () => {
  rig = await apiRig();
  document = (await rig.call('GET', '/docs/json')).json as Description;
});
afterAll(async () => rig.close());

function operations(): [string, Operation][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [`${method} ${path}`, operation]),
  );
}

function* nodes(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield value as Record<string, unknown>;
  for (const inner of Object.values(value)) yield* nodes(inner);
}

test('it is OpenAPI 3.1 with a title, a version and JSON Schema 2020-12 words only', () => {
  expect(document.openapi).toBe('3.1.0');
  expect(document.info).toMatchObject({ title: 'Plumbline', version: '1' });
  for (const node of nodes(document.components.schemas)) {
    // Words of OpenAPI 3.0 that 3.1 does not know.
    if (typeof node['type'] === 'string' || Array.isArray(node['type'])) expect(node).not.toHaveProperty('nullable');
    if ('exclusiveMinimum' in node) expect(typeof node['exclusiveMinimum']).toBe('number');
    expect(Object.keys(node)).not.toContain('$defs');
  }
});

test('every reference leads somewhere, and every schema is led to', () => {
  const refs = new Set([...nodes(document)].map((n) => n['$ref']).filter((ref) => typeof ref === 'string'));
  expect(refs.size).toBeGreaterThan(10);
  const names = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
  expect([...refs].toSorted()).toEqual(names.toSorted());
});

test('every operation has a tag, a summary, its path parameters, a success and described answers', () => {
  expect(operations().length).toBeGreaterThan(25);
  for (const [name, operation] of operations()) {
    expect(operation.tags, name).toHaveLength(1);
    expect(operation.summary, name).toBeTruthy();
    const inPath = [...name.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
    const declared = (operation.parameters ?? []).filter((p) => p.in === 'path');
    expect(declared.map((p) => p.name).toSorted(), name).toEqual(inPath.toSorted());
    for (const parameter of declared) expect(parameter.required, name).toBe(true);
    const statuses = Object.keys(operation.responses);
    expect(
      statuses.some((status) => /^2\d\d$/.test(status)),
      name,
    ).toBe(true);
    for (const response of Object.values(operation.responses)) expect(response.description, name).toBeTruthy();
  }
});

test('every door under /v1 needs the key, and says which problems it may answer with', () => {
  expect(document.components.securitySchemes['key']).toMatchObject({ type: 'http', scheme: 'bearer' });
  for (const [name, operation] of operations().filter(([n]) => n.includes(' /v1/'))) {
    expect(operation.security, name).toEqual([{ key: [] }]);
    for (const status of ['401', '403', '422', '500', '503']) {
      expect(operation.responses[status]?.content, name).toHaveProperty(['application/problem+json']);
    }
  }
});

test('an optional body is optional, a needed one needed', () => {
  expect(document.paths['/v1/systems/{name}/pause']?.['post']?.requestBody?.required).toBe(false);
  expect(document.paths['/v1/contacts']?.['post']?.requestBody?.required).toBe(true);
});

test('the documentation page and all that it loads come from here', async () => {
  const page = await rig.call('GET', '/docs/');
  const loaded = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
  expect(loaded.length).toBeGreaterThan(3);
  for (const address of loaded) {
    expect(address).toMatch(/^\.\/static\//);
    const file = await rig.call('GET', `/docs/${address.slice(2)}`);
    expect([address, file.status]).toEqual([address, 200]);
  }
  // The browser itself is told to ask nobody else.
  const policy = String(page.headers['content-security-policy']);
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/https?:/);
  const settings = await rig.call('GET', '/docs/static/swagger-initializer.js');
  expect(settings.text).toContain('"validatorUrl":null');
});

test('docs/errors.md lists exactly the codes that exist, each with its status', () => {
  const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const listed = [...text.matchAll(/^\| `(\w+)` \| (\d{3}) \|/gm)].map((match) => `${match[1]} ${match[2]}`);
  const existing = Object.entries(PROBLEMS).map(([code, { status }]) => `${code} ${status}`);
  expect(listed.toSorted()).toEqual(existing.toSorted());
});

test('no door takes a field that its schema does not name, at any depth', async () => {
  interface Schema {
    $ref?: string;
    type?: string;
    properties?: Record<string, Schema>;
    additionalProperties?: boolean | Schema;
    items?: Schema;
    anyOf?: Schema[];
    oneOf?: Schema[];
    allOf?: Schema[];
  }
  const { json } = await rig.call('GET', '/docs/json');
  const document = json as unknown as {
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: Schema }> } }>>;
    components: { schemas: Record<string, Schema> };
  };
  const open: string[] = [];
  let objects = 0;
  const walk = (schema: Schema, where: string, seen: readonly string[]): void => {
    const { $ref } = schema;
    if ($ref !== undefined) {
      const name = $ref.split('/').at(-1) ?? '';
      if (!seen.includes(name)) walk(document.components.schemas[name] ?? {}, where, [...seen, name]);
      return;
    }
    if (schema.properties !== undefined) {
      objects += 1;
      if (schema.additionalProperties !== false) open.push(where);
    }
    for (const [name, one] of Object.entries(schema.properties ?? {})) walk(one, `${where}/${name}`, seen);
    for (const one of [schema.items, ...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])])
      if (one !== undefined) walk(one, where, seen);
  };
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, { requestBody }] of Object.entries(methods))
      for (const { schema } of Object.values(requestBody?.content ?? {})) walk(schema, `${method} ${path}`, []);
  expect(objects).toBeGreaterThan(10);
  expect(open).toEqual([]);
});
