/** The cluster of PostgreSQL: made once, by the right user, with a password that nobody else reads. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PlainError, diskFull, errorCode, toPlainError } from './errors.ts';
import { identity } from './postgres-binaries.ts';
import type { PostgresBinaries, RunAs } from './postgres-binaries.ts';
import type { Say } from './say.ts';

const majorVersion = '18';

/** The superuser's password: made once, kept in a file that only we can read. */
export function ensurePassword(path: string, clusterExists: boolean): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw toPlainError(error, { doing: 'reading the database password', path });
  }
  if (clusterExists) {
    throw new PlainError(
      `The database password ${path} is missing while its data are there. Put the file back from a backup, or move the folder away to begin anew.`,
    );
  }
  const password = randomBytes(24).toString('hex');
  try {
    writeFileSync(`${path}.new`, `${password}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw toPlainError(error, { doing: 'writing the database password', path });
  }
  return password;
}

/** Runs initdb into `data.unfinished`, and renames that to `data` when it is whole. */
export async function makeCluster(
  programs: PostgresBinaries,
  dataDir: string,
  user: RunAs,
  password: string,
  say: Say,
): Promise<void> {
  const unfinished = join(dataDir, 'data.unfinished');
  const passwordFile = join(dataDir, 'initdb-password');
  const asRoot = process.getuid?.() === 0;
  const owner = (path: string) => {
    if (asRoot) chownSync(path, user.uid ?? 65_534, user.gid ?? 65_534);
  };
  try {
    if (existsSync(unfinished)) {
      say('An earlier start ended while it made the database; making it again.');
      rmSync(unfinished, { recursive: true });
    }
    say('Making the database (once) …');
    mkdirSync(unfinished, { mode: 0o700 });
    writeFileSync(passwordFile, password, { mode: 0o600 });
    owner(unfinished);
    owner(passwordFile);
  } catch (error) {
    throw toPlainError(error, { doing: 'making the database', path: dataDir });
  }
  const args = ['-D', unfinished, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const result = await run([...user.prefix, programs.initdb, ...args, ...locale], user);
  rmSync(passwordFile, { force: true });
  if (result.code !== 0) {
    rmSync(unfinished, { recursive: true, force: true });
    if (/No space left|Disk quota/i.test(result.output)) throw diskFull(dataDir);
    throw new PlainError(
      `PostgreSQL could not make its data folder in ${dataDir}: ${lastLine(result.output)} If this machine cannot run it, set DATABASE_URL to a PostgreSQL 15 to 18 of your own.`,
    );
  }
  renameSync(unfinished, join(dataDir, 'data'));
}

async function run(command: readonly string[], user: RunAs): Promise<{ code: number | null; output: string }> {
  return await new Promise((resolve, reject) => {
    const [program, ...args] = command;
    // TZ and PG* settings of the user's shell must not shape the cluster.
    const child = spawn(program as string, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...identity(user),
      env: { PATH: process.env['PATH'], TZ: 'UTC' },
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** Refuses a cluster of another major version, which this server could not open. */
export function checkVersion(cluster: string): void {
  const path = join(cluster, 'PG_VERSION');
  let found: string;
  try {
    found = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') {
      throw new PlainError(`${cluster} is not a PostgreSQL data folder. Move it away and start again.`);
    }
    throw toPlainError(error, { doing: 'opening the database', path: cluster });
  }
  if (found === majorVersion) return;
  throw new PlainError(
    `${cluster} was made by PostgreSQL ${found}, and this Plumbline brings ${majorVersion}. Move the data with pg_dump, or start with the Plumbline that made it.`,
  );
}

/** The last line of a program's output, as a sentence. */
export function lastLine(text: string): string {
  const line = text.trimEnd().split('\n').at(-1)?.trim() ?? '';
  return line === '' || /[.!?]$/.test(line) ? line : `${line}.`;
}
