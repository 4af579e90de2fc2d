/** What it costs to ask of each imported row whether a tombstone forbids the person, among a million tombstones. */
import { randomBytes } from 'node:crypto';
import { rounded } from '../kit/figures.ts';
import type { Bench, Figures, Part } from '../kit/part.ts';
import { suppressed, suppressionHashes } from '../../store/contacts.ts';
import { openDb, rows } from '../../store/db.ts';
import { keyringFrom } from '../../store/keyring.ts';
import { migrate } from '../../store/migrate.ts';
import { UPSERT_BATCH } from '../../store/upsert.ts';

const TOMBSTONES = 1_000_000;
const ASKED = 50_000;
/** One in so many of the rows is of an erased person. */
const ERASED_EVERY = 100;

export const suppression: Part = {
  name: 'suppression',
  what: 'a million tombstones: what the check costs for each imported row',
  run,
};

async function run(bench: Bench): Promise<Figures> {
  const count = bench.contacts ?? TOMBSTONES;
  const db = openDb({ url: await bench.database(), poolMax: 2, applicationName: 'plumbline-bench' });
  bench.after(async () => db.destroy());
  await migrate(db);
  const keyring = keyringFrom(randomBytes(32));
  await rows(
    db,
    `insert into tombstones (kind, hash, key_id, contact_id) select 'email', sha256(('t' || n)::bytea), 'bench', gen_random_uuid()
     from generate_series(1, ?::integer) n`,
    [count],
  );
  const people = Array.from({ length: Math.min(ASKED, count) }, (_, n) => ({
    emails: [`person${n}@example.com`],
    givenName: `Given${n}`,
    familyName: `Family${n}`,
    externalRef: `R${n}`,
  }));
  const erased = people.filter((_, n) => n % ERASED_EVERY === 0);
  const hashes = erased.flatMap((one) => suppressionHashes(keyring, one)).filter(({ kind }) => kind === 'email');
  await rows(
    db,
    `insert into tombstones (kind, hash, key_id, contact_id) select 'email', h, 'bench', gen_random_uuid() from unnest(?::bytea[]) h`,
    [hashes.map(({ hash }) => hash)],
  );
  await db.raw('vacuum analyze tombstones');
  bench.say(`${count} tombstones; ${people.length} rows ask`);

  const started = performance.now();
  let found = 0;
  for (let at = 0; at < people.length; at += UPSERT_BATCH) {
    const answers = await suppressed(db, keyring, people.slice(at, at + UPSERT_BATCH));
    found += answers.filter((kinds) => kinds.length > 0).length;
  }
  const us = ((performance.now() - started) * 1000) / people.length;
  if (found !== erased.length) throw new Error(`${found} of ${erased.length} erased people were found`);
  return { suppression_check_us: rounded(us) };
}
