/** The peer's worker, a process of its own: `node bench/peer/worker.ts '<WorkerSetup as JSON>'`. */
import { Pool } from 'pg';
import type { Vendor } from '../../local/vendor-programs.ts';
import type { Delivery, Mode, Setup } from './delivery.ts';
import { feed } from './feed.ts';
import { createHubSpot } from './hubspot.ts';
import { createMailchimp } from './mailchimp.ts';
import { createPace } from './pace.ts';
import { openBoss } from './queues.ts';
import { createXero } from './xero.ts';

export interface WorkerSetup {
  databaseUrl: string;
  mode: Mode;
  /** Keeps below the vendors' rate limits. */
  limits: boolean;
  urls: Partial<Record<Vendor, string>>;
}

/**
 * Between two calls under limits: HubSpot 190 in ten seconds, Xero 60 in a minute, with a little to spare for calls that arrive closer
 * together than they left. Mailchimp limits connections only.
 */
const EVERY_MS: Record<Vendor, number> = { hubspot: 53, mailchimp: 0, xero: 1_010 };

const CREATE: Record<Vendor, (setup: Setup) => Delivery | Promise<Delivery>> = {
  hubspot: createHubSpot,
  mailchimp: createMailchimp,
  xero: createXero,
};

const setup = JSON.parse(process.argv[2] ?? '{}') as WorkerSetup;
const pool = new Pool({ connectionString: setup.databaseUrl, max: 6 });
const boss = await openBoss(setup.databaseUrl, 6);
const feeds: Promise<void>[] = [];
for (const [vendor, url] of Object.entries(setup.urls) as [Vendor, string][]) {
  const pace = createPace(setup.limits ? EVERY_MS[vendor] : 0);
  feeds.push(feed(boss, pool, vendor, await CREATE[vendor]({ url, mode: setup.mode, pace })));
}
process.stdout.write('peer ready\n');
await Promise.all(feeds);
