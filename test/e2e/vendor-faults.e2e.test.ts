/** Each vendor's faults, one by one, while a person is created and another is corrected: all agree in the end, nobody twice. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rows } from '../../store/db.ts';
import { addPerson, allHeld, externalIds, held, othersHeld } from '../rig/people.ts';
import type { Person } from '../rig/people.ts';
import { control, converged, createWorld, firedOf, SYSTEM } from '../rig/world.ts';
import type { Vendor, World } from '../rig/world.ts';

/** Writes of the data part at each vendor. */
const WRITES: Record<Vendor, { method: string; path: string }[]> = {
  hubspot: [{ method: 'POST', path: '/contacts/batch/(create|update|upsert)' }],
  mailchimp: [
    { method: 'POST', path: '/lists/aud-main$|/lists/aud-main\\?|/members' },
    { method: 'PUT', path: '/members/' },
    { method: 'PATCH', path: '/members/' },
  ],
  xero: [
    { method: 'PUT', path: '/Contacts' },
    { method: 'POST', path: '/Contacts' },
  ],
};

const FAULTS: { name: string; params?: Record<string, unknown> }[] = [
  { name: '429-retry-after', params: { seconds: 1 } },
  { name: '429' },
  { name: '500-before' },
  { name: '500-after' },
  { name: 'cut-before' },
  { name: 'cut-after' },
  { name: 'ignore' },
  { name: 'hang', params: { effect: 'before' } },
  { name: 'html', params: { effect: 'before' } },
  { name: 'truncate' },
  { name: 'redirect' },
  { name: 'bare-403' },
  { name: 'partial', params: { items: 1 } },
];

const nameAt = {
  hubspot: (r: { properties?: Record<string, string | null> }) => r.properties?.['lastname'],
  mailchimp: (r: { merge_fields?: Record<string, string> }) => r.merge_fields?.['LNAME'],
  xero: (r: { LastName?: string }) => r.LastName,
};

describe.each(['hubspot', 'mailchimp', 'xero'] as const)('%s', (vendor) => {
  let world: World;
  let others: string;
  let person: Person;

  beforeAll(async () => {
    world = await createWorld({ vendors: [vendor] });
    others = await othersHeld(world);
    await world.startWorker();
    person = await addPerson(world, 'Standing', 'Person');
  }, 120_000);

  afterAll(async () => {
    await world?.close();
  });

  test.each(FAULTS)(
    '$name',
    async ({ name, params }) => {
      // A vendor without that kind of batch refuses the script; then there is nothing to survive.
      const scripted: string[] = [];
      for (const match of WRITES[vendor]) {
        const made = (await control(world.sandboxes[vendor], 'POST', '/faults', {
          name,
          match,
          count: 1,
          ...(params === undefined ? {} : { params }),
        })) as { id: string };
        scripted.push(made.id);
      }
      const corrected = `Person-${name}`;
      const created = await addPerson(world, 'New', `For-${name}`, { wait: false });
      await rows(world.db, 'update contacts set family_name = ? where id = ?', [corrected, person.id]);
      // A bare 403 is throttling at Mailchimp and lost credentials elsewhere: there the lane says so and waits for a person.
      const paused = await pausedOrConverged(world);
      if (paused) {
        expect(name).toBe('bare-403');
        await control(world.sandboxes[vendor], 'DELETE', '/faults');
        await world.call('POST', `/v1/systems/${paused}/resume`, {});
        await converged(world);
      }
      const each = await Promise.all(scripted.map((id) => firedOf(world.sandboxes[vendor], id)));
      const fired = each.reduce((sum, n) => sum + n, 0);
      if (!paused) expect(fired, 'the fault fired').toBeGreaterThan(0);
      await control(world.sandboxes[vendor], 'DELETE', '/faults');
      if (name === 'partial' && (await problems(world)).length > 0) {
        // The vendor blamed an item for its data and no later change has brought it forward: a person has it tried again.
        await world.call('POST', `/v1/systems/${SYSTEM[vendor]}/retry`, {});
        await converged(world);
      }

      const [id] = await externalIds(world, person.id, vendor);
      const record = await held(world, vendor, id!);
      expect(nameAt[vendor](record as never)).toBe(corrected);
      const [newId, ...more] = await externalIds(world, created.id, vendor);
      expect(more).toEqual([]);
      expect(nameAt[vendor]((await held(world, vendor, newId!)) as never)).toBe(`For-${name}`);
      const all = await allHeld(world, vendor);
      const copies = all.filter((r) => JSON.stringify(r).toLowerCase().includes(created.email));
      expect(copies).toHaveLength(1);
      expect(await problems(world)).toEqual([]);
    },
    90_000,
  );

  test('nobody else was touched', async () => {
    expect(await othersHeld(world)).toBe(others);
  });
});

function problems(world: World): Promise<unknown[]> {
  return rows(
    world.db,
    `select data_outcome, data_code, consent_outcome from deliveries where data_outcome not in ('applied', 'unchanged')`,
  );
}

/** @returns the paused system, or false once nothing is due */
async function pausedOrConverged(world: World): Promise<string | false> {
  const started = performance.now();
  for (;;) {
    const [paused] = await rows<{ name: string }>(world.db, `select name from systems where state = 'paused'`);
    if (paused !== undefined) return paused.name;
    try {
      await converged(world, 500);
      return false;
    } catch (error) {
      if (performance.now() - started > 60_000) throw error;
    }
  }
}
