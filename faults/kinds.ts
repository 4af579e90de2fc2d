/** Every fault that a campaign may draw. Each says whether it really fired, and is lifted before the quiet point. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client as PgClient } from 'pg';
import type { Fault } from '../local/proxy.ts';
import { SYSTEM, VENDORS } from '../local/vendor-programs.ts';
import type { Vendor } from '../local/vendor-programs.ts';
import { row, rows } from '../store/db.ts';
import { canFillDisk } from './disk.ts';
import { laneId } from '../workflows/contracts/index.ts';
import type { Installation } from './installation.ts';
import type { Random } from './random.ts';

export interface Armed {
  fired(): Promise<boolean>;
  lift(): Promise<void>;
  /** Milliseconds until work went on after a kill, where that is measured. */
  progressMs?: () => number | null;
}

export interface Kind {
  name: string;
  /** Takes a process or a whole connection away: at most one of these in a round. */
  heavy: boolean;
  arm(installation: Installation, random: Random): Promise<Armed>;
}

/** Calls that write, of which one is hit. */
const WRITES: Record<Vendor, readonly { method: string; path: string }[]> = {
  hubspot: [{ method: 'POST', path: '/contacts/batch/(create|update|upsert)' }],
  mailchimp: [
    { method: 'POST', path: '/lists/aud-main($|\\?)' },
    { method: 'P(UT|ATCH)', path: '/members/' },
  ],
  xero: [{ method: 'P(UT|OST)', path: '/Contacts' }],
};

const AT_VENDORS: Record<string, Record<string, unknown>> = {
  '429': {},
  '429-retry-after': { seconds: 1 },
  '500-before': {},
  '500-after': {},
  hang: { effect: 'before' },
  'hang-without-effect': { effect: 'none' },
  'cut-before': {},
  'cut-after': {},
  ignore: {},
  'stale-reads': { ms: 1_000 },
  partial: { items: 1 },
  'bare-403': {},
  html: { effect: 'before' },
  truncate: {},
  'token-expired': {},
  delay: { ms: 1_200 },
  redirect: {},
};

function atVendor(vendor: Vendor, fault: string, params: Record<string, unknown>): Kind {
  const name = fault === 'hang-without-effect' ? 'hang' : fault;
  const reads = fault === 'stale-reads' || fault === 'token-expired';
  return {
    name: `${vendor}: ${fault}`,
    heavy: false,
    async arm({ vendors }, random) {
      const at = vendors[vendor];
      const { method, path } = random.pick(WRITES[vendor]);
      const made = await at.control<{ id: string }>('POST', '/faults', {
        name,
        // A method is compared as it is: where there are several, the path alone decides.
        match: reads ? {} : /^[A-Z]+$/.test(method) ? { method, path } : { path },
        count: 1,
        params,
      });
      const seen = async (): Promise<boolean> => {
        const { faults } = await at.control<{ faults: { id: string; fired: number }[] }>('GET', '/faults');
        return faults.some((f) => f.id === made.id && f.fired > 0);
      };
      return { fired: seen, lift: async () => void (await at.control('DELETE', `/faults/${made.id}`)) };
    },
  };
}

type Place = keyof Installation['proxies'];

/** A connection that is spoilt for a while. What passed through it in pieces is cut at the end, as a network would. */
function onTheWay(place: Place, fault: Fault, ms: number): Kind {
  return {
    name: `${place}: ${fault.kind}`,
    heavy: true,
    async arm({ proxies }) {
      const proxy = proxies[place];
      const before = proxy.fired(fault.kind);
      await proxy.setFault(fault);
      if (fault.kind === 'refuse') proxy.cut();
      const cuts = proxy.fired('cut');
      // It ends by itself: whoever is held up by it is a change of the campaign.
      const over = sleep(ms).then(async () => {
        await proxy.setFault(undefined);
        if (fault.kind !== 'latency') proxy.cut();
      });
      return {
        fired: () => Promise.resolve(proxy.fired(fault.kind) > before || (fault.kind === 'refuse' && cuts > 0)),
        lift: async () => over,
      };
    },
  };
}

function cut(place: Place): Kind {
  return {
    name: `${place}: cut`,
    heavy: true,
    async arm({ proxies }) {
      let times = 0;
      for (let attempt = 0; attempt < 100 && times === 0; attempt += 1) {
        times = proxies[place].cut();
        if (times === 0) await sleep(20);
      }
      return { fired: () => Promise.resolve(times > 0), lift: () => Promise.resolve() };
    },
  };
}

/** When something was read back for the first time after now. */
async function firstProgress({ db }: Installation, sinceMs: number): Promise<number | null> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const found = await row(
      db,
      `select 1 from audit where kind = 'delivery.verified' and at > to_timestamp(? / 1000.0) limit 1`,
      [sinceMs],
    ).catch(() => undefined);
    if (found !== undefined) return Date.now() - sinceMs;
    await sleep(50);
  }
  return null;
}

function killed(
  name: string,
  kill: (i: Installation) => Promise<void>,
  start: (i: Installation) => Promise<unknown>,
  awayMs: number,
): Kind {
  return {
    name,
    heavy: true,
    async arm(installation, random) {
      // Somewhere in the middle of the work that is under way.
      await sleep(random.below(400));
      await kill(installation);
      const back = (async () => {
        await sleep(awayMs);
        await start(installation);
        return Date.now();
      })();
      let measured: number | null = null;
      const progress = back.then(async (at) => {
        measured = await firstProgress(installation, at);
      });
      return {
        fired: () => Promise.resolve(true),
        async lift() {
          await back;
          void progress;
        },
        progressMs: () => measured,
      };
    },
  };
}

