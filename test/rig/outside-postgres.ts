/**
 * A PostgreSQL as an administrator sets it up, apart from our programs: Debian's package where it is installed (its own cluster tools
 * and settings), else the one of npm. Either way accounts sign in with a password, over TLS only, to the name `localhost`.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { randomBytes } from 'node:crypto';
import { startPostgres } from '../../local/postgres.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { oneRow, openDb } from '../../store/db.ts';

const run = promisify(execFile);
const DEBIAN = '/usr/lib/postgresql';
const OLDEST = 15;
const NEWEST = 18;
const CERTIFICATE = resolve(import.meta.dirname, 'certificate');

export interface OutsidePostgres {
  /** `Debian 15`, or `npm 18`. */
  kind: string;
  /** Of the superuser, to an empty database `plumbline`; TLS, and the server's certificate is checked. */
  adminUrl: string;
  stop(): Promise<void>;
}

/** Debian's newest version that Plumbline supports, with its cluster tools; undefined where there is none. */
function debianVersion(): number | undefined {
  if (!existsSync('/usr/bin/pg_createcluster') || !existsSync(DEBIAN)) return undefined;
  return readdirSync(DEBIAN)
    .map(Number)
    .filter((v) => v >= OLDEST && v <= NEWEST && existsSync(join(DEBIAN, String(v), 'bin/postgres')))
    .toSorted((a, b) => b - a)[0];
}

export async function startOutsidePostgres(): Promise<OutsidePostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-outside-'));
  const version = debianVersion();
  let started: Started | undefined;
  const stop = async (): Promise<void> => {
    await started?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    started = version === undefined ? await startPackaged(folder) : await startDebian(folder, version);
    const url = new URL(`postgres://postgres:${started.password}@localhost:${started.port}/postgres`);
    url.searchParams.set('sslmode', 'verify-full');
    url.searchParams.set('sslrootcert', join(CERTIFICATE, 'localhost.cert.pem'));
    await refusePlain(url.href);
    url.pathname = '/plumbline';
    return { kind: version === undefined ? `npm ${NEWEST}` : `Debian ${version}`, adminUrl: url.href, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Started {
  port: number;
  password: string;
  stop(): Promise<void>;
}

/** By pg_createcluster(1), with all that belongs to the cluster below `folder`; the machine's own clusters do not see it. */
async function startDebian(folder: string, version: number): Promise<Started> {
  const port = await anyFreePort();
  const name = `plumbline_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(16).toString('hex');
  const env = { ...process.env, PG_CLUSTER_CONF_ROOT: join(folder, 'etc') };
  const passwordFile = join(folder, 'superuser');
  writeFileSync(passwordFile, password, { mode: 0o644 });
  const place = ['-d', join(folder, 'data'), '-l', join(folder, 'log'), '-p', String(port)];
  // The owner of the data folder must be able to come through the one above.
  await run('chmod', ['755', folder]);
  await run(
    'pg_createcluster',
    [
      String(version),
      name,
      ...place,
      '--start-conf',
      'manual',
      '--locale',
      'C.UTF-8',
      '--',
      `--pwfile=${passwordFile}`,
      '--no-sync',
    ],
    { env },
  );
  rmSync(passwordFile);
  const conf = join(folder, 'etc', String(version), name, 'conf.d/tls.conf');
  const lines = { ...tlsSettings(folder, join(folder, 'data')), external_pid_file: '' };
  await writeFile(
    conf,
    Object.entries(lines)
      .map(([k, v]) => `${k} = '${v}'\n`)
      .join(''),
  );
  await run('pg_ctlcluster', [String(version), name, 'start'], { env });
  return {
    port,
    password,
    stop: async () => void (await run('pg_ctlcluster', [String(version), name, 'stop', '-m', 'immediate'], { env })),
  };
}

async function startPackaged(folder: string): Promise<Started> {
  const port = await anyFreePort();
  const options = { dataDir: folder, port, database: 'unused', say: () => undefined };
  // The first start makes the cluster, and with it the user whom the key must belong to.
  await (await startPostgres(options)).stop();
  // As many connections as an unchanged Debian gives.
  const settings = { ...tlsSettings(folder, join(folder, 'data')), max_connections: '100', shared_buffers: '128MB' };
  const server = await startPostgres({ ...options, settings });
  return { port, password: new URL(server.url).password, stop: () => server.stopNow() };
}

/** Certificate and key for `localhost`, the key readable by the owner of the data folder only, as PostgreSQL asks. */
function tlsSettings(folder: string, data: string): Record<string, string> {
  const { uid, gid } = statSync(data);
  const settings: Record<string, string> = { ssl: 'on', listen_addresses: 'localhost' };
  for (const [setting, file] of [
    ['ssl_cert_file', 'localhost.cert.pem'],
    ['ssl_key_file', 'localhost.key.pem'],
  ] as const) {
    const own = join(folder, file);
    copyFileSync(join(CERTIFICATE, file), own);
    chmodSync(own, 0o600);
    if (process.getuid?.() === 0) chownSync(own, uid, gid);
    settings[setting] = own;
  }
  return settings;
}

/** From here on only connections under TLS are let in; makes the database. */
async function refusePlain(adminUrl: string): Promise<void> {
  const db = openDb({ url: adminUrl, poolMax: 1, applicationName: 'plumbline-test' });
  try {
    const { file } = await oneRow<{ file: string }>(db, `select current_setting('hba_file') as file`);
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll(/^host\s/gmu, 'hostssl '));
    await db.raw('select pg_reload_conf()');
    await db.raw('create database plumbline');
  } finally {
    await db.destroy();
  }
}
