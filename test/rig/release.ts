/** An earlier release of our own programmes, kept as an archive in `test/releases`, unpacked and run beside the present ones. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { ROOT, startProgram } from '../../local/program.ts';
import type { Program } from '../../local/program.ts';
import { WORKER_FLAGS } from '../../local/worker-flags.ts';
import { FAST } from './world.ts';

const RELEASES = resolve(import.meta.dirname, '..', 'releases');

export interface Release {
  /** One command. @throws with its standard error where it fails */
  run(args: readonly string[], env: Record<string, string>): Promise<string>;
  /** The worker or the API, on this release's own configuration; the vendors' limits are off. */
  start(role: 'worker' | 'api', env: Record<string, string>): Promise<Program>;
  remove(): void;
}

type Tree = Record<string, Record<string, unknown>>;

/** Unpacks `test/releases/<commit>.tar.gz`. */
export async function unpackRelease(commit: string): Promise<Release> {
  const root = mkdtempSync(join(tmpdir(), 'plumbline-release-'));
  await promisify(execFile)('tar', ['-xzf', join(RELEASES, `${commit}.tar.gz`), '-C', root]);
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  const shipped = parse(readFileSync(join(root, 'plumbline.yaml'), 'utf8')) as Tree;
  const systems = Object.entries(shipped['systems'] as Tree).map(([name, s]) => [
    name,
    { ...s, limits: { off: true } },
  ]);
  const configuration = join(root, 'test.yaml');
  // JSON is YAML.
  writeFileSync(configuration, JSON.stringify({ ...shipped, ...FAST, systems: Object.fromEntries(systems) }));
  const main = join(root, 'cli/main.ts');
  return {
    async run(args, env) {
      const options = { cwd: root, env: { ...process.env, ...env, PLUMBLINE_CONFIG: configuration } };
      return (await promisify(execFile)(process.execPath, [main, ...args], options)).stdout;
    },
    start: async (role, env) =>
      startProgram({
        nodeArgs: role === 'worker' ? WORKER_FLAGS : [],
        args: [main, role],
        env: { ...env, PLUMBLINE_CONFIG: configuration },
        ready: role === 'worker' ? /worker ready/ : /api ready/,
        log: join(root, `${role}.log`),
      }),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}
