/**
 * A night's run of all three systems: how fast it compares, what it finds of planted differences, what it writes on a clean night, and
 * what live changes wait meanwhile. Beside it the plain script that a user would write.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { listDrifts, listRuns } from '../../store/runs.ts';
import { SYSTEM, VENDORS } from '../../local/vendor-programs.ts';
import type { Counters, Vendor } from '../../local/vendor-programs.ts';
import { busySeconds, microsecondsEach } from '../kit/busy.ts';
import { runCli } from '../kit/cli.ts';
import { percentile, rounded } from '../kit/figures.ts';
import { install, settled } from '../kit/installation.ts';
import type { Installation } from '../kit/installation.ts';
import type { Bench, Figures, Part } from '../kit/part.ts';
import { addHeldCustomers } from '../kit/held.ts';
import { comparePlainly } from '../peer/compare.ts';

const CONTACTS = 20_000;
/** Differences of each kind planted at each vendor. */
const PLANTED = 10;
const LIVE_EVERY_MS = 100;
const BASELINE_CHANGES = 100;
/** A worker that has just begun is slower. */
const WARM_UP = 30;
/** Records of a listing's page, by the vendors' documents. */
const PAGE: Record<Vendor, number> = { hubspot: 100, mailchimp: 1_000, xero: 1_000 };

export const reconcile: Part = {
  name: 'reconcile',
  what: 'all three systems compared with the record: speed, planted differences, a clean night, live changes meanwhile',
  run,
};

interface Night {
  seconds: Record<Vendor, number>;
  drifts: { system: string; kind: string; contactId: string | null; externalId: string | null }[];
  calls: number;
  writes: number;
}

async function run(bench: Bench): Promise<Figures> {
  const count = bench.contacts ?? CONTACTS;
  // What a call waits for the vendor is the vendor's: a listing's pages come one after the other.
  const installation = await install(bench, { latencyMs: 0 });
  const { db, vendors } = installation;
  await addHeldCustomers(installation, count, (line) => bench.say(line));
  await installation.startWorker({ limits: false });
  const idle = await liveP99(db, 'Alone', () => false);

  bench.say('the first night: everything is compared in full');
  const first = await night(installation, VENDORS);
  bench.say('a clean night, one system after the other');
  const busyBefore = await busySeconds(bench, installation);
  const each: Night[] = [];
  for (const vendor of VENDORS) each.push(await night(installation, [vendor]));
  const clean = together(each);
  const busyAfter = await busySeconds(bench, installation);
  const rss = installation.worker().peakMb();
  bench.say('a night with planted differences, and live changes meanwhile');
  const planted = await plant(installation);
  const startedAt = Date.now();
  let isOver = false;
  const live = liveP99(db, 'Meanwhile', () => !isOver);
  const repaired = await night(installation, VENDORS);
  isOver = true;
  const liveP99Ms = await live;
  await settled(db);

  const found = planted.filter((p) =>
    repaired.drifts.some((d) => d.system === p.system && d.kind === p.kind && d.externalId === p.externalId),
  );
  const treated = await countTreated(installation, planted);
  const touched = await rows<{ id: string }>(
    db,
    `select distinct contact_id as id from audit where kind = 'delivery.verified' and at > to_timestamp(? / 1000.0)
       and contact_id not in (select contact_id from audit where kind = 'contact.changed' and at > to_timestamp(? / 1000.0))`,
    [startedAt, startedAt],
  );
  const meant = new Set(planted.map((p) => p.contactId));
  const minimum = VENDORS.reduce((sum, vendor) => sum + Math.ceil(count / PAGE[vendor]), 0);
  bench.say('the plain script: HubSpot, row by row');
  const peer = await comparePlainly(db, vendors.hubspot.url, count);
  const perSecond = (seconds: Night['seconds']): Figures =>
    Object.fromEntries(VENDORS.map((vendor) => [vendor, rounded(count / seconds[vendor])]));
  return {
    reconcile: {
      contacts: count,
      contacts_per_second: {
        ours: rounded(count / Math.max(...Object.values(clean.seconds))),
        peer: rounded(peer),
        by_system: perSecond(clean.seconds),
        first_night: perSecond(first.seconds),
      },
      cpu_us_per_record: microsecondsEach(busyBefore, busyAfter, count * VENDORS.length),
      rss_mb: { at_100k: count < 1_000_000 ? rss : null, at_1m: count >= 1_000_000 ? rss : null },
      planted: planted.length,
      found: found.length,
      rightly_treated: treated,
      wrongly_touched: touched.filter(({ id }) => !meant.has(id)).length,
      calls: clean.calls,
      calls_minimum: minimum,
      writes_on_clean_night: clean.writes,
      live_p99_ratio: rounded(liveP99Ms / idle),
      live_p99_ms: { alone: rounded(idle), meanwhile: rounded(liveP99Ms) },
    },
  };
}