const KILLS: readonly Kind[] = [
  killed(
    'worker: kill -9',
    async (i) => i.killWorker(),
    async (i) => i.startWorker(),
    0,
  ),
  killed(
    'api: kill -9',
    async (i) => i.killApi(),
    async (i) => i.startApi(),
    200,
  ),
  killed(
    'postgres: kill -9',
    async (i) => i.killPostgres(),
    async (i) => i.startPostgres(),
    500,
  ),
  killed(
    'temporal: kill -9',
    async (i) => i.killTemporal(),
    async (i) => i.startTemporal(),
    500,
  ),
  killed(
    'temporal: store emptied',
    async (i) => i.killTemporal(),
    async (i) => i.startTemporal(true),
    200,
  ),
];

/** Commits by itself when the time is over: whoever waits for its rows is a change of the campaign. */
async function committed(psql: PgClient, afterMs: number): Promise<void> {
  await sleep(afterMs);
  await psql.query('commit').catch(() => undefined);
  await psql.end().catch(() => undefined);
}

/** A program is started anew with a clock that is apart from all others, and goes on with it until it is lifted. */
function clockApart(who: 'worker' | 'api', name: string, byMs: number): Kind {
  const restart = async (i: Installation, ms: number): Promise<number> => {
    await (who === 'worker' ? i.killWorker() : i.killApi());
    return who === 'worker' ? i.startWorker(ms) : i.startApi(ms);
  };
  return {
    name: `${who}: clock ${name}`,
    heavy: true,
    async arm(installation) {
      const apart = await restart(installation, byMs);
      const since = Date.now();
      return {
        fired: () => Promise.resolve(apart === byMs),
        async lift() {
          // Long enough that something was done by that clock.
          await sleep(Math.max(0, 2_500 - (Date.now() - since)));
          await restart(installation, 0);
        },
      };
    },
  };
}

const CLOCKS: readonly Kind[] = [
  clockApart('worker', 'an hour ahead', 3_600_000),
  clockApart('worker', 'ten minutes behind', -600_000),
  clockApart('api', 'four minutes ahead', 240_000),
  clockApart('api', 'four minutes behind', -240_000),
];

/** Commits fail, PostgreSQL stops; when there is room again it is started, and all goes on. */
const DISK_FULL: Kind = {
  name: 'postgres: disk full',
  heavy: true,
  async arm(installation) {
    await installation.fillDisk();
    const refused = await rows(
      installation.db,
      `select pg_logical_emit_message(true, 'faults', 'a commit that must be written')`,
    ).then(
      () => false,
      () => true,
    );
    const over = sleep(1_000).then(async () => installation.freeDisk());
    return { fired: () => Promise.resolve(refused), lift: async () => over };
  },
};

const BY_HAND: readonly Kind[] = [
  {
    name: 'lane: terminated by hand',
    heavy: true,
    async arm(installation, random) {
      const handle = installation.temporal().workflow.getHandle(laneId(SYSTEM[random.pick(VENDORS)]));
      const done = await handle.terminate('by hand').then(
        () => true,
        () => false,
      );
      return { fired: () => Promise.resolve(done), lift: () => Promise.resolve() };
    },
  },
  {
    name: 'psql: rows held for two seconds',
    heavy: false,
    async arm({ databaseUrl }) {
      const psql = new PgClient({ connectionString: databaseUrl });
      psql.on('error', () => undefined);
      await psql.connect();
      await psql.query('begin');
      const held = await psql.query(
        `update plumbline.contacts set street = 'Held' where id in (select id from plumbline.contacts where state = 'active'
           order by seq desc limit 3 for update skip locked)`,
      );
      const over = committed(psql, 2_000);
      return { fired: () => Promise.resolve((held.rowCount ?? 0) > 0), lift: async () => over };
    },
  },
  {
    name: 'psql: a commit held back while later ones pass',
    heavy: false,
    async arm({ databaseUrl }, random) {
      const psql = new PgClient({ connectionString: databaseUrl });
      psql.on('error', () => undefined);
      await psql.connect();
      await psql.query('begin');
      await psql.query(
        `insert into plumbline.contacts (given_name, family_name, emails, relationship)
         values ('Held', 'Back', array[$1], 'customer')`,
        [`held-back-${random.below(1e9)}@example.com`],
      );
      const over = committed(psql, 1_500);
      return { fired: () => Promise.resolve(true), lift: async () => over };
    },
  },
];

export const KINDS: readonly Kind[] = [
  ...VENDORS.flatMap((vendor) => Object.entries(AT_VENDORS).map(([name, params]) => atVendor(vendor, name, params))),
  ...(['postgres', 'temporal', ...VENDORS] as const).flatMap((place): Kind[] => [
    cut(place),
    onTheWay(place, { kind: 'latency', ms: 150 }, 1_500),
    onTheWay(place, { kind: 'refuse' }, 1_200),
    onTheWay(place, { kind: 'blackHole' }, 2_500),
    onTheWay(place, { kind: 'dropReply' }, 800),
  ]),
  ...KILLS,
  ...CLOCKS,
  ...((await canFillDisk()) ? [DISK_FULL] : []),
  ...BY_HAND,
];
