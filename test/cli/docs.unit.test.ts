/** docs/cli.md is what the commands say of themselves. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { commandPage } from '../../cli/page.ts';

test('docs/cli.md is current (node cli/page.ts > docs/cli.md)', async () => {
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/cli.md'), 'utf8');
  expect(page).toBe(await commandPage());
});
