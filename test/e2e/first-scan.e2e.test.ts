/** Connecting a system that already holds our people: linked, never doubled, and under the brake. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { row, rows } from '../../store/db.ts';
import { addPerson, allHeld, externalIds, held } from '../rig/people.ts';
import type { Person } from '../rig/people.ts';
import { control, converged, createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;
const people: Person[] = [];

beforeAll(async () => {
  // Below 3 people the brake does not apply; then more than a tenth of them.
  world = await createWorld({ vendors: ['mailchimp', 'hubspot'], config: { brake: { minimum: 3, maxShare: 0.1 } } });
  for (let n = 0; n < 6; n += 1) {
    people.push(await addPerson(world, 'Known', `Person-${n}`, { newsletter: n === 0, wait: false }));
  }
  const held_ = people.map((p) => ({
    email_address: p.email.toUpperCase(),
    status: 'subscribed',
    merge_fields: { LNAME: 'Old' },
  }));
  await control(world.sandboxes.mailchimp, 'POST', '/records', held_);
  await control(
    world.sandboxes.hubspot,
    'POST',
    '/records',
    people.map((p) => ({ properties: { email: p.email, lastname: 'Old' } })),
  );
  await world.startWorker();
}, 120_000);

afterAll(async () => {
  await world?.close();
});

test('a CRM that holds them by address is linked: nobody is there twice', async () => {
  await eventually('the CRM agrees', async () => {
    const open = await row(world.db, `select 1 from deliveries where system = ? and wanted > settled`, [
      SYSTEM.hubspot,
    ]);
    return (
      open === undefined &&
      (await row(world.db, `select 1 from systems where name = ? and state = 'open'`, [SYSTEM.hubspot]))
    );
  });
  const records = await allHeld(world, 'hubspot');
  for (const person of people) {
    const mine = records.filter((r) => r.properties['email'] === person.email);
    expect(mine.map((r) => r.properties['lastname'])).toEqual([person.familyName]);
    expect(await externalIds(world, person.id, 'hubspot')).toEqual([mine[0]?.id]);
  }
});

test('an audience in which most have no consent on file is not changed before an operator has seen the numbers', async () => {
  const paused = await eventually('the lane asks', async () =>
    row<{ code: string; error: string }>(
      world.db,
      `select state_code as code, last_error as error from systems where name = ? and state = 'paused'`,
      [SYSTEM.mailchimp],
    ),
  );
  expect(paused.code).toBe('first_scan_brake');
  expect(paused.error).toContain('5 of 6');
  const before = await allHeld(world, 'mailchimp');
  expect(before.filter((m) => m.merge_fields['LNAME'] === 'Old').map((m) => m.status)).toEqual(
    Array(6).fill('subscribed'),
  );

  await world.call('POST', `/v1/systems/${SYSTEM.mailchimp}/resume`, {});
  await converged(world);
  for (const [n, person] of people.entries()) {
    const [id] = await externalIds(world, person.id, 'mailchimp');
    const member = await held(world, 'mailchimp', id!);
    expect(member?.status).toBe(n === 0 ? 'subscribed' : 'unsubscribed');
    expect(member?.merge_fields['LNAME']).toBe(person.familyName);
  }
  // Our own doing is no withdrawal of theirs.
  expect(await rows(world.db, `select 1 from consent_events where kind = 'withdrawn'`)).toEqual([]);
});
