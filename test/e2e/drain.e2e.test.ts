/**
 * A drain ends at its bound, so that the next one takes over; what is urgent does not wait for the batches that are out then. Where its
 * contact is in one, that one is hurried. Without a budget it makes no call.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { takeCall } from '../../store/budgets.ts';
import { LIVE_UP_TO } from '../../store/claims.ts';
import { oneRow, rows } from '../../store/db.ts';
import { addPerson } from '../rig/people.ts';
import { control, converged, createWorld, eventually, firedOf, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

const DRAIN_MS = 2_000;
const SLOW_MS = 12_000;

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

/** As an import does: bulk. */
async function addMany(name: string, count: number): Promise<void> {
  await world.db.transaction(async (tx) => {
    await rows(tx, `select set_config('plumbline.door', 'csv', true)`);
    await rows(
      tx,
      `insert into contacts (given_name, family_name, emails, relationship, source)
       select 'Given' || n, 'Many', array[? || n || '@example.com'], 'customer', 'website' from generate_series(1, ?) n`,
      [name, count],
    );
  });
}

/** Contacts of bulk that are due. */
async function bulkDue(): Promise<number> {
  const [found] = await rows<{ n: number }>(
    world.db,
    'select count(*)::integer as n from deliveries where wanted > settled and priority > ?',
    [LIVE_UP_TO],
  );
  return found?.n ?? 0;
}

test('a withdrawal past the bound is read back while slow batches of bulk are still out, and no more bulk is begun', async () => {
  const person = await addPerson(world, 'Wanda', 'Withdrawn');
  const fault = (await control(world.sandboxes.hubspot, 'POST', '/faults', {
    name: 'delay',
    match: { method: 'POST', path: '/contacts/batch/' },
    params: { ms: SLOW_MS },
  })) as { id: string };
  await addMany('early', 50);
  await eventually('a batch of bulk is out', async () => (await out()) > 0);
  const outSince = Date.now();
  await sleep(DRAIN_MS + 500);
  await addMany('late', 50);

  const event = { purpose: 'newsletter', kind: 'withdrawn', happenedAt: new Date().toISOString(), channel: 'phone' };
  const withdrawn = await world.call(
    'POST',
    `/v1/contacts/${person.id}/consents?wait=verified&timeoutMs=${SLOW_MS - DRAIN_MS - 3_000}`,
    { events: [event] },
  );
  expect(withdrawn.status).toBe(201);
  expect(Date.now() - outSince).toBeLessThan(SLOW_MS);
  expect(await out()).toBe(50);
  expect(await bulkDue()).toBe(100);
  const ledger = await rows<{ done: boolean }>(
    world.db,
    'select wanted = settled as done from deliveries where contact_id = ? and system = ?',
    [person.id, SYSTEM.hubspot],
  );
  expect(ledger).toEqual([{ done: true }]);

  await converged(world);
  expect(await firedOf(world.sandboxes.hubspot, fault.id)).toBe(1);
}, 90_000);

test('live changes without a pause do not keep bulk from going on after the bound', async () => {
  const person = await addPerson(world, 'Lena', 'Live');
  const slow = { name: 'delay', match: { path: '/contacts/batch/' }, count: 10_000, params: { ms: 150 } };
  await control(world.sandboxes.hubspot, 'POST', '/faults', slow);
  let goesOn = true;
  const editing = (async () => {
    for (let n = 0; goesOn; n += 1) {
      await rows(world.db, 'update contacts set family_name = ? where id = ?', [`Live${n}`, person.id]);
      await sleep(50);
    }
  })();
  // Past two bounds: without an end of its own the first drain would go on for a minute.
  await sleep(DRAIN_MS * 2);
  await addMany('meanwhile', 200);
  expect(await bulkDue()).toBeGreaterThan(0);
  await eventually('bulk is done', async () => (await bulkDue()) === 0, DRAIN_MS * 10);
  goesOn = false;
  await editing;
  await control(world.sandboxes.hubspot, 'DELETE', '/faults');
  await converged(world);
}, 90_000);

test('a batch with a contact of whom something urgent waits is hurried: its calls count as urgent', async () => {
  const fault = (await control(world.sandboxes.hubspot, 'POST', '/faults', {
    name: 'delay',
    match: { method: 'POST', path: '/contacts/batch/' },
    params: { ms: 3_000 },
  })) as { id: string };
  await addMany('hurried', 50);
  await eventually('a batch of bulk is out', async () => (await out()) > 0);
  // From now on bulk gets no call today, and what is urgent does.
  const { account } = await oneRow<{ account: string }>(
    world.db,
    `update budgets b set per_day = 1000, day_used = 950, day = (clock_timestamp() at time zone 'UTC')::date
     from systems s where s.account = b.account and s.name = ? returning b.account`,
    [SYSTEM.hubspot],
  );
  expect(await takeCall(world.db, account, 'bulk', randomUUID(), 1_000)).toBeGreaterThanOrEqual(1_000);
  await rows(
    world.db,
    `insert into consent_events (contact_id, purpose, kind, channel) select contact_ids[1], 'newsletter', 'withdrawn', 'phone' from calls`,
  );

  await eventually('the whole batch is read back', async () => (await bulkDue()) === 0, 15_000);
  expect(await firedOf(world.sandboxes.hubspot, fault.id)).toBe(1);
  await rows(world.db, 'update budgets set per_day = null where account = ?', [account]);
  await converged(world);
}, 90_000);

test('a budget that cannot be read stops all calls, says so, and work goes on when it can', async () => {
  await rows(world.db, 'alter table budgets rename to budgets_away');
  await control(world.sandboxes.hubspot, 'POST', '/journal/clear');
  await addMany('stopped', 10);
  const said = await eventually('the lane says why', async () => {
    const [system] = await rows<{ said: string | null }>(
      world.db,
      'select last_error as said from systems where name = ?',
      [SYSTEM.hubspot],
    );
    return system?.said?.includes('budget') === true ? system.said : undefined;
  });
  expect(said).toBe("the account's budget cannot be read, so no call is made: error 42P01");
  expect(await control(world.sandboxes.hubspot, 'GET', '/journal')).toMatchObject({ entries: [] });
  await rows(world.db, 'alter table budgets_away rename to budgets');
  await converged(world);
}, 90_000);
