/** A create of unknown outcome stays in doubt until somebody has looked: a withdrawal that comes meanwhile reaches what the create may have made. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rows } from '../../store/db.ts';
import { addPerson } from '../rig/people.ts';
import { control, converged, createWorld, eventually, firedOf, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;

beforeAll(async () => {
  world = await createWorld({ vendors: ['mailchimp'], emptyVendors: true });
  await world.startWorker();
  await eventually('the lane is open', async () => {
    const [system] = await rows<{ state: string }>(world.db, 'select state from systems');
    return system?.state === 'open';
  });
}, 60_000);

afterAll(async () => world.close());

async function statusOf(email: string): Promise<string[]> {
  const { records } = (await control(world.sandboxes.mailchimp, 'GET', '/records?limit=1000')) as {
    records: { email_address: string; status: string }[];
  };
  return records.filter((r) => r.email_address === email).map((r) => r.status);
}

async function script(name: string, match: Record<string, string>, count: number): Promise<string> {
  const made = await control(world.sandboxes.mailchimp, 'POST', '/faults', { name, match, count, params: {} });
  return (made as { id: string }).id;
}

async function outcomesOf(contactId: string): Promise<string[]> {
  const found = await rows<{ kind: string }>(
    world.db,
    'select kind from audit where contact_id = ? and system = ? order by id',
    [contactId, SYSTEM.mailchimp],
  );
  return found.map((f) => f.kind);
}

test('a look that fails does not end the doubt, and the person who withdrew is not left subscribed', async () => {
  // The create has its effect, and its answer cannot be read; every look after it is cut.
  const written = await script('truncate', { method: 'PUT', path: '/members/' }, 1);
  const looks = await script('cut-before', { method: 'GET', path: '/members/' }, 1_000);
  const person = await addPerson(world, 'Dora', 'Doubted', { wait: false });
  await eventually('the create is in doubt, and a look has failed', async () => {
    const seen = await outcomesOf(person.id);
    return seen.includes('delivery.unknown') && seen.includes('delivery.retry');
  });
  expect(await firedOf(world.sandboxes.mailchimp, written)).toBe(1);
  expect(await firedOf(world.sandboxes.mailchimp, looks)).toBeGreaterThan(0);
  expect(await statusOf(person.email)).toEqual(['subscribed']);

  const event = { purpose: 'newsletter', kind: 'withdrawn', happenedAt: new Date().toISOString(), channel: 'phone' };
  const withdrawn = await world.call('POST', `/v1/contacts/${person.id}/consents`, { events: [event] });
  expect(withdrawn.status).toBe(201);
  await control(world.sandboxes.mailchimp, 'DELETE', '/faults');
  await converged(world);
  expect(await statusOf(person.email)).toEqual(['unsubscribed']);
}, 90_000);

test('the later reading of a write that came late looks, even where nothing was believed to be there', async () => {
  const person = await addPerson(world, 'Lara', 'Late', { newsletter: false, wait: false });
  await converged(world);
  expect(await statusOf(person.email)).toEqual([]);
  // What an abandoned call made after everything had settled, and the reading that was planned for it.
  await control(world.sandboxes.mailchimp, 'POST', '/records', [
    { email_address: person.email, status: 'subscribed', merge_fields: { FNAME: 'Lara', LNAME: 'Late' } },
  ]);
  await rows(world.db, 'insert into rechecks (contact_id, system, due_at) values (?, ?, clock_timestamp())', [
    person.id,
    SYSTEM.mailchimp,
  ]);
  await eventually('it is unsubscribed', async () => (await statusOf(person.email))[0] === 'unsubscribed');
}, 60_000);
