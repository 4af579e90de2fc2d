/** A whole installation to measure: database, namespace, sandboxes and the worker, each a process of its own. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { WORKER_ENV, WORKER_FLAGS } from '../../local/worker-flags.ts';
import { baseUrlVariable } from '../../config/index.ts';
import { oneRow, openDb } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { migrate } from '../../store/migrate.ts';
import type { Bench } from './part.ts';
import { makeOwnKeys } from '../../local/own-keys.ts';
import { ROOT, startProgram } from '../../local/program.ts';
import type { Program } from '../../local/program.ts';
import { SANDBOX_CREDENTIALS, startVendors, SYSTEM, VENDORS } from '../../local/vendor-programs.ts';
import type { Vendor, VendorProcess } from '../../local/vendor-programs.ts';

export interface Installation {
  db: Db;
  databaseUrl: string;
  vendors: Record<Vendor, VendorProcess>;
  env: Record<string, string>;
  /** Starts the worker anew; `limits` false takes rate and day limits away at both ends. */
  startWorker(options: { limits: boolean }): Promise<Program>;
  stopWorker(): Promise<void>;
  worker(): Program;
}

type Tree = Record<string, Record<string, unknown>>;

export async function install(
  bench: Bench,
  options: { latencyMs?: number; vendors?: readonly Vendor[] } = {},
): Promise<Installation> {
  const { latencyMs = 20, vendors: wanted = VENDORS } = options;
  const [databaseUrl, namespace, vendors] = await Promise.all([
    bench.database(),
    bench.namespace(),
    startVendors(bench, { latencyMs, limits: false }),
  ]);
  const db = openDb({ url: databaseUrl, poolMax: 4, applicationName: 'plumbline-bench' });
  bench.after(async () => db.destroy());
  await migrate(db);

  const shipped = parse(readFileSync(join(ROOT, 'plumbline.yaml'), 'utf8')) as Tree;
  const systems = shipped['systems'] as Tree;
  for (const vendor of VENDORS) if (!wanted.includes(vendor)) delete systems[SYSTEM[vendor]];
  // A night's run in the middle of a measurement would be measured.
  const base = { ...shipped, schedules: { ...shipped['schedules'], changesEverySeconds: 86_400 } };
  const env: Record<string, string> = {
    ...SANDBOX_CREDENTIALS,
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: namespace.address,
    TEMPORAL_NAMESPACE: namespace.namespace,
    ...makeOwnKeys(),
    PLUMBLINE_LOG_LEVEL: 'warn',
  };
  for (const vendor of VENDORS) env[baseUrlVariable(SYSTEM[vendor])] = vendors[vendor].url;

  let worker: Program | null = null;
  const installation: Installation = {
    db,
    databaseUrl,
    vendors,
    env,
    worker() {
      if (worker === null) throw new Error('no worker runs');
      return worker;
    },
    async startWorker({ limits }) {
      await installation.stopWorker();
      await Promise.all(VENDORS.map((vendor) => vendors[vendor].control('PUT', '/settings', { limits })));
      const unlimited = Object.fromEntries(
        Object.entries(systems).map(([name, system]) => [name, { ...system, limits: { off: true } }]),
      );
      // JSON is YAML.
      const file = join(bench.folder, `plumbline-${limits ? 'limits' : 'free'}.yaml`);
      writeFileSync(file, JSON.stringify({ ...base, systems: limits ? systems : unlimited }));
      env['PLUMBLINE_CONFIG'] = file;
      worker = await startProgram({
        nodeArgs: WORKER_FLAGS,
        args: ['cli/main.ts', 'worker'],
        env: { ...env, ...WORKER_ENV },
        ready: /worker ready/,
        log: join(bench.folder, 'worker.log'),
      });
      return worker;
    },
    async stopWorker() {
      await worker?.stop();
      worker = null;
    },
  };
  bench.after(async () => worker?.kill9());
  return installation;
}

/** Waits until nothing is due in any system. */
export async function settled(db: Db, say: (left: number) => void = () => {}, everyMs = 250): Promise<void> {
  for (;;) {
    const { left } = await oneRow<{ left: number }>(
      db,
      `select (select count(*) from deliveries where wanted > settled)::integer
         + (select count(*) from calls)::integer + (select count(*) from remarks)::integer as left`,
    );
    if (left === 0) return;
    say(left);
    await sleep(everyMs);
  }
}
