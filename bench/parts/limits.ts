/**
 * A change of everybody under the vendors' own limits: how much of each limit is used, and what a withdrawal or an erasure waits
 * while it drains. The calls are counted by the sandboxes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { rows } from '../../store/db.ts';
import { URGENT_UP_TO } from '../../store/claims.ts';
import type { Db } from '../../store/db.ts';
import { keyringFrom } from '../../store/keyring.ts';
import { rounded, spread } from '../kit/figures.ts';
import { install, settled } from '../kit/installation.ts';
import type { Installation } from '../kit/installation.ts';
import type { Bench, Figures, Part } from '../kit/part.ts';
import { addCustomers, erase } from '../kit/people.ts';
import { limitShare, readUse } from '../kit/share.ts';
import { SYSTEM, VENDORS } from '../../local/vendor-programs.ts';
import type { Vendor } from '../../local/vendor-programs.ts';

const CONTACTS = 20_000;
const WINDOW_MS = 180_000;
/** For the urgent changes of one round. */
const LONGEST_MS = 600_000;
/** HubSpot and Mailchimp are asked while they drain, which takes them seconds; Xero, which has a call a second, more slowly. */
const ROUNDS = [
  { vendors: ['hubspot', 'mailchimp'], changes: 20, everyMs: 1_000 },
  { vendors: ['xero'], changes: 16, everyMs: 9_000 },
] as const satisfies readonly { vendors: readonly Vendor[]; changes: number; everyMs: number }[];

export const limits: Part = {
  name: 'limits',
  what: "everybody changed at once under the vendors' limits: share used, and what a withdrawal or an erasure waits meanwhile",
  run,
};

async function run(bench: Bench): Promise<Figures> {
  const count = bench.contacts ?? CONTACTS;
  const installation = await install(bench);
  const { db, vendors } = installation;
  await installation.startWorker({ limits: false });
  await addCustomers(db, count);
  await settled(db, (left) => bench.say(`setting up: ${left} deliveries to go`), 2_000);
  await installation.startWorker({ limits: true });

  const before = await readUse(vendors);
  await rows(db, `update contacts set family_name = 'Once'`);
  const startedAt = Date.now();
  const windows = await Promise.all(
    VENDORS.map(async (vendor) => {
      const busyMs = await drained(bench, db, vendor, startedAt);
      const use = (await readUse({ [vendor]: vendors[vendor] }))[vendor]!;
      const done = await verifiedSince(db, vendor, startedAt);
      return { vendor, busyMs, use, done };
    }),
  );
  const urgent = await urgentUnderBulk(bench, installation);
  const of = <T>(value: (w: (typeof windows)[number]) => T): Record<string, T> =>
    Object.fromEntries(windows.map((w) => [w.vendor, value(w)]));
  return {
    limit_share: of((w) => rounded(limitShare(w.vendor, before[w.vendor]!, w.use, w.busyMs))),
    caused_429: windows.reduce((sum, w) => sum + w.use.limited - before[w.vendor]!.limited, 0),
    caused_429_at: of((w) => w.use.limited - before[w.vendor]!.limited),
    under_limits_per_second: of((w) => ({ ours: rounded(w.done / (w.busyMs / 1000)) })),
    limit_window_s: of((w) => rounded(w.busyMs / 1000)),
    ...urgent,
  };
}

/** Until a vendor has nothing due or the window is over, whichever comes first. @returns milliseconds */
async function drained(bench: Bench, db: Db, vendor: Vendor, startedAt: number): Promise<number> {
  for (;;) {
    const [open] = await rows<{ n: number }>(
      db,
      'select count(*)::integer as n from deliveries where system = ? and wanted > settled',
      [SYSTEM[vendor]],
    );
    const elapsed = Date.now() - startedAt;
    if (open?.n === 0 || elapsed >= WINDOW_MS) return elapsed;
    if (vendor === 'xero') bench.say(`xero: ${open?.n} to go after ${Math.round(elapsed / 1000)} s`);
    await sleep(vendor === 'xero' ? 5_000 : 250);
  }
}

