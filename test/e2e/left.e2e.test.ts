/** A batch of bulk that is many calls, in which somebody urgent is: it begins no more of them, and who is left is claimed again as if never claimed. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LIVE_UP_TO } from '../../store/claims.ts';
import { oneRow, rows } from '../../store/db.ts';
import { control, converged, createWorld, eventually, firedOf, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

const MANY = 150;
/** Of each write, which carries fifty. */
const SLOW_MS = 4_000;

let world: World;

beforeAll(async () => {
  world = await createWorld({ vendors: ['xero'], emptyVendors: true, config: { worker: { callSeconds: 30 } } });
  await world.startWorker();
}, 60_000);

afterAll(async () => world.close());

test('the withdrawal of one at the end of a batch at Xero does not wait for all its writes', async () => {
  const fault = (await control(world.sandboxes.xero, 'POST', '/faults', {
    name: 'delay',
    match: { method: 'PUT', path: '/Contacts' },
    count: 10,
    params: { ms: SLOW_MS },
  })) as { id: string };
  await world.db.transaction(async (tx) => {
    await rows(tx, `select set_config('plumbline.door', 'csv', true)`);
    await rows(
      tx,
      `insert into contacts (given_name, family_name, emails, relationship, source)
       select 'Given' || n, 'Many', array['left' || n || '@example.com'], 'customer', 'website' from generate_series(1, ?) n`,
      [MANY],
    );
  });
  const { last } = await eventually('a batch of bulk is out', async () => {
    const [call] = await rows<{ last: string }>(
      world.db,
      'select contact_ids[cardinality(contact_ids)] as last from calls where cardinality(contact_ids) = ?',
      [MANY],
    );
    return call;
  });
  await rows(
    world.db,
    `insert into consent_events (contact_id, purpose, kind, channel) values (?, 'newsletter', 'withdrawn', 'phone')`,
    [last],
  );
  await eventually('the one who withdrew is read back', async () => {
    const { done } = await oneRow<{ done: boolean }>(
      world.db,
      'select wanted = settled as done from deliveries where contact_id = ? and system = ?',
      [last, SYSTEM.xero],
    );
    return done;
  });
  const { waiting } = await oneRow<{ waiting: number }>(
    world.db,
    'select count(*)::integer as waiting from deliveries where wanted > settled and priority > ?',
    [LIVE_UP_TO],
  );
  expect(waiting).toBe(MANY - 1 - 50);

  await converged(world);
  // Fifty, the one, and the rest: nobody was written twice.
  expect(await firedOf(world.sandboxes.xero, fault.id)).toBe(4);
  const { retried } = await oneRow<{ retried: number }>(
    world.db,
    `select count(*)::integer as retried from audit where kind like 'delivery.%' and kind <> 'delivery.verified'`,
  );
  expect(retried).toBe(0);
}, 90_000);
