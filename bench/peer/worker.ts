/** The peer's worker, a process of its own: `node bench/peer/worker.ts '<WorkerSetup as JSON>'`. */
import { Pool } from 'pg';
import type { Vendor } from '../../local/vendor-programs.ts';
import type { Mode } from './delivery.ts';
import { feed } from './feed.ts';
import { openBoss } from './queues.ts';
import { deliveryOf } from './vendors.ts';

export interface WorkerSetup {
  databaseUrl: string;
  mode: Mode;
  /** Keeps below the vendors' rate limits. */
  limits: boolean;
  urls: Partial<Record<Vendor, string>>;
}

const setup = JSON.parse(process.argv[2] ?? '{}') as WorkerSetup;
const pool = new Pool({ connectionString: setup.databaseUrl, max: 6 });
const boss = await openBoss(setup.databaseUrl, 6);
const feeds: Promise<void>[] = [];
for (const [vendor, url] of Object.entries(setup.urls) as [Vendor, string][]) {
  feeds.push(feed(boss, pool, vendor, await deliveryOf(vendor, { ...setup, url })));
}
process.stdout.write('peer ready\n');
await Promise.all(feeds);
