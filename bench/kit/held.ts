/**
 * Many people whom every system already holds, without the hours that delivering them one by one would take: one person is really delivered,
 * and what came of it in the ledger and in the vendors' own records is the pattern for all others.
 */
import { oneRow, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { SYSTEM, VENDORS } from '../../local/vendor-programs.ts';
import type { Vendor, VendorProcess } from '../../local/vendor-programs.ts';
import { settled } from './installation.ts';
import type { Installation } from './installation.ts';
import { addCustomers } from './people.ts';

const STEP = 2_000;

/** What a vendor gives a record itself, and would not take from the pattern. */
const OWN_IDS: Record<Vendor, readonly string[]> = {
  hubspot: ['id'],
  mailchimp: ['id', 'contact_id', 'unique_email_id', 'web_id'],
  xero: ['ContactID'],
};

interface Pattern {
  id: string;
  number: number;
  /** A vendor's record as JSON text. */
  records: Record<Vendor, string>;
}

/** Adds `count` customers; all of them are held as wanted by the three systems and by the ledger. Ends with no worker running. */
export async function addHeldCustomers(
  installation: Installation,
  count: number,
  say: (line: string) => void,
): Promise<void> {
  const { db } = installation;
  // The highest number, so that no text of the pattern occurs in another's by chance.
  const number = count - 1;
  await installation.startWorker({ limits: false });
  await addCustomers(db, 1, number);
  await settled(db);
  await installation.stopWorker();
  const pattern = await patternOf(installation, number);
  for (let from = 0; from < number; from += 100_000) {
    say(`setting up: ${from} of ${count} in the record`);
    await addCustomers(db, Math.min(100_000, number - from), from);
  }
  await rows(
    db,
    `update deliveries d set settled = d.wanted, contact_version = t.contact_version, known_key = c.emails[1], known_consents = t.known_consents,
       presence = t.presence, verified_at = clock_timestamp(), data_outcome = t.data_outcome, consent_outcome = t.consent_outcome
     from deliveries t, contacts c where t.contact_id = ? and t.system = d.system and c.id = d.contact_id and d.wanted > d.settled`,
    [pattern.id],
  );
  await Promise.all(VENDORS.map(async (vendor) => fill(db, vendor, installation.vendors[vendor], pattern, say)));
  await db.raw('vacuum analyze deliveries, external_ids, contacts, consent_events');
}

async function patternOf({ db, vendors }: Installation, number: number): Promise<Pattern> {
  const { id } = await oneRow<{ id: string }>(db, 'select id from contacts where external_ref = ?', [`b${number}`]);
  const records = await Promise.all(
    VENDORS.map(async (vendor) => {
      const { externalId } = await oneRow<{ externalId: string }>(
        db,
        'select external_id as "externalId" from external_ids where contact_id = ? and system = ? and not former',
        [id, SYSTEM[vendor]],
      );
      const path = `/records/${encodeURIComponent(externalId)}`;
      const record = await vendors[vendor].control<Record<string, unknown>>('GET', path);
      return [
        vendor,
        JSON.stringify(record, (key, value: unknown) => (OWN_IDS[vendor].includes(key) ? undefined : value)),
      ];
    }),
  );
  return { id, number, records: Object.fromEntries(records) as Record<Vendor, string> };
}

/** The texts by which `addCustomers` makes one person another. */
function marksOf(n: number, id: string): string[] {
  const phone = String(n % 10_000).padStart(4, '0');
  return [
    id,
    `b${n}@example.com`,
    `Given${n}`,
    `Family${n}`,
    `Sample ${n % 1_000} Ltd`,
    `${n} High Street`,
    `7946 ${phone}`,
    `7946${phone}`,
  ];
}

async function fill(
  db: Db,
  vendor: Vendor,
  process: VendorProcess,
  pattern: Pattern,
  say: (line: string) => void,
): Promise<void> {
  const old = marksOf(pattern.number, pattern.id);
  for (let from = 0; from < pattern.number; from += STEP) {
    const last = Math.min(from + STEP, pattern.number) - 1;
    const people = await rows<{ id: string; n: number }>(
      db,
      `select c.id, n from generate_series(?::integer, ?::integer) n join contacts c on c.external_ref = 'b' || n`,
      [from, last],
    );
    const records = people.map(({ id, n }) => {
      const now = marksOf(n, id);
      const text = old.reduce((sum, mark, at) => sum.replaceAll(mark, now[at]!), pattern.records[vendor]);
      return JSON.parse(text) as unknown;
    });
    const { ids } = await process.control<{ ids: string[] }>('POST', '/records', records);
    await rows(
      db,
      `insert into external_ids (contact_id, system, external_id)
       select p.contact, ?, p.id from unnest(?::uuid[], ?::text[]) as p (contact, id)`,
      [SYSTEM[vendor], people.map((p) => p.id), ids],
    );
    if (from % 100_000 === 0) say(`setting up: ${from} of ${pattern.number} at ${vendor}`);
  }
}
