/** Bundles the workflows outside the worker, whose memory it would cost. Run as a programme: `node temporal/bundle.ts FILE`. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundleWorkflowCode } from '@temporalio/worker';
import type { Logger } from '@temporalio/worker';
import { FAILURE_CONVERTER } from './client.ts';

const WORKFLOWS = fileURLToPath(new URL('../workflows/index.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('..', import.meta.url));

const silent: Logger = {
  log() {},
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
};

/** The workflow code as one script. @throws where workflow code uses what it must not */
export async function bundle(logger: Logger = silent): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: WORKFLOWS,
    failureConverterPath: FAILURE_CONVERTER,
    logger,
  });
  return code;
}

async function sourceHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of ['workflows', 'workflows/contracts', 'domain']) {
    const names = (await readdir(join(ROOT, folder))).filter((n) => n.endsWith('.ts')).toSorted();
    for (const name of names) hash.update(name).update(await readFile(join(ROOT, folder, name)));
  }
  hash.update(await readFile(join(ROOT, 'package-lock.json')).catch(() => ''));
  return hash.digest('hex').slice(0, 20);
}

/** Path of the bundle for this source, made by a process of its own where it is not there yet. */
export async function bundlePath(folder = join(tmpdir(), 'plumbline-bundles')): Promise<string> {
  const file = join(folder, `${await sourceHash()}.cjs`);
  try {
    await stat(file);
    return file;
  } catch {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const own = `${file}.${process.pid}`;
    await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), own], { cwd: ROOT });
    await rename(own, file);
    return file;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , target] = process.argv;
  if (target === undefined) throw new Error('usage: node temporal/bundle.ts FILE');
  await writeFile(target, await bundle());
}
