import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { PlainError } from '../../local/errors.ts';
import { findPostgres, mendLinks, othersMayEnter, runAs } from '../../local/postgres-binaries.ts';
import { startPostgres } from '../../local/postgres.ts';
import type { RunningPostgres } from '../../local/postgres.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { listen, temporaryFolder } from './folder.ts';

/** Starts one that does not outlive the test, however it ends. */
async function start(dataDir: string, say = listen().say): Promise<RunningPostgres> {
  const server = await startPostgres({ dataDir, port: await anyFreePort(), say });
  onTestFinished(() => server.stopNow());
  return server;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test('a fresh start makes the database, a second one keeps the data', async () => {
  const dataDir = join(temporaryFolder(), 'pg');
  const { say, said } = listen();
  const first = await start(dataDir, say);
  await query(first.url, 'create table t as select 1 as x');
  await first.stop();
  expect(await first.exited).toEqual({ code: 0, signal: null });
  const second = await start(dataDir, say);
  expect(await query(second.url, 'select x from t')).toEqual([{ x: 1 }]);
  expect(said.filter((line) => line.startsWith('Making the database'))).toHaveLength(1);
});

test('committed rows survive kill -9, also while a session is open', async () => {
  const dataDir = join(temporaryFolder(), 'pg');
  const first = await start(dataDir);
  await query(first.url, 'create table t as select 1 as x');
  const session = new Client({ connectionString: first.url });
  session.on('error', () => {});
  await session.connect();
  void session.query('select pg_sleep(30)').catch(() => {});
  process.kill(first.pid, 'SIGKILL');
  expect((await first.exited).signal).toBe('SIGKILL');
  const second = await start(dataDir);
  expect(await query(second.url, 'select x from t')).toEqual([{ x: 1 }]);
  await session.end().catch(() => {});
});

test('a server that an earlier start left running is stopped, and its data are taken over', async () => {
  const dataDir = join(temporaryFolder(), 'pg');
  const leftOver = await start(dataDir);
  await query(leftOver.url, 'create table t as select 1 as x');
  const { say, said } = listen();
  const next = await start(dataDir, say);
  expect(await leftOver.exited).toEqual({ code: 0, signal: null });
  expect(said.join('\n')).toContain('left running');
  expect(await query(next.url, 'select x from t')).toEqual([{ x: 1 }]);
});

test('postmaster.pid with the pid of a stranger neither harms the stranger nor stops the start', async () => {
  const dataDir = join(temporaryFolder(), 'pg');
  await (await start(dataDir)).stop();
  writeFileSync(join(dataDir, 'data', 'postmaster.pid'), `${process.pid}\n`);
  const server = await start(dataDir);
  expect(await query(server.url, 'select 1 as x')).toEqual([{ x: 1 }]);
});

test('a port in use is a sentence with port and setting', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const dataDir = join(temporaryFolder(), 'pg');
  await expect(startPostgres({ dataDir, port, say: () => {}, portSetting: 'THE_SETTING' })).rejects.toThrow(
    new PlainError(
      `Port ${port}, wanted for PostgreSQL, is used by another program. Stop it, or set THE_SETTING to a free port.`,
    ),
  );
});

test('a half-finished making of the database is begun again', async () => {
  const dataDir = join(temporaryFolder(), 'pg');
  mkdirSync(join(dataDir, 'data.unfinished'), { recursive: true });
  writeFileSync(join(dataDir, 'data.unfinished', 'PG_VERSION'), '18\n');
  writeFileSync(join(dataDir, 'initdb-password'), 'half');
  const { say, said } = listen();
  const server = await start(dataDir, say);
  expect(said.join('\n')).toContain('making it again');
  expect(await query(server.url, 'select 1 as x')).toEqual([{ x: 1 }]);
  expect(readdirSync(dataDir).sort()).toEqual(['data', 'password', 'postgres.log']);
});

