/** A temporary folder for a test, gone after it, and lines that were said. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Say } from '../../local/say.ts';

/** Makes a folder that is removed when the test has ended. Stop what writes into it first. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-local-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A `Say` that remembers. */
export function listen(): { say: Say; said: string[] } {
  const said: string[] = [];
  return { said, say: (line) => said.push(line) };
}
