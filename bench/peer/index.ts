/** What a user would write instead: pg-boss, one job per contact and system, the vendors' own SDKs, reading back too. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'pg';
import type { PgBoss } from 'pg-boss';
import type { Bench } from '../kit/part.ts';
import { startProgram } from '../../local/program.ts';
import { startVendors, VENDORS } from '../../local/vendor-programs.ts';
import type { Counters, Vendor, VendorProcess } from '../../local/vendor-programs.ts';
import { addPeople } from './contacts.ts';
import type { Mode } from './delivery.ts';
import { createQueues, openBoss } from './queues.ts';
import type { WorkerSetup } from './worker.ts';

export interface PeerOptions {
  contacts: number;
  /** `one`: a call a job; `batch`: jobs gathered into batches of the vendor's size. */
  mode: Mode;
  /** The vendors' rate limits, at both ends. */
  limits: boolean;
  /** Ends the measurement even if there is more to do. */
  windowMs?: number;
  /** Sandboxes that already run; without them it starts its own. */
  vendors?: Record<Vendor, VendorProcess>;
  only?: readonly Vendor[];
}

export interface PeerFigures {
  /** Contacts delivered and read back a second, until the vendor's queue was empty or the window was over. */
  perSecond: Record<Vendor, number>;
  /** Contacts that all the vendors hold, a second, until the last vendor was done. */
  perSecondAll: number;
  /** Calls refused by the sandboxes' own limits. */
  limited: number;
  calls: Record<Vendor, number>;
}

interface Progress {
  vendor: Vendor;
  done: number;
  failed: number;
  /** Milliseconds since 1970. */
  lastAt: number | null;
}

const INSERT = 5_000;
const LOOK_MS = 250;

/** Rejects when a job ran out of its tries: what was measured would not be the whole job. */
export async function measurePeer(bench: Bench, options: PeerOptions): Promise<PeerFigures> {
  const { mode, limits, windowMs = Infinity, only = VENDORS } = options;
  const vendors = options.vendors ?? (await startVendors(bench));
  await Promise.all(VENDORS.map((vendor) => vendors[vendor].control('PUT', '/settings', { limits })));
  const databaseUrl = await bench.database();
  const pool = new Pool({ connectionString: databaseUrl, max: 2 });
  bench.after(() => pool.end());
  const boss = await openBoss(databaseUrl, 4);
  bench.after(() => boss.stop({ graceful: false }));
  await createQueues(boss);
  await addPeople(pool, vendors, options.contacts);
  const urls = Object.fromEntries(only.map((vendor) => [vendor, vendors[vendor].url]));
  const setup: WorkerSetup = { databaseUrl, mode, limits, urls };
  const worker = await startProgram({
    args: ['bench/peer/worker.ts', JSON.stringify(setup)],
    ready: /peer ready/,
    log: join(bench.folder, `peer-${mode}.log`),
  });
  bench.after(() => worker.kill9());

  const before = await countersOf(vendors);
  const startedAt = Date.now();
  await change(pool, boss, only);
  const untilAt = startedAt + windowMs;
  for (;;) {
    const progress = await look(pool, untilAt);
    const stuck = progress.find(({ failed }) => failed > 0);
    if (stuck !== undefined) throw new Error(`the peer gave up ${stuck.failed} jobs of ${stuck.vendor}`);
    const whole = only.every((vendor) => progress.some((p) => p.vendor === vendor && p.done === options.contacts));
    if (whole || Date.now() >= untilAt) break;
    await sleep(Math.min(LOOK_MS, Math.max(0, untilAt - Date.now())));
  }
  await worker.kill9();
  const after = await countersOf(vendors);

  const progress = await look(pool, untilAt);
  const seconds = (vendor: Vendor): number => {
    const found = progress.find((p) => p.vendor === vendor);
    const ended = found?.done === options.contacts && found.lastAt !== null ? found.lastAt : untilAt;
    return (ended - startedAt) / 1000;
  };
  const perSecond = (vendor: Vendor): number =>
    (progress.find((p) => p.vendor === vendor)?.done ?? 0) / seconds(vendor);
  return {
    perSecond: each((vendor) => (only.includes(vendor) ? perSecond(vendor) : 0)),
    perSecondAll: (await everywhere(pool, untilAt, only.length)) / Math.max(...only.map(seconds)),
    limited: VENDORS.reduce((sum, vendor) => sum + after[vendor].limited - before[vendor].limited, 0),
    calls: each((vendor) => after[vendor].total - before[vendor].total),
  };
}

/** Every contact changes, and gets a job a system. */
async function change(pool: Pool, boss: PgBoss, vendors: readonly Vendor[]): Promise<void> {
  const { rows } = await pool.query<{ ref: string }>(
    `update contacts set family_name = family_name || ' changed' returning ref`,
  );
  for (let at = 0; at < rows.length; at += INSERT) {
    const jobs = rows.slice(at, at + INSERT).map(({ ref }) => ({ data: { ref } }));
    await Promise.all(vendors.map((vendor) => boss.insert(vendor, jobs)));
  }
}

async function look(pool: Pool, untilAt: number): Promise<Progress[]> {
  const { rows } = await pool.query<Progress>(
    `select name as vendor, count(*) filter (where state = 'completed' and ${IN_TIME})::integer as done,
       count(*) filter (where state = 'failed')::integer as failed,
       (extract(epoch from max(completed_on) filter (where state = 'completed')) * 1000)::double precision as "lastAt"
     from pgboss.job where name = any ($2) group by name`,
    [untilAt / 1000, VENDORS],
  );
  return rows;
}

/** Contacts whose jobs are all done. */
async function everywhere(pool: Pool, untilAt: number, systems: number): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::integer as n from (select 1 from pgboss.job where name = any ($2) and state = 'completed' and ${IN_TIME}
       group by data->>'ref' having count(*) = $3) whole`,
    [untilAt / 1000, VENDORS, systems],
  );
  return rows[0]?.n ?? 0;
}

const IN_TIME = 'extract(epoch from completed_on) <= $1::double precision';

async function countersOf(vendors: Record<Vendor, VendorProcess>): Promise<Record<Vendor, Counters>> {
  const all = await Promise.all(VENDORS.map((vendor) => vendors[vendor].counters()));
  return { hubspot: all[0]!, mailchimp: all[1]!, xero: all[2]! };
}

function each(figure: (vendor: Vendor) => number): Record<Vendor, number> {
  return { hubspot: figure('hubspot'), mailchimp: figure('mailchimp'), xero: figure('xero') };
}
