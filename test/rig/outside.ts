/**
 * Plumbline as an operator deploys it: a PostgreSQL and a Temporal that were there before, groups and accounts made by the
 * administrator, `plumbline migrate` as the account of its group, and workers and APIs as processes that know URLs only.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { baseUrlVariable } from '../../config/index.ts';
import { ROOT, startProgram } from '../../local/program.ts';
import type { Program } from '../../local/program.ts';
import { startThrowawayTemporal } from '../../local/throwaway.ts';
import { SANDBOX_CREDENTIALS, startVendor, SYSTEM, VENDORS } from '../../local/vendor-programs.ts';
import type { Vendor, VendorProcess } from '../../local/vendor-programs.ts';
import { WORKER_ENV, WORKER_FLAGS } from '../../local/worker-flags.ts';
import { makeOwnKeys } from '../../local/own-keys.ts';
import { createKey } from '../../store/api-keys.ts';
import { openDb } from '../../store/db.ts';
import { grantsFile } from '../../store/roles.ts';
import type { Db } from '../../store/db.ts';
import type { Group } from '../../store/grants.ts';
import { accountUrl } from './accounts.ts';
import { apiCaller } from './api-caller.ts';
import type { Call } from './api-caller.ts';
import { startOutsidePostgres } from './outside-postgres.ts';
import { createNamespace } from './temporal.ts';

/** A limit as the vendor enforces it and as the configuration states it. */
export interface Limit {
  sandbox: Record<string, number>;
  config: { calls?: number; windowMs?: number; concurrency?: number };
}

export interface ApiProcess extends Program {
  call: Call;
}

export interface Outside {
  /** What the PostgreSQL is. */
  postgres: string;
  adminUrl: string;
  /** As the superuser, to look. */
  db: Db;
  vendors: Record<Vendor, VendorProcess>;
  workers: Program[];
  apis: ApiProcess[];
  /** One command as the account of that group; its standard output. */
  plumbline(group: Group, ...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

type Tree = Record<string, Record<string, unknown>>;

/** Starts the services, then the programs: two workers, two APIs. */
export async function startOutside(limits: Record<Vendor, Limit>): Promise<Outside> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-deployed-'));
  const ends: (() => Promise<void>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const after = (end: () => Promise<void>): void => void ends.push(end);
  const stop = async (): Promise<void> => {
    for (const end of ends.toReversed()) await end();
  };
  try {
    const postgres = await startOutsidePostgres();
    after(() => postgres.stop());
    const temporal = await startThrowawayTemporal(() => undefined);
    after(() => temporal.stop());
    const place = await createNamespace(temporal.address);
    const started = await Promise.all(
      VENDORS.map(async (vendor) =>
        startVendor({ folder, after }, vendor, { latencyMs: 20, limits: true, ...limits[vendor].sandbox }),
      ),
    );
    const vendors = Object.fromEntries(VENDORS.map((vendor, at) => [vendor, started[at]!])) as Record<
      Vendor,
      VendorProcess
    >;
    const base = {
      ...SANDBOX_CREDENTIALS,
      TEMPORAL_ADDRESS: place.address,
      TEMPORAL_NAMESPACE: place.namespace,
      PLUMBLINE_CONFIG: writeConfiguration(folder, limits),
      ...makeOwnKeys(),
      PLUMBLINE_PORT_API: '0',
      ...Object.fromEntries(VENDORS.map((vendor) => [baseUrlVariable(SYSTEM[vendor]), vendors[vendor].url])),
    };
    const db = openDb({ url: postgres.adminUrl, poolMax: 3, applicationName: 'plumbline-test' });
    after(() => db.destroy());
    const urls: Partial<Record<Group, string>> = {};
    const env = async (group: Group): Promise<Record<string, string>> => ({
      ...base,
      DATABASE_URL: (urls[group] ??= await accountUrl(db, postgres.adminUrl, group)),
    });
    const plumbline = async (settings: Record<string, string>, args: string[]): Promise<string> => {
      const options = { cwd: ROOT, env: { ...process.env, ...settings } };
      return (await promisify(execFile)(process.execPath, ['cli/main.ts', ...args], options)).stdout.trim();
    };
    // As docs/security.md has it: an administrator runs the SQL of `plumbline db grants`, then migrations run as an account of their group.
    await db.raw(grantsFile().replaceAll('?', '\\?'));
    await plumbline(await env('migrate'), ['migrate']);
    const key = await createKey(db, { name: 'test', role: 'admin', expiresAt: null });

    const program = async (role: 'worker' | 'api', number: number): Promise<Program> => {
      const running = await startProgram({
        nodeArgs: role === 'worker' ? WORKER_FLAGS : [],
        args: ['cli/main.ts', role],
        env: { ...(await env(role)), ...(role === 'worker' ? WORKER_ENV : {}) },
        ready: role === 'worker' ? /worker ready/ : /api ready/,
        log: join(folder, `${role}-${number}.log`),
      });
      after(() => running.kill9());
      return running;
    };
    const workers = await Promise.all([program('worker', 1), program('worker', 2)]);
    const apis = await Promise.all([program('api', 1), program('api', 2)]);
    return {
      postgres: postgres.kind,
      adminUrl: postgres.adminUrl,
      db,
      vendors,
      workers,
      apis: apis.map((api) => ({ ...api, call: apiCaller(api.ready, key) })),
      plumbline: async (group, ...args) => plumbline(await env(group), args),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function writeConfiguration(folder: string, limits: Record<Vendor, Limit>): string {
  const shipped = parse(readFileSync(join(ROOT, 'plumbline.yaml'), 'utf8')) as Tree;
  const systems = { ...(shipped['systems'] as Tree) };
  for (const vendor of VENDORS) systems[SYSTEM[vendor]] = { ...systems[SYSTEM[vendor]], limits: limits[vendor].config };
  const file = join(folder, 'plumbline.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ ...shipped, systems }));
  return file;
}
