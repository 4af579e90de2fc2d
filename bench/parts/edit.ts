/** From a change's commit until all three systems hold it and were read back, at ten changes a second. */
import { setTimeout as sleep } from 'node:timers/promises';
import { oneRow, rows } from '../../store/db.ts';
import { rounded, spread } from '../kit/figures.ts';
import { install, settled } from '../kit/installation.ts';
import type { Bench, Figures, Part } from '../kit/part.ts';
import { addCustomers } from '../kit/people.ts';

const CONTACTS = 1_000;
const CHANGES = 600;
const EVERY_MS = 100;
const WARM_UP = 20;

export const edit: Part = {
  name: 'edit',
  what: 'one change committed → all three systems hold it and were read back',
  run,
};

async function run(bench: Bench): Promise<Figures> {
  const installation = await install(bench);
  const { db } = installation;
  await installation.startWorker({ limits: false });
  await addCustomers(db, bench.contacts ?? CONTACTS);
  await settled(db, (left) => bench.say(`setting up: ${left} deliveries to go`), 1_000);
  const people = await rows<{ id: string }>(db, 'select id from contacts order by seq');

  const committed = new Map<string, number>();
  const started = performance.now();
  for (let n = 0; n < Math.min(CHANGES, people.length); n += 1) {
    await sleep(Math.max(0, started + n * EVERY_MS - performance.now()));
    const { id } = people[n]!;
    await rows(db, 'update contacts set family_name = ? where id = ?', [`Edited${n}`, id]);
    if (n >= WARM_UP) committed.set(id, performance.timeOrigin + performance.now());
    if (n % 100 === 0) bench.say(`${n} of ${CHANGES} changes`);
  }
  await settled(db);
  const read = await rows<{ contactId: string; at: number; systems: number }>(
    db,
    `select contact_id as "contactId", extract(epoch from max(verified_at))::double precision * 1000 as at, count(*)::integer as systems
     from deliveries d join contacts c on c.id = d.contact_id
     where d.contact_id = any (?::uuid[]) and d.presence = 'present' and d.contact_version = c.version group by contact_id`,
    [[...committed.keys()]],
  );
  const whole = read.filter((r) => r.systems === 3);
  if (whole.length !== committed.size) {
    const { n } = await oneRow<{ n: number }>(
      db,
      'select count(*)::integer as n from deliveries where wanted > settled',
    );
    throw new Error(`${committed.size - whole.length} changes are not read back in all three systems (${n} are due)`);
  }
  const { p50, p99 } = spread(whole.map((r) => r.at - committed.get(r.contactId)!));
  return {
    edit_to_verified_ms: { p50: rounded(p50), p99: rounded(p99), changes: whole.length },
    worker_rss_mb: installation.worker().peakMb(),
  };
}
