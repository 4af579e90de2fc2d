/** The bench's peer does the whole job, or it would be no peer: every contact changed everywhere, and read back. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bench } from '../../bench/kit/part.ts';
import { startVendors, VENDORS } from '../../local/vendor-programs.ts';
import type { Vendor, VendorProcess } from '../../local/vendor-programs.ts';
import { measurePeer } from '../../bench/peer/index.ts';
import { createDatabase } from '../rig/database.ts';

const CONTACTS = 60;

const ends: (() => Promise<void>)[] = [];
const folder = mkdtempSync(join(tmpdir(), 'plumbline-peer-'));
const bench: Bench = {
  contacts: null,
  folder,
  say: () => {},
  database: async () => (await createDatabase()).url,
  namespace: () => Promise.reject(new Error('the peer has no Temporal')),
  postgresPid: () => Promise.reject(new Error('it is not asked for here')),
  after: (end) => void ends.push(end),
};
let vendors: Record<Vendor, VendorProcess>;

beforeAll(async () => {
  vendors = await startVendors(bench, { latencyMs: 0, limits: false });
});
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
  rmSync(folder, { recursive: true, force: true });
});

/** The family names that a sandbox holds. */
async function names(vendor: Vendor): Promise<string[]> {
  const { records } = await vendors[vendor].control<{ records: Record<string, never>[] }>('GET', '/records?limit=1000');
  const read: Record<Vendor, (record: Record<string, Record<string, string>>) => unknown> = {
    hubspot: (record) => record['properties']?.['lastname'],
    mailchimp: (record) => record['merge_fields']?.['LNAME'],
    xero: (record) => record['LastName'],
  };
  return records.map((record) => String(read[vendor](record)));
}

describe.each([
  // Writes and reads: one of each a contact, or one of each a batch.
  { mode: 'one', calls: { hubspot: 120, mailchimp: 120, xero: 120 } },
  { mode: 'batch', calls: { hubspot: 2, mailchimp: 2, xero: 4 } },
] as const)('in mode $mode', ({ mode, calls }) => {
  it('changes every contact at all three vendors and reads it back', async () => {
    for (const vendor of VENDORS) await vendors[vendor].control('POST', '/reset');
    const figures = await measurePeer(bench, { contacts: CONTACTS, mode, limits: false, vendors });
    for (const vendor of VENDORS) {
      const held = await names(vendor);
      expect(held).toHaveLength(CONTACTS);
      expect(held.filter((name) => name.endsWith(' changed'))).toHaveLength(CONTACTS);
      expect(figures.perSecond[vendor]).toBeGreaterThan(0);
      expect(figures.calls[vendor]).toBeGreaterThanOrEqual(calls[vendor]);
    }
    expect(figures.perSecondAll).toBeGreaterThan(0);
    expect(figures.limited).toBe(0);
  });
});
