/**
 * The vendors' SDKs by themselves, a process of its own: `node bench/peer/alone.ts '<WorkerSetup as JSON>'`. Contacts are in memory, nothing
 * is kept: what any programme in this language pays to write and read back by these SDKs, whatever else it does.
 */
import { Pool } from 'pg';
import type { Vendor } from '../../local/vendor-programs.ts';
import { all } from './contacts.ts';
import type { PeerContact } from './contacts.ts';
import { chunks } from './delivery.ts';
import { deliveryOf } from './vendors.ts';
import type { WorkerSetup } from './worker.ts';

const setup = JSON.parse(process.argv[2] ?? '{}') as WorkerSetup;
const pool = new Pool({ connectionString: setup.databaseUrl, max: 1 });
const contacts = (await all(pool)).map((each) => ({ ...each, familyName: `${each.familyName} again` }));
await pool.end();

const started = performance.now();
const cpu = process.cpuUsage();
const seconds = await Promise.all(
  (Object.entries(setup.urls) as [Vendor, string][]).map(async ([vendor, url]) => {
    await write(vendor, url, contacts);
    return [vendor, (performance.now() - started) / 1000] as const;
  }),
);
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(
  `${JSON.stringify({ seconds: Object.fromEntries(seconds), cpuSeconds: (user + system) / 1e6 })}\n`,
);

/** @throws Error where a contact does not read back as written */
async function write(vendor: Vendor, url: string, people: readonly PeerContact[]): Promise<void> {
  const delivery = await deliveryOf(vendor, { url, mode: setup.mode, limits: setup.limits });
  const batches = chunks(people, delivery.size);
  await Promise.all(
    Array.from({ length: delivery.lanes }, async () => {
      for (let batch = batches.pop(); batch !== undefined; batch = batches.pop()) {
        const held = await delivery.deliver(batch);
        if (held.size !== batch.length) throw new Error(`${vendor}: ${batch.length - held.size} read back otherwise`);
      }
    }),
  );
}