test('the password is random, needed, and in a file that only its owner reads', async () => {
  const dataDir = join(temporaryFolder(), 'pg');
  const server = await start(dataDir);
  expect(statSync(join(dataDir, 'password')).mode & 0o777).toBe(0o600);
  const wrong = new URL(server.url);
  wrong.password = 'guess';
  await expect(query(wrong.href, 'select 1')).rejects.toThrow('password authentication failed');
  await server.stop();
  rmSync(join(dataDir, 'password'));
  await expect(start(dataDir)).rejects.toThrow(/password .* is missing while its data are there/);
});

test('a folder that is no cluster, or one of another version, is left alone', async () => {
  const dataDir = join(temporaryFolder(), 'pg');
  mkdirSync(join(dataDir, 'data'), { recursive: true });
  writeFileSync(join(dataDir, 'password'), 'x');
  await expect(start(dataDir)).rejects.toThrow('is not a PostgreSQL data folder');
  writeFileSync(join(dataDir, 'data', 'PG_VERSION'), '17\n');
  await expect(start(dataDir)).rejects.toThrow('was made by PostgreSQL 17');
  expect(readdirSync(join(dataDir, 'data'))).toEqual(['PG_VERSION']);
});

test('it starts below a home folder that nobody else may enter, also for root', async () => {
  const home = temporaryFolder();
  chmodSync(home, 0o700);
  const dataDir = join(home, 'deep', 'pg');
  expect(othersMayEnter(dataDir)).toBe(false);
  const server = await start(dataDir);
  expect(await query(server.url, 'select 1 as x')).toEqual([{ x: 1 }]);
});

test('its programs run from below such a folder too, as in a clone in the home of root', async () => {
  const home = temporaryFolder();
  chmodSync(home, 0o700);
  const { initdb } = await findPostgres();
  cpSync(dirname(dirname(initdb)), join(home, 'native'), { recursive: true, verbatimSymlinks: true });
  const program = join(home, 'native', 'bin', 'initdb');
  const { uid, gid, prefix } = runAs(join(home, 'none'), [program]);
  const [command, ...args] = [...prefix, program, '--no-sync', '-D', join(home, 'data')];
  mkdirSync(join(home, 'data'));
  if (process.getuid?.() === 0) chownSync(join(home, 'data'), 65_534, 65_534);
  const user = uid === undefined || gid === undefined ? {} : { uid, gid };
  const result = spawnSync(command as string, args, { encoding: 'utf8', ...user });
  expect(result.stderr.replaceAll(/^initdb: (warning|hint).*$/gm, '').trim()).toBe('');
  expect(result.status).toBe(0);
});

test('an error in a statement leaves no trace of the statement in the log', async () => {
  const dataDir = join(temporaryFolder(), 'pg');
  const server = await start(dataDir);
  await query(server.url, 'create table t (x text unique)');
  await query(server.url, "insert into t values ('zzz-secret-zzz')");
  await expect(query(server.url, "insert into t values ('zzz-secret-zzz')")).rejects.toThrow('duplicate key');
  await server.stop();
  const log = readFileSync(join(dataDir, 'postgres.log'), 'utf8');
  expect(log).toContain('duplicate key');
  expect(log).not.toContain('zzz-secret-zzz');
});

test('a platform without a package is a sentence', async () => {
  await expect(findPostgres('plan9-mips')).rejects.toThrow(/not installed for plan9-mips.*DATABASE_URL/);
});

test('library links that an install without scripts left out are made', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'native', 'lib'), { recursive: true });
  writeFileSync(join(folder, 'native', 'lib', 'libx.so.1.2'), 'x');
  const links = [
    { source: 'native/lib/libx.so.1.2', target: 'native/lib/libx.so' },
    { source: 'native/lib/libx.so.1.2', target: 'native/lib/libx.so.1' },
  ];
  writeFileSync(join(folder, 'native', 'pg-symlinks.json'), JSON.stringify(links));
  mendLinks(folder);
  mendLinks(folder);
  for (const { target } of links) expect(existsSync(join(folder, target))).toBe(true);
});
