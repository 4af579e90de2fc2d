/**
 * What a campaign breaks: PostgreSQL, Temporal, worker, API and three sandboxes, each a process of its own, with a proxy before
 * each server that the worker and the API go through. The campaign itself goes around the proxies, to see what is true.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { parse } from 'yaml';
import { baseUrlVariable } from '../config/index.ts';
import { codecOf, makeOwnKeys } from '../local/own-keys.ts';
import type { OwnKeys } from '../local/own-keys.ts';
import { startPostgres } from '../local/postgres.ts';
import type { RunningPostgres } from '../local/postgres.ts';
import { ROOT, startProgram } from '../local/program.ts';
import type { Program } from '../local/program.ts';
import { startProxy } from '../local/proxy.ts';
import type { FaultProxy } from '../local/proxy.ts';
import { anyFreePort } from '../local/tcp.ts';
import { findTemporal } from '../local/temporal-binary.ts';
import { startTemporal } from '../local/temporal-server.ts';
import type { RunningTemporal } from '../local/temporal-server.ts';
import { searchAttributes, serverCacheDir } from '../local/throwaway.ts';
import { SANDBOX_CREDENTIALS, startVendor, SYSTEM, VENDORS } from '../local/vendor-programs.ts';
import type { Vendor, VendorProcess } from '../local/vendor-programs.ts';
import { WORKER_ENV, WORKER_FLAGS } from '../local/worker-flags.ts';
import { createKey } from '../store/api-keys.ts';
import { openDb } from '../store/db.ts';
import type { Db } from '../store/db.ts';
import { keyringFrom } from '../store/keyring.ts';
import type { Keyring } from '../store/keyring.ts';
import { migrate } from '../store/migrate.ts';
import { clientOver } from '../temporal/client.ts';
import { clockArguments, saidApart } from './clock.ts';
import { limitWrites } from './disk.ts';

const NAMESPACE = 'plumbline';

/** Short times, so that a round takes seconds; the bounds are those of production divided. */
const FAST = { lingerMs: 2_000, drainSeconds: 20, sweepSeconds: 1, leaseSeconds: 3, callSeconds: 2 };

export interface Installation {
  db: Db;
  databaseUrl: string;
  keyring: Keyring;
  vendors: Record<Vendor, VendorProcess>;
  proxies: Record<'postgres' | 'temporal' | Vendor, FaultProxy>;
  temporal(): Client;
  /** One call of the API; status 0 where no answer came. */
  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }>;
  killWorker(): Promise<void>;
  /** `clockMs`: how far its clock is from the machine's. Returns how far it says that it is. */
  startWorker(clockMs?: number): Promise<number>;
  killApi(): Promise<void>;
  startApi(clockMs?: number): Promise<number>;
  killPostgres(): Promise<void>;
  startPostgres(): Promise<void>;
  /** PostgreSQL cannot write a byte more. */
  fillDisk(): Promise<void>;
  /** It can again, and is started where it had ended. */
  freeDisk(): Promise<void>;
  /** `empty` forgets all that the server knew. */
  killTemporal(): Promise<void>;
  startTemporal(empty?: boolean): Promise<void>;
  stop(): Promise<void>;
}

type Tree = Record<string, Record<string, unknown>>;
const quiet = (): void => undefined;

