/** docs/configuration.md names every section, and every key of a system. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { sections, systemSchema } from '../../config/schema.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/configuration.md'), 'utf8');

test.each([...Object.keys(sections), 'systems'])('the section %s is described', (name) => {
  expect(page).toContain(`| \`${name}\` |`);
});

test.each(Object.keys(systemSchema.shape))('the key %s of a system is described', (name) => {
  expect(page).toContain(`| \`${name}\` |`);
});
