/** The schema for editors takes what the programme takes, and refuses what it refuses by shape. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { configJsonSchema } from '../../config/index.ts';
import { ROOT } from '../../local/program.ts';

const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(configJsonSchema());
const shipped = parse(readFileSync(join(ROOT, 'plumbline.yaml'), 'utf8')) as Record<string, Record<string, unknown>>;

test('the shipped configuration fits', () => {
  expect(validate(shipped), JSON.stringify(validate.errors)).toBe(true);
});

test.each([
  ['an unknown key', { ...shipped, purpose: {} }],
  ['a wrong type', { ...shipped, worker: { lingerMs: 'soon' } }],
  ['a secret in the file', { ...shipped, keys: { main: 'c2VjcmV0' } }],
  ['a system without a connector', { ...shipped, systems: { crm: { who: 'everybody' } } }],
])('%s does not', (_what, file) => {
  expect(validate(file)).toBe(false);
});
