/** A change of everybody at once, with the vendors' limits off: how fast the engine itself is. */
import { rows } from '../../store/db.ts';
import { busySeconds, microsecondsEach } from '../kit/busy.ts';
import { rounded } from '../kit/figures.ts';
import { install, settled } from '../kit/installation.ts';
import type { Bench, Figures, Part } from '../kit/part.ts';
import { addCustomers } from '../kit/people.ts';
import { assertAllHold, finishedAt } from '../kit/proof.ts';
import { VENDORS } from '../../local/vendor-programs.ts';

const CONTACTS = 20_000;

export const bulk: Part = {
  name: 'bulk',
  what: 'everybody changed at once, vendors without rate limits: contacts a second in all three systems, read back',
  run,
};

async function run(bench: Bench): Promise<Figures> {
  const count = bench.contacts ?? CONTACTS;
  const installation = await install(bench);
  const { db, vendors } = installation;
  await installation.startWorker({ limits: false });
  await addCustomers(db, count);
  await settled(db, (left) => bench.say(`setting up: ${left} deliveries to go`), 2_000);
  // Started anew: memory and speed are those of the bulk change, not of the setting up.
  await installation.startWorker({ limits: false });
  const before = await Promise.all(VENDORS.map((vendor) => vendors[vendor].counters()));

  const cpuBefore = await busySeconds(bench, installation);
  const startedAt = Date.now();
  await rows(db, `update contacts set family_name = 'Changed'`);
  const committedAt = Date.now();
  await settled(db, (left) => bench.say(`${left} deliveries to go`), 2_000);
  const cpuAfter = await busySeconds(bench, installation);
  const worker_rss_mb = installation.worker().peakMb();
  await installation.stopWorker();
  const done = await finishedAt(db);
  const after = await Promise.all(VENDORS.map((vendor) => vendors[vendor].counters()));
  await assertAllHold(db, vendors, count, 'Changed');
  const seconds = (Math.max(...Object.values(done)) - committedAt) / 1000;
  return {
    delivered_per_second: { ours: rounded(count / seconds) },
    bulk: {
      contacts: count,
      commit_seconds: rounded((committedAt - startedAt) / 1000),
      per_second: Object.fromEntries(
        VENDORS.map((vendor) => [vendor, rounded((count / (done[vendor] - committedAt)) * 1000)]),
      ),
      calls: Object.fromEntries(VENDORS.map((v, at) => [v, (after[at]?.total ?? 0) - (before[at]?.total ?? 0)])),
      cpu_us_per_delivery: microsecondsEach(cpuBefore, cpuAfter, count * VENDORS.length),
      refused: after.reduce((sum, c, at) => sum + c.limited - (before[at]?.limited ?? 0), 0),
    },
    worker_rss_mb,
  };
}
