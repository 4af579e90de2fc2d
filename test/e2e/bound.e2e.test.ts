/** A drain ends at its bound, so that the next one takes over; what is urgent does not wait for the batches that are out then. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rows } from '../../store/db.ts';
import { addPerson } from '../rig/people.ts';
import { control, converged, createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

const DRAIN_MS = 2_000;
const SLOW_MS = 12_000;
const MANY = 150;

let world: World;

beforeAll(async () => {
  const worker = { drainSeconds: DRAIN_MS / 1000, callSeconds: 30 };
  world = await createWorld({ vendors: ['hubspot'], emptyVendors: true, config: { worker } });
  await world.startWorker();
}, 60_000);

afterAll(async () => world.close());

/** Contacts of the calls that are out. */
async function out(): Promise<number> {
  const [found] = await rows<{ n: number }>(
    world.db,
    'select coalesce(sum(cardinality(contact_ids)), 0)::integer as n from calls',
  );
  return found?.n ?? 0;
}

test('a withdrawal past the bound is read back while slow batches of bulk are still out', async () => {
  const person = await addPerson(world, 'Wanda', 'Withdrawn');
  const fault = (await control(world.sandboxes.hubspot, 'POST', '/faults', {
    name: 'delay',
    match: { method: 'POST', path: '/contacts/batch/' },
    count: 2,
    params: { ms: SLOW_MS },
  })) as { id: string };
  await rows(
    world.db,
    `insert into contacts (given_name, family_name, emails, relationship, source)
     select 'Given' || n, 'Many', array['many' || n || '@example.com'], 'customer', 'website' from generate_series(1, ?) n`,
    [MANY],
  );
  await eventually('both batches of bulk are out', async () => (await out()) === MANY);
  const outSince = Date.now();
  await sleep(DRAIN_MS + 500);

  const event = { purpose: 'newsletter', kind: 'withdrawn', happenedAt: new Date().toISOString(), channel: 'phone' };
  const withdrawn = await world.call(
    'POST',
    `/v1/contacts/${person.id}/consents?wait=verified&timeoutMs=${SLOW_MS - DRAIN_MS - 3_000}`,
    { events: [event] },
  );
  expect(withdrawn.status).toBe(201);
  expect(Date.now() - outSince).toBeLessThan(SLOW_MS);
  expect(await out()).toBe(MANY);
  const [ledger] = await rows<{ done: boolean }>(
    world.db,
    'select wanted = settled as done from deliveries where contact_id = ? and system = ?',
    [person.id, SYSTEM.hubspot],
  );
  expect(ledger).toEqual({ done: true });

  await converged(world);
  const { faults } = (await control(world.sandboxes.hubspot, 'GET', '/faults')) as {
    faults: { id: string; fired: number }[];
  };
  expect(faults.find(({ id }) => id === fault.id)?.fired).toBe(2);
}, 90_000);