export async function install(): Promise<Installation> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-faults-'));
  const ends: (() => Promise<void>)[] = [];
  const after = (end: () => Promise<void>): void => void ends.push(end);
  const ports = { postgres: await anyFreePort(), temporal: await anyFreePort(), api: await anyFreePort() };
  const binary = await findTemporal({ cacheDir: serverCacheDir(), say: (line) => process.stderr.write(`${line}\n`) });
  let store = 0;
  const upPostgres = (): Promise<RunningPostgres> =>
    startPostgres({ dataDir: join(folder, 'postgres'), port: ports.postgres, say: quiet });
  const upTemporal = (): Promise<RunningTemporal> =>
    startTemporal({
      path: binary,
      dataFile: join(folder, `temporal-${store}.db`),
      port: ports.temporal,
      namespace: NAMESPACE,
      searchAttributes,
      say: quiet,
    });
  let postgres = await upPostgres();
  after(async () => postgres.stopNow());
  let temporal = await upTemporal();
  after(async () => temporal.stopNow());
  const started = await Promise.all(
    VENDORS.map(async (vendor) => startVendor({ folder, after }, vendor, { latencyMs: 2, limits: false })),
  );
  const vendors = Object.fromEntries(VENDORS.map((vendor, at) => [vendor, started[at]!])) as Record<
    Vendor,
    VendorProcess
  >;

  const targets = {
    postgres: ports.postgres,
    temporal: ports.temporal,
    ...(Object.fromEntries(VENDORS.map((v) => [v, Number(new URL(vendors[v].url).port)])) as Record<Vendor, number>),
  };
  const proxies = Object.fromEntries(
    await Promise.all(Object.entries(targets).map(async ([name, port]) => [name, await startProxy(port)] as const)),
  ) as Installation['proxies'];
  after(async () => {
    await Promise.all(Object.values(proxies).map(async (proxy) => proxy.stop()));
  });

  const db = openDb({ url: postgres.url, poolMax: 6, applicationName: 'plumbline-faults' });
  after(async () => db.destroy());
  await migrate(db);
  const keys = makeOwnKeys();
  const codec = codecOf(keys);
  const key = await createKey(db, { name: 'campaign', role: 'admin', expiresAt: null });
  const env = environment(folder, postgres.url, proxies, keys);
  let client = await connect(ports.temporal, codec);
  after(async () => client.connection.close());

  let worker: Program | null = null;
  let api: Program | null = null;
  after(async () => {
    await Promise.all([worker?.kill9(), api?.kill9()]);
  });
  const installation: Installation = {
    db,
    databaseUrl: postgres.url,
    keyring: keyringFrom(Buffer.from(keys.PLUMBLINE_KEY, 'base64')),
    vendors,
    proxies,
    temporal: () => client,
    async call(method, path, body) {
      try {
        const answer = await fetch(`http://127.0.0.1:${ports.api}${path}`, {
          method,
          signal: AbortSignal.timeout(3_000),
          headers: {
            authorization: `Bearer ${key}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const text = await answer.text();
        return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
      } catch {
        return { status: 0, body: {} };
      }
    },
    async killWorker() {
      await worker?.kill9();
      worker = null;
    },
    async startWorker(clockMs = 0) {
      worker = await startProgram({
        nodeArgs: [...WORKER_FLAGS, ...clockArguments(clockMs)],
        args: ['cli/main.ts', 'worker'],
        env: { ...env, ...WORKER_ENV },
        ready: /worker ready/,
        log: join(folder, 'worker.log'),
      });
      return saidApart(worker.said());
    },
    async killApi() {
      await api?.kill9();
      api = null;
    },
    async startApi(clockMs = 0) {
      api = await startProgram({
        nodeArgs: clockArguments(clockMs),
        args: ['cli/main.ts', 'api'],
        env: { ...env, PLUMBLINE_PORT_API: String(ports.api) },
        ready: /api ready/,
        log: join(folder, 'api.log'),
      });
      return saidApart(api.said());
    },
    async killPostgres() {
      process.kill(postgres.pid, 'SIGKILL');
      await postgres.exited;
    },
    async startPostgres() {
      postgres = await upPostgres();
    },
    fillDisk: async () => limitWrites(postgres.pid, true),
    async freeDisk() {
      await limitWrites(postgres.pid, false);
      // It may end by itself for what it could not write, now or in a moment.
      const ended = await Promise.race([postgres.exited.then(() => true), sleep(1_000, false)]);
      if (ended) postgres = await upPostgres();
    },
    async killTemporal() {
      process.kill(temporal.pid, 'SIGKILL');
      await temporal.exited;
    },
    async startTemporal(empty = false) {
      if (empty) store += 1;
      temporal = await upTemporal();
      await client.connection.close().catch(quiet);
      client = await connect(ports.temporal, codec);
    },
    async stop() {
      for (const end of ends.toReversed()) await end().catch(quiet);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await installation.startWorker();
  await installation.startApi();
  return installation;
}

async function connect(port: number, codec: PayloadCodec): Promise<Client> {
  const connection = await Connection.connect({ address: `127.0.0.1:${port}` });
  return clientOver(connection, NAMESPACE, codec);
}

function environment(
  folder: string,
  url: string,
  proxies: Installation['proxies'],
  keys: OwnKeys,
): Record<string, string> {
  const shipped = parse(readFileSync(join(ROOT, 'plumbline.yaml'), 'utf8')) as Tree;
  const systems = Object.fromEntries(
    Object.entries(shipped['systems'] as Tree).map(([name, system]) => [name, { ...system, limits: { off: true } }]),
  );
  const file = join(folder, 'plumbline.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ ...shipped, systems, worker: FAST }));
  const database = new URL(url);
  database.port = String(proxies.postgres.port);
  return {
    ...SANDBOX_CREDENTIALS,
    DATABASE_URL: database.href,
    TEMPORAL_ADDRESS: `127.0.0.1:${proxies.temporal.port}`,
    TEMPORAL_NAMESPACE: NAMESPACE,
    PLUMBLINE_CONFIG: file,
    ...keys,
    PLUMBLINE_LOG_LEVEL: 'warn',
    ...Object.fromEntries(
      VENDORS.map((vendor) => [baseUrlVariable(SYSTEM[vendor]), `http://127.0.0.1:${proxies[vendor].port}`]),
    ),
  };
}