async function verifiedSince(db: Db, vendor: Vendor, sinceMs: number): Promise<number> {
  const [found] = await rows<{ n: number }>(
    db,
    `select count(*)::integer as n from deliveries where system = ? and verified_at >= to_timestamp(? / 1000.0)`,
    [SYSTEM[vendor], sinceMs],
  );
  return found?.n ?? 0;
}

/** Withdrawals and erasures, one after the other, while everybody is due again. */
async function urgentUnderBulk(bench: Bench, { db, env }: Installation): Promise<Figures> {
  const keyring = keyringFrom(Buffer.from(env['PLUMBLINE_KEY'] ?? '', 'base64'));
  await rows(db, `update contacts set family_name = 'Twice'`);
  const total = ROUNDS.reduce((sum, round) => sum + round.changes, 0);
  const people = await rows<{ id: string }>(db, 'select id from contacts order by seq desc limit ?', [total]);
  const figures: { withdrawal_under_bulk_ms: Figures; erasure_under_bulk_ms: Figures } = {
    withdrawal_under_bulk_ms: {},
    erasure_under_bulk_ms: {},
  };
  for (const { vendors, changes, everyMs } of ROUNDS) {
    await nothingUrgent(bench, db, vendors);
    // What was urgent before took the calls that are kept for it: bulk has to go on for a while.
    await sleep(everyMs);
    const mine = people.splice(0, changes);
    const withdrawn = new Map<string, number>();
    const erased = new Map<string, number>();
    const startedAt = performance.now();
    for (const [n, { id }] of mine.entries()) {
      await sleep(Math.max(0, startedAt + n * everyMs - performance.now()));
      await (n % 4 === 3 ? erase(db, keyring, [id]) : withdraw(db, id));
      (n % 4 === 3 ? erased : withdrawn).set(id, performance.timeOrigin + performance.now());
    }
    bench.say(`urgent at ${vendors.join(' and ')}: waiting for the last to be read back`);
    await sleep(Math.max(5_000, everyMs * 2));
    for (const vendor of vendors) {
      figures.withdrawal_under_bulk_ms[vendor] = await waits(db, vendor, withdrawn);
      figures.erasure_under_bulk_ms[vendor] = await waits(db, vendor, erased);
    }
  }
  return figures;
}

/** A vendor of few calls is still busy with the changes of the round before: one at a time is what is measured. */
async function nothingUrgent(bench: Bench, db: Db, vendors: readonly Vendor[]): Promise<void> {
  for (const startedAt = Date.now(); ;) {
    const [open] = await rows<{ n: number }>(
      db,
      'select count(*)::integer as n from deliveries where system = any (?) and wanted > settled and priority <= ?',
      [vendors.map((vendor) => SYSTEM[vendor]), URGENT_UP_TO],
    );
    if (open?.n === 0) return;
    const names = vendors.join(' and ');
    if (Date.now() - startedAt > LONGEST_MS) throw new Error(`${open?.n} urgent changes at ${names} are not done`);
    bench.say(`urgent at ${names}: ${open?.n} of before to go`);
    await sleep(1_000);
  }
}

async function withdraw(db: Db, id: string): Promise<void> {
  await rows(
    db,
    `insert into consent_events (contact_id, purpose, kind, channel) values (?, 'newsletter', 'withdrawn', 'phone')`,
    [id],
  );
}

/** From commit to the first reading back after it. */
async function waits(db: Db, vendor: Vendor, committed: Map<string, number>): Promise<Figures> {
  const found = await rows<{ id: string; at: number }>(
    db,
    `select a.contact_id as id, extract(epoch from min(a.at))::double precision * 1000 as at
     from audit a join unnest(?::uuid[], ?::double precision[]) as c (id, at) on a.contact_id = c.id
     where a.kind = 'delivery.verified' and a.system = ? and extract(epoch from a.at) * 1000 > c.at group by 1`,
    [[...committed.keys()], [...committed.values()], SYSTEM[vendor]],
  );
  return { ...spread(found.map((f) => f.at - committed.get(f.id)!)), read_back: found.length, of: committed.size };
}