/** Runs some systems at once, to their end. */
async function night({ db, env, vendors }: Installation, some: readonly Vendor[]): Promise<Night> {
  const before = await Promise.all(some.map((vendor) => vendors[vendor].counters()));
  const since = new Date().toISOString();
  for (const vendor of some) await runCli(['reconcile', 'run', SYSTEM[vendor]], env);
  for (;;) {
    const recent = await listRuns(db, { kind: 'reconciliation', limit: VENDORS.length });
    const runs = recent.filter((r) => r.startedAt > since && some.some((vendor) => SYSTEM[vendor] === r.system));
    if (runs.length === some.length && runs.every((r) => r.endedAt !== null)) {
      const failed = runs.find((r) => r.state !== 'done');
      if (failed !== undefined) throw new Error(`the run of ${failed.system} ended ${failed.state}`);
      const after = await Promise.all(some.map((vendor) => vendors[vendor].counters()));
      const seconds = some.map((vendor) => {
        const { startedAt, endedAt } = runs.find((r) => r.system === SYSTEM[vendor])!;
        return [vendor, (Date.parse(endedAt ?? '') - Date.parse(startedAt)) / 1000];
      });
      const drifts = await Promise.all(
        runs.map(async (r) => (await listDrifts(db, r.id, { limit: 1_000 })).map((d) => ({ ...d, system: r.system! }))),
      );
      return {
        seconds: Object.fromEntries(seconds) as Night['seconds'],
        drifts: drifts.flat(),
        calls: after.reduce((sum, c, at) => sum + c.total - (before[at]?.total ?? 0), 0),
        writes: after.reduce((sum, c, at) => sum + writesIn(c) - writesIn(before[at]!), 0),
      };
    }
    for (const r of runs) if (r.state === 'asking') throw new Error(`the run of ${r.system} asks`);
    await sleep(100);
  }
}

/** What changed something, besides new access tokens: half an hour is nearer than the end of a night of a million. */
function writesIn({ effects, effectsOf }: Counters): number {
  const tokens = Object.entries(effectsOf).filter(([call]) => call.endsWith('/token'));
  return effects - tokens.reduce((sum, [, count]) => sum + count, 0);
}

function together(nights: readonly Night[]): Night {
  return {
    seconds: Object.assign({}, ...nights.map((n) => n.seconds)) as Night['seconds'],
    drifts: nights.flatMap((n) => n.drifts),
    calls: nights.reduce((sum, n) => sum + n.calls, 0),
    writes: nights.reduce((sum, n) => sum + n.writes, 0),
  };
}

interface Planted {
  system: string;
  kind: 'older_value' | 'missing';
  contactId: string;
  externalId: string;
}

const OTHER_NAME: Record<Vendor, Record<string, unknown>> = {
  hubspot: { properties: { lastname: 'Strange' } },
  mailchimp: { merge_fields: { LNAME: 'Strange' } },
  xero: { LastName: 'Strange' },
};

/** Changes and deletes records behind our back. */
async function plant({ db, vendors }: Installation): Promise<Planted[]> {
  const planted: Planted[] = [];
  for (const [at, vendor] of VENDORS.entries()) {
    const some = await rows<{ contactId: string; externalId: string }>(
      db,
      // The oldest: of the newest some are edited meanwhile, and what is on its way is the lane's business.
      `select e.contact_id as "contactId", e.external_id as "externalId" from contacts c
       join external_ids e on e.contact_id = c.id and e.system = ? and not e.former order by c.seq offset ? limit ?`,
      [SYSTEM[vendor], at * PLANTED * 2, PLANTED * 2],
    );
    for (const [n, one] of some.entries()) {
      const kind = n < PLANTED ? 'older_value' : 'missing';
      const path = `/records/${encodeURIComponent(one.externalId)}`;
      if (kind === 'older_value') await vendors[vendor].control('PATCH', path, OTHER_NAME[vendor]);
      else await vendors[vendor].control('DELETE', path);
      planted.push({ ...one, system: SYSTEM[vendor], kind });
    }
  }
  return planted;
}

/** How many of the planted differences are gone, by the vendors' own records. */
async function countTreated({ db, vendors }: Installation, planted: readonly Planted[]): Promise<number> {
  let treated = 0;
  for (const vendor of VENDORS) {
    for (const { contactId } of planted.filter((p) => p.system === SYSTEM[vendor])) {
      const ids = await rows<{ id: string }>(
        db,
        'select external_id as id from external_ids where contact_id = ? and system = ? and not former',
        [contactId, SYSTEM[vendor]],
      );
      const held = await Promise.all(
        ids.map(async ({ id }) =>
          vendors[vendor].control('GET', `/records/${encodeURIComponent(id)}`).then(
            (record) => JSON.stringify(record),
            () => '',
          ),
        ),
      );
      if (held.some((text) => text !== '' && !text.includes('Strange'))) treated += 1;
    }
  }
  return treated;
}

/** Ten changes a second while `goesOn`, a hundred at least. @returns the 99th percentile until read back in all three, in ms */
async function liveP99(db: Db, name: string, goesOn: () => boolean): Promise<number> {
  const people = await rows<{ id: string }>(db, 'select id from contacts order by seq desc limit 5000');
  const committed = new Map<string, number>();
  const started = performance.now();
  for (let n = 0; n < people.length && (n < BASELINE_CHANGES || goesOn()); n += 1) {
    await sleep(Math.max(0, started + n * LIVE_EVERY_MS - performance.now()));
    const { id } = people[n]!;
    await rows(db, 'update contacts set family_name = ? where id = ?', [`${name}${n}`, id]);
    if (n >= WARM_UP) committed.set(id, performance.timeOrigin + performance.now());
  }
  await sleep(2_000);
  const read = await rows<{ id: string; at: number }>(
    db,
    `select contact_id as id, extract(epoch from max(verified_at))::double precision * 1000 as at
     from deliveries where contact_id = any (?::uuid[]) and wanted = settled group by 1`,
    [[...committed.keys()]],
  );
  return percentile(
    read.map((r) => r.at - committed.get(r.id)!),
    0.99,
  );
}
