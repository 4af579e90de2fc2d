/**
 * Vendors show writes late. Who was written a moment ago and is not shown yet is not taken for gone: an erasure, a purge, a withdrawal
 * reach them.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asWriter, oneRow, rows } from '../../store/db.ts';
import { emptyContact, lockContact } from '../../store/erasure.ts';
import { addPerson, allHeld, externalIds } from '../rig/people.ts';
import type { Person } from '../rig/people.ts';
import { control, converged, createWorld, eventually, firedOf, SYSTEM } from '../rig/world.ts';
import type { Vendor, World } from '../rig/world.ts';

const VENDORS = ['hubspot', 'mailchimp', 'xero'] as const satisfies Vendor[];

let world: World;

beforeAll(async () => {
  world = await createWorld({ emptyVendors: true });
  await world.startWorker();
  await converged(world);
}, 60_000);

afterAll(async () => world.close());

/** Of the vendors, who shows the person as somebody who is there, or may be written to. */
async function showing({ email }: Person): Promise<{ there: Vendor[]; subscribed: Vendor[] }> {
  const [hubspot, mailchimp, xero] = await Promise.all([
    allHeld(world, 'hubspot'),
    allHeld(world, 'mailchimp'),
    allHeld(world, 'xero'),
  ]);
  const atHubSpot = hubspot.filter((r) => r.properties['email'] === email && !r.archived);
  const atMailchimp = mailchimp.filter((r) => r.email_address === email && r.status !== 'archived');
  const atXero = xero.filter((r) => r.EmailAddress === email && r.ContactStatus !== 'ARCHIVED');
  return {
    there: VENDORS.filter((_, n) => [atHubSpot, atMailchimp, atXero][n]!.length > 0),
    subscribed: [
      ...(atHubSpot.some((r) => r._subscriptions?.['1001'] === 'SUBSCRIBED') ? (['hubspot'] as const) : []),
      ...(atMailchimp.some((r) => r.status === 'subscribed') ? (['mailchimp'] as const) : []),
    ],
  };
}

const approved = async ({ id }: Person): Promise<void> => {
  const { body } = await world.call('POST', `/v1/contacts/${id}/erasure`, {});
  const decision = { verdict: 'approve', ground: 'art17_1_b' };
  const { status } = await world.call('POST', `/v1/cases/${String(body['caseId'])}/decision`, decision);
  expect([200, 202]).toContain(status);
};

const purged = async ({ id }: Person): Promise<void> =>
  asWriter(world.db, { actor: 'test', door: 'engine' }, async (tx) => {
    const contact = await lockContact(tx, id);
    if (contact !== undefined) await emptyContact(tx, world.keyring, contact, 'purged');
  });

const withdrawn = async ({ id }: Person): Promise<void> => {
  const event = { purpose: 'newsletter', kind: 'withdrawn', happenedAt: new Date().toISOString(), channel: 'phone' };
  expect((await world.call('POST', `/v1/contacts/${id}/consents`, { events: [event] })).status).toBe(201);
};

/** What came of them at Mailchimp; undefined while something is to do there. */
async function settled({ id }: Person): Promise<string | undefined> {
  const [ledger] = await rows<{ outcome: string }>(
    world.db,
    'select data_outcome as outcome from deliveries where contact_id = ? and system = ? and wanted = settled',
    [id, SYSTEM.mailchimp],
  );
  return ledger?.outcome;
}

/** Once Mailchimp has acknowledged two writes and shown neither. */
const withdrawnAfterAll = async (person: Person): Promise<void> => {
  await eventually('that is a problem', async () => (await settled(person)) === 'mismatch');
  await withdrawn(person);
};

/** Lets the readings that were planned for later come now, and ends when there are no more. */
async function laterReadings(): Promise<void> {
  await rows(world.db, 'update rechecks set due_at = clock_timestamp()');
  await eventually('they were taken', async () => {
    const { left } = await oneRow<{ left: number }>(world.db, 'select count(*)::integer as left from rechecks');
    return left === 0;
  });
  await converged(world);
  expect(await rows(world.db, 'select * from rechecks')).toEqual([]);
}

async function nothingIsKept({ id }: Person): Promise<void> {
  await eventually('the sealed ticket is gone', async () => {
    const tickets = await rows(world.db, 'select 1 from tickets where contact_id = ?', [id]);
    return tickets.length === 0;
  });
}

test.each([
  ['erased', approved, { there: [], subscribed: [] }],
  ['purged', purged, { there: [], subscribed: [] }],
  ['withdrawn', withdrawn, { there: [...VENDORS], subscribed: [] }],
  ['withdrawn when that counts as a problem already,', withdrawnAfterAll, { there: [...VENDORS], subscribed: [] }],
] as const)(
  'who is %s while no vendor shows them yet',
  async (_way, change, shown) => {
    const faults = await Promise.all(
      VENDORS.map(async (vendor) => {
        const spec = { name: 'stale-reads', match: {}, params: { ms: 60_000 } };
        return { vendor, ...((await control(world.sandboxes[vendor], 'POST', '/faults', spec)) as { id: string }) };
      }),
    );
    const person = await addPerson(world, 'Una', 'Unseen', { wait: false });
    await eventually('all vendors hold them', async () => {
      const { there, subscribed } = await showing(person);
      return there.length === VENDORS.length && subscribed.length === 2;
    });
    await change(person);
    await eventually(
      'it is settled at Mailchimp as far as that shows',
      async () => (await settled(person)) !== undefined,
    );
    for (const { vendor, id } of faults) expect(await firedOf(world.sandboxes[vendor], id)).toBeGreaterThan(0);

    for (const { vendor } of faults) await control(world.sandboxes[vendor], 'DELETE', '/faults');
    await converged(world);
    await laterReadings();
    expect(await showing(person)).toEqual(shown);
    await nothingIsKept(person);
  },
  90_000,
);

test('whoever was deleted by hand before is looked for a few times and no more, and nothing of them is kept', async () => {
  const person = await addPerson(world, 'Dela', 'Deleted');
  await converged(world);
  await rows(world.db, 'delete from rechecks');
  for (const vendor of ['hubspot', 'mailchimp'] as const) {
    const [id] = await externalIds(world, person.id, vendor);
    await control(world.sandboxes[vendor], 'DELETE', `/records/${encodeURIComponent(id ?? '')}`);
  }
  expect((await showing(person)).there).toEqual(['xero']);
  await approved(person);
  await eventually('the case is done', async () => {
    const [done] = await rows(world.db, `select 1 from cases where contact_id = ? and state = 'done'`, [person.id]);
    return done !== undefined;
  });
  const planned = await rows(world.db, 'select 1 from rechecks where contact_id = ?', [person.id]);
  expect(planned).toHaveLength(6);
  await laterReadings();
  await nothingIsKept(person);
  expect(await showing(person)).toEqual({ there: [], subscribed: [] });
}, 90_000);
