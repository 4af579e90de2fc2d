/**
 * A whole installation for one test file: database, namespace, three sandboxes that hold other people's records, API, and
 * workers as processes of their own that can be killed, each with an account of its own group in the database. Everything is asked through public doors; the vendors are asked themselves.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { pino } from 'pino';
import { parse } from 'yaml';
import { buildApi } from '../../api/server.ts';
import type { Api } from '../../api/deps.ts';
import { baseUrlVariable, loadConfig, mainKeys } from '../../config/index.ts';
import type { Config } from '../../config/index.ts';
import { codecOf, makeOwnKeys } from '../../local/own-keys.ts';
import { SANDBOX_CREDENTIALS, SYSTEM } from '../../local/vendor-programs.ts';
import type { Vendor } from '../../local/vendor-programs.ts';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';
import { loadVendor } from '../../sandboxes/main.ts';
import { createKey } from '../../store/api-keys.ts';
import { openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { keyringFrom } from '../../store/keyring.ts';
import type { Keyring } from '../../store/keyring.ts';
import { migrate } from '../../store/migrate.ts';
import { clientOver } from '../../temporal/client.ts';
import { createOperations } from '../../temporal/operations.ts';
import { accountUrl } from './accounts.ts';
import { createDatabase } from './database.ts';
import { createNamespace } from './temporal.ts';

const ROOT = resolve(import.meta.dirname, '..', '..');
export { SYSTEM };
export type { Vendor };

export interface WorkerProcess {
  readonly pid: number;
  /** Ends it at once, as a power cut would. */
  kill9(): Promise<void>;
  /** Asks it to end in order. */
  stop(): Promise<void>;
}

export interface WorldOptions {
  /** Changes of the shipped configuration, deep-merged. */
  config?: Record<string, unknown>;
  /** Vendors' limits on; default off, so that tests do not wait for minutes. */
  limits?: boolean;
  /** Other addresses than the run's servers: proxies, servers of the test's own. */
  databaseUrl?: string;
  temporal?: { address: string; namespace: string };
  /** Systems to connect; all three when left out. */
  vendors?: readonly Vendor[];
  /** Leave other people's records out. */
  emptyVendors?: boolean;
  /** False: nothing that Temporal keeps is sealed, as before all processes are of a release that can open it. */
  sealed?: boolean;
  /** Makes the schema of that database in place of the present migrations: for an earlier release. */
  schema?: (databaseUrl: string) => Promise<void>;
}

export interface World {
  db: Db;
  keyring: Keyring;
  config: Config;
  databaseUrl: string;
  temporal: Client;
  /** What the workers seal and open with. */
  codec: PayloadCodec;
  api: Api;
  sandboxes: Record<Vendor, Sandbox>;
  env: Record<string, string>;
  /** Everything that workers wrote to standard output and error so far. */
  log(): string;
  startWorker(env?: Record<string, string>): Promise<WorkerProcess>;
  /** One call of the API with an administrator's key. */
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: Record<string, unknown> }>;
  close(): Promise<void>;
}

type Tree = Record<string, unknown>;

