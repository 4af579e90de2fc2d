/**
 * PostgreSQL on this machine, in one folder:
 *
 *   data/             the cluster; made as `data.unfinished` and renamed, so a half-made one is known by its name
 *   password          of the superuser `postgres`, random, readable by us alone
 *   postgres.log
 */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { PlainError, diskFull, errorCode, portInUse, toPlainError } from './errors.ts';
import { findPostgres, identity, runAs } from './postgres-binaries.ts';
import { checkVersion, ensurePassword, lastLine, makeCluster } from './postgres-cluster.ts';
import { commandOf, fileSize, logTail, spawnDetached, startMark, stopProcess } from './processes.ts';
import type { RunningPart, SpawnOptions, Spawned, StopStep } from './processes.ts';
import type { Say } from './say.ts';
import { portIsFree } from './tcp.ts';

/** Where to keep it and how to reach it. */
export interface PostgresOptions {
  dataDir: string;
  /** On 127.0.0.1. */
  port: number;
  say: Say;
  /** Named in the sentence about a port in use. */
  portSetting?: string;
  /** The database to make sure of. Default `plumbline`. */
  database?: string;
  /** More server settings, `name: value`. */
  settings?: Readonly<Record<string, string>>;
  /** Gives up waiting when aborted. */
  stopping?: AbortSignal;
}

/** A server that answers. */
export interface RunningPostgres extends RunningPart {
  /** Connection URL of the database, with user and password. */
  url: string;
  /** The same for the database `postgres`, for making and dropping databases. */
  adminUrl: string;
  port: number;
}

const fastStop: StopStep[] = [
  { signal: 'SIGINT', graceMs: 30_000 },
  { signal: 'SIGQUIT', graceMs: 5_000 },
];
const immediateStop: StopStep[] = [{ signal: 'SIGQUIT', graceMs: 3_000 }];

/**
 * Starts PostgreSQL, making its cluster on the first start, and waits until it answers. A server that a killed start
 * left running on the same folder is stopped first. Throws a `PlainError` for what a user can mend.
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const { port, say } = options;
  const dataDir = resolve(options.dataDir);
  const programs = await findPostgres();
  const cluster = join(dataDir, 'data');
  try {
    mkdirSync(dataDir, { recursive: true });
  } catch (error) {
    throw toPlainError(error, { doing: 'making the folder of PostgreSQL', path: dataDir });
  }
  const user = runAs(cluster, [programs.postgres, cluster]);
  const password = ensurePassword(join(dataDir, 'password'), existsSync(cluster));
  if (!existsSync(cluster)) await makeCluster(programs, dataDir, user, password, say);
  checkVersion(cluster);

  if (await stopLeftOverPostgres(dataDir)) say('Stopped a PostgreSQL that an earlier start had left running.');
  if (!(await portIsFree(port))) throw portInUse(port, 'PostgreSQL', options.portSetting);

  // Without sslmode, a PGSSLMODE of the user's shell would be taken.
  const url = (database: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}?sslmode=disable`;
  const [command, ...args] = [...user.prefix, programs.postgres, ...serverArguments(cluster, port, options.settings)];
  const spec = { command: command as string, args, logFile: join(dataDir, 'postgres.log'), ...identity(user) };
  const server = await startServer(spec, url('postgres'), { ...options, dataDir });
  const database = options.database ?? 'plumbline';
  try {
    await ensureDatabase(url('postgres'), database);
  } catch (error) {
    await stopProcess(server.pid, server.startMark, immediateStop);
    throw error;
  }
  return {
    pid: server.pid,
    port,
    url: url(database),
    adminUrl: url('postgres'),
    exited: server.exited,
    stop: () => stopProcess(server.pid, server.startMark, fastStop),
    stopNow: () => stopProcess(server.pid, server.startMark, immediateStop),
  };
}

async function startServer(spec: SpawnOptions, url: string, options: PostgresOptions): Promise<Spawned> {
  for (let attempt = 1; ; attempt += 1) {
    const logStart = fileSize(spec.logFile);
    const server = await spawnDetached(spec);
    if (await becomesReady(server, url, options)) return server;
    const log = logTail(spec.logFile, logStart);
    if (/No space left|Disk quota/i.test(log)) throw diskFull(options.dataDir);
    if (/Address already in use/i.test(log)) throw portInUse(options.port, 'PostgreSQL', options.portSetting);
    // The sessions of a server that was killed notice it a moment later, and until then hold its shared memory.
    if (attempt <= 20 && log.includes('pre-existing shared memory block')) {
      await sleep(500);
      continue;
    }
    throw new PlainError(`PostgreSQL ended while starting. ${lastLine(log)} The whole log is ${spec.logFile}.`);
  }
}

function serverArguments(cluster: string, port: number, more: Readonly<Record<string, string>> = {}): string[] {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    // The path of a socket is limited to some 100 bytes, and a data folder may be deep.
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '256MB',
    effective_cache_size: '1GB',
    max_wal_size: '2GB',
    wal_compression: 'on',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // A statement or a failing row may hold a person, and a log is no place for one.
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    ...more,
  };
  return ['-D', cluster, '-p', String(port), ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])];
}

/** Stops a server that still runs on this data folder; postmaster.pid has its pid in the first line. True if one did. */
export async function stopLeftOverPostgres(dataDir: string): Promise<boolean> {
  const cluster = join(resolve(dataDir), 'data');
  const path = join(cluster, 'postmaster.pid');
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return false;
  const pid = Number(readFileSync(path, 'utf8').split('\n')[0]);
  const command = pid > 1 ? commandOf(pid) : undefined;
  if (command === undefined || !command.includes('postgres') || !command.includes(cluster)) {
    // The file of a server that was killed: PostgreSQL refuses to start while the pid in it is anybody's.
    if (command !== undefined) rmSync(path);
    return false;
  }
  await stopProcess(pid, startMark(pid), fastStop);
  return true;
}

/** True when the server answers, false when it ended before. */
async function becomesReady(server: Spawned, url: string, { say, stopping }: PostgresOptions): Promise<boolean> {
  let ended = false;
  void server.exited.then(() => (ended = true));
  for (let waitedMs = 0; !ended; waitedMs += 50) {
    const answer = await tryConnect(url);
    if (answer === 'ready') return true;
    if (errorCode(answer) === '28P01') {
      await stopProcess(server.pid, server.startMark, fastStop);
      throw new PlainError(
        'The database does not accept the password in its folder. Put the file "password" back from a backup.',
      );
    }
    if (stopping?.aborted === true) {
      await stopProcess(server.pid, server.startMark, immediateStop);
      throw new PlainError('PostgreSQL was not waited for, as Plumbline is stopping.');
    }
    // Replaying the log after a crash may take minutes, and giving up then would only begin it again.
    if (waitedMs > 0 && waitedMs % 5_000 === 0) {
      say(`Waiting for PostgreSQL to recover, ${waitedMs / 1_000} s …`, 'progress');
    }
    await sleep(50);
  }
  return false;
}

async function tryConnect(url: string): Promise<'ready' | Error> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  // Without a listener an error after the connection was made ends the process.
  client.on('error', () => {});
  try {
    await client.connect();
    return 'ready';
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    await client.end().catch(() => {});
  }
}

async function ensureDatabase(adminUrl: string, name: string): Promise<void> {
  const client = new Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}
