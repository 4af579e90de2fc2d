/** A CSV file into an empty record by `plumbline import`, as a process of its own: rows a second, and the most memory it had. */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { cpuSeconds } from '../kit/cpu.ts';
import { rounded } from '../kit/figures.ts';
import { runCli } from '../kit/cli.ts';
import { install } from '../kit/installation.ts';
import { measureLedger } from '../kit/ledger.ts';
import type { Bench, Figures, Part } from '../kit/part.ts';
import { VENDORS } from '../../local/vendor-programs.ts';
import { oneRow } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';

const CONTACTS = 1_000_000;

export const importing: Part = {
  name: 'import',
  what: 'a CSV file of new people into the record, and the ledger of three systems that comes of it',
  run,
};

async function run(bench: Bench): Promise<Figures> {
  const count = bench.contacts ?? CONTACTS;
  const file = join(bench.folder, 'people.csv');
  await writePeople(file, count);
  const installation = await install(bench);
  const { db, env } = installation;
  // Each person is marked due in all three systems, as in a running installation.
  await installation.startWorker({ limits: false });
  await installation.stopWorker();

  const postgres = await bench.postgresPid();
  const cpuBefore = cpuSeconds(postgres);
  const done = await runCli(['import', file, '--json'], env, () => void progress(bench, db));
  const postgresCpu = cpuSeconds(postgres) - cpuBefore;
  const summary = JSON.parse(done.stdout) as { created: number; consentEvents: number };
  const { people, due } = await oneRow<{ people: number; due: number }>(
    db,
    `select (select count(*) from contacts)::integer as people, (select count(*) from deliveries where wanted > settled)::integer as due`,
  );
  if (summary.created !== count || people !== count || due !== count * VENDORS.length)
    throw new Error(`${people} of ${count} rows are in the record, ${due} deliveries are due`);
  bench.say('the ledger that came of it');
  return {
    ledger_3m: await measureLedger(db),
    import: {
      rows_per_second: rounded(count / done.seconds),
      rss_mb: done.peakMb,
      rows: count,
      consents: summary.consentEvents,
      cpu_us_per_row: {
        importer: rounded((done.cpuSeconds * 1e6) / count),
        postgres: rounded((postgresCpu * 1e6) / count),
      },
    },
  };
}

async function progress(bench: Bench, db: Db): Promise<void> {
  const { n } = await oneRow<{ n: number }>(db, 'select coalesce(max(seq), 0) as n from contacts');
  bench.say(`${n} people are in the record`);
}

const HEADER =
  'external_ref,given_name,family_name,email,phone,organisation,street,city,postcode,country,locale,relationship,source,created_at,newsletter,consent_at,consent_channel,consent_statement';

/** Made-up people: every second one with a proven newsletter. */
async function writePeople(file: string, count: number): Promise<void> {
  const out = createWriteStream(file);
  out.write(`${HEADER}\n`);
  for (let at = 0; at < count; at += 1_000) {
    let text = '';
    for (let n = at; n < Math.min(at + 1_000, count); n += 1) {
      const consent = n % 2 === 0 ? 'opted_in,2025-10-02T10:00:00Z,web_form,newsletter-2025-1' : 'unknown,,,';
      text += `R${n},Given${n},Family${n},person${n}@example.com,+44 20 7946 ${String(n % 10_000).padStart(4, '0')},Sample ${n % 1000} Ltd,${n} High Street,Leeds,LS1 4AP,GB,en-GB,customer,website,2025-10-01T09:00:00Z,${consent}\n`;
    }
    if (!out.write(text)) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
}