function merged(base: Tree, change: Tree): Tree {
  const out: Tree = { ...base };
  for (const [key, value] of Object.entries(change)) {
    const there = out[key];
    const both = isTree(there) && isTree(value);
    out[key] = both ? merged(there, value) : value;
  }
  return out;
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Short times, so that tests take seconds. */
export const FAST: Tree = {
  worker: { lingerMs: 2_000, drainSeconds: 20, sweepSeconds: 1, leaseSeconds: 3, callSeconds: 3 },
};
const NO_LIMITS: Tree = {
  systems: {
    'hubspot-main': { limits: { off: true } },
    'mailchimp-main': { limits: { off: true } },
    'xero-uk': { limits: { off: true } },
  },
};

/** Builds a world. Close it at the end of the file. */
export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-world-'));
  const databaseUrl = options.databaseUrl ?? (await createDatabase()).url;
  const namespace = options.temporal ?? (await createNamespace());
  const sandboxes = {
    hubspot: await playVendor('hubspot', options),
    mailchimp: await playVendor('mailchimp', options),
    xero: await playVendor('xero', options),
  };
  if (options.emptyVendors !== true) await seedOthers(sandboxes);

  const shipped = parse(readFileSync(join(ROOT, 'plumbline.yaml'), 'utf8')) as Tree;
  const wanted = [
    FAST,
    options.limits === true ? {} : NO_LIMITS,
    options.sealed === false ? { keys: { codec: undefined } } : {},
    options.config ?? {},
  ].reduce<Tree>(merged, shipped);
  const vendors = options.vendors ?? (Object.keys(SYSTEM) as Vendor[]);
  const systems = wanted['systems'] as Tree;
  for (const vendor of Object.keys(SYSTEM) as Vendor[]) if (!vendors.includes(vendor)) delete systems[SYSTEM[vendor]];
  const configFile = join(folder, 'plumbline.yaml');
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(wanted));
  const { PLUMBLINE_KEY, PLUMBLINE_CODEC_KEYS } = makeOwnKeys();
  const keys = options.sealed === false ? { PLUMBLINE_KEY } : { PLUMBLINE_KEY, PLUMBLINE_CODEC_KEYS };
  const db = openDb({ url: databaseUrl, poolMax: 6, applicationName: 'plumbline-test' });
  if (options.schema === undefined) await migrate(db);
  else await options.schema(databaseUrl);
  const env: Record<string, string> = {
    ...SANDBOX_CREDENTIALS,
    DATABASE_URL: await accountUrl(db, databaseUrl, 'worker'),
    TEMPORAL_ADDRESS: namespace.address,
    TEMPORAL_NAMESPACE: namespace.namespace,
    PLUMBLINE_CONFIG: configFile,
    ...keys,
  };
  for (const vendor of Object.keys(SYSTEM) as Vendor[]) env[baseUrlVariable(SYSTEM[vendor])] = sandboxes[vendor].url;

  const config = await loadConfig(configFile, env);
  const keyring = keyringFrom(await mainKeys(config, env));
  const codec = codecOf(env);
  const connection = await Connection.connect({ address: namespace.address });
  const temporal = clientOver(connection, namespace.namespace, codec);
  const apiDb = openDb({
    url: await accountUrl(db, databaseUrl, 'api'),
    poolMax: 6,
    applicationName: 'plumbline-test-api',
  });
  const operations = createOperations({ db: apiDb, client: temporal, namespace: namespace.namespace, uiUrl: null });
  const api = buildApi({ db: apiDb, keyring, config, operations, log: pino({ level: 'silent' }) });
  const key = await createKey(db, { name: 'test', role: 'admin', expiresAt: null });
  const logFile = join(folder, 'workers.log');
  writeFileSync(logFile, '');
  const workers = new Set<WorkerProcess>();

  return {
    db,
    keyring,
    config,
    databaseUrl,
    temporal,
    codec,
    api,
    sandboxes,
    env,
    log: () => readFileSync(logFile, 'utf8'),
    async startWorker(more = {}) {
      const worker = await spawnWorker({ ...env, ...more }, logFile);
      workers.add(worker);
      return worker;
    },
    async call(method, path, body, headers = {}) {
      const answer = await api.inject({
        method: method as 'GET',
        url: path,
        headers: {
          authorization: `Bearer ${key}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
      });
      return { status: answer.statusCode, body: answer.body === '' ? {} : (answer.json() as Record<string, unknown>) };
    },
    async close() {
      await Promise.all([...workers].map((w) => w.kill9()));
      await api.close();
      await connection.close();
      await apiDb.destroy();
      await db.destroy();
      await Promise.all(Object.values(sandboxes).map((s) => s.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function playVendor(vendor: Vendor, options: WorldOptions): Promise<Sandbox> {
  const module = await loadVendor(vendor);
  if (module === undefined) throw new Error(`no sandbox ${vendor}`);
  return startSandbox({
    module,
    port: 0,
    controlPort: 0,
    settings: { latencyMs: 2, limits: options.limits === true, searchLagMs: 0 },
  });
}

async function spawnWorker(env: Record<string, string>, logFile: string): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [join(ROOT, 'test/rig/worker-main.ts')], {
    env: { ...process.env, ...env },
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = createWriteStream(logFile, { flags: 'a' });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const exited = once(child, 'exit');
  await new Promise<void>((ready, failed) => {
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (text.includes('worker ready')) ready();
    });
    void exited.then(() =>
      failed(new Error(`the worker ended while starting: ${readFileSync(logFile, 'utf8').slice(-2000)}`)),
    );
  });
  return {
    pid: child.pid ?? 0,
    kill9: () => end(child, exited, 'SIGKILL'),
    stop: () => end(child, exited, 'SIGTERM'),
  };
}

async function end(child: ChildProcess, exited: Promise<unknown>, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await exited;
}

/** People whom the vendors hold and the record does not know: nothing may happen to them. */
export const OTHERS = { hubspot: 7, mailchimp: 5, xero: 6 } as const;

async function seedOthers(sandboxes: Record<Vendor, Sandbox>): Promise<void> {
  const numbers = (n: number): number[] => Array.from({ length: n }, (_, at) => at + 1);
  await control(
    sandboxes.hubspot,
    'POST',
    '/records',
    numbers(OTHERS.hubspot).map((n) => ({
      properties: { email: `other${n}@elsewhere.example`, firstname: 'Other', lastname: `Person ${n}` },
    })),
  );
  await control(
    sandboxes.mailchimp,
    'POST',
    '/records',
    numbers(OTHERS.mailchimp).map((n) => ({
      email_address: `other${n}@elsewhere.example`,
      status: n === 1 ? 'unsubscribed' : 'subscribed',
      merge_fields: { FNAME: 'Other', LNAME: `Person ${n}` },
    })),
  );
  await control(
    sandboxes.xero,
    'POST',
    '/records',
    numbers(OTHERS.xero).map((n) => ({ Name: `Other Company ${n}`, EmailAddress: `other${n}@elsewhere.example` })),
  );
}

/** One call of a sandbox's control port. */
export async function control(sandbox: Sandbox, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(`${sandbox.controlUrl}${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`control ${method} ${path}: ${answer.status} ${await answer.text()}`);
  const text = await answer.text();
  return text === '' ? null : JSON.parse(text);
}

/** How often a fault that was set at a sandbox has fired. */
export async function firedOf(sandbox: Sandbox, id: string): Promise<number> {
  const { faults } = (await control(sandbox, 'GET', '/faults')) as { faults: { id: string; fired: number }[] };
  return faults.find((fault) => fault.id === id)?.fired ?? 0;
}

/** Asks until the answer is not undefined or false. Fails with the last error or with `what`. */
export async function eventually<T>(what: string, ask: () => Promise<T>, withinMs = 30_000): Promise<NonNullable<T>> {
  const started = performance.now();
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false && answer !== null) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() - started > withinMs) {
      throw new Error(`not within ${withinMs} ms: ${what}${last instanceof Error ? `: ${last.message}` : ''}`);
    }
    await sleep(50);
  }
}

/** Waits until nothing is due in any system. */
export async function converged(world: World, withinMs = 60_000): Promise<void> {
  await eventually(
    'nothing is due',
    async () => {
      const open = await rows<{ system: string; n: number }>(
        world.db,
        `select system, count(*)::integer as n from deliveries where wanted > settled group by system
         union all select system, count(*)::integer from calls group by system
         union all select 'other holders', count(*)::integer from remarks having count(*) > 0`,
      );
      if (open.length > 0) throw new Error(JSON.stringify(open));
      return true;
    },
    withinMs,
  );
}
