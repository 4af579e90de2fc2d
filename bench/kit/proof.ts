/** A figure counts only where the vendors really hold what the ledger says. */
import { oneRow, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { SYSTEM, VENDORS } from '../../local/vendor-programs.ts';
import type { Vendor, VendorProcess } from '../../local/vendor-programs.ts';

/** When the last reading back of each system was recorded, in ms since 1970. */
export async function finishedAt(db: Db): Promise<Record<Vendor, number>> {
  const found = await rows<{ system: string; at: number }>(
    db,
    'select system, extract(epoch from max(verified_at))::double precision * 1000 as at from deliveries group by system',
  );
  return Object.fromEntries(
    VENDORS.map((vendor) => [vendor, found.find((f) => f.system === SYSTEM[vendor])?.at ?? 0]),
  ) as Record<Vendor, number>;
}

const PAGE = 5_000;

/** Where each vendor keeps the family name. */
const FAMILY_NAME: Record<Vendor, (record: Tree) => unknown> = {
  hubspot: (record) => (record['properties'] as Tree | undefined)?.['lastname'],
  mailchimp: (record) => (record['merge_fields'] as Tree | undefined)?.['LNAME'],
  xero: (record) => record['LastName'],
};

type Tree = Record<string, unknown>;

/**
 * Asks the sandboxes themselves.
 * @throws Error that names how many of which vendor do not hold it
 */
export async function assertAllHold(
  db: Db,
  vendors: Record<Vendor, VendorProcess>,
  count: number,
  familyName: string,
): Promise<void> {
  const { n } = await oneRow<{ n: number }>(
    db,
    `select count(*)::integer as n from deliveries d join contacts c on c.id = d.contact_id
     where d.wanted = d.settled and d.presence = 'present' and d.contact_version = c.version`,
  );
  if (n !== count * VENDORS.length) throw new Error(`the ledger says ${n} of ${count * VENDORS.length} are read back`);
  for (const vendor of VENDORS) {
    let held = 0;
    for (let offset = 0; ; offset += PAGE) {
      const { records } = await vendors[vendor].control<{ records: Tree[] }>(
        'GET',
        `/records?offset=${offset}&limit=${PAGE}`,
      );
      held += records.filter((r) => FAMILY_NAME[vendor](r) === familyName).length;
      if (records.length < PAGE) break;
    }
    if (held !== count) throw new Error(`${vendor} holds the new name of ${held} of ${count}`);
  }
}
