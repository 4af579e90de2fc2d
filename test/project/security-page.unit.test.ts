/** What docs/security.md names as proof is there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../local/program.ts';

test('every file that the page names exists', () => {
  const page = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');
  const named = [...page.matchAll(/`((?:[\w-]+\/)*\.?[\w.-]+\.(?:ts|json|md|yaml)|\.dockerignore)`/g)].map(
    ([, path]) => path ?? '',
  );
  expect(named.length).toBeGreaterThan(25);
  for (const path of named) expect(existsSync(join(ROOT, path)), path).toBe(true);
});
