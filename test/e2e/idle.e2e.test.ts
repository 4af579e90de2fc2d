/** A lane without work costs next to nothing: no tight polling of PostgreSQL or Temporal, and still no wait for the next change. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { oneRow, rows } from '../../store/db.ts';
import { nextDueInMs } from '../../store/claims.ts';
import { addPerson, externalIds, held } from '../rig/people.ts';
import { converged, createWorld, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

const WATCHED_SECONDS = 6;

let world: World;

beforeAll(async () => {
  // As shipped, not with the short times of the other tests.
  world = await createWorld({ vendors: ['mailchimp'], config: { worker: { lingerMs: 10_000, sweepSeconds: 15 } } });
  await world.startWorker();
}, 120_000);

afterAll(async () => {
  await world?.close();
});

const commits = async (): Promise<number> =>
  (
    await oneRow<{ n: number }>(
      world.db,
      'select xact_commit as n from pg_stat_database where datname = current_database()',
    )
  ).n;

test('an idle lane asks a few times a second at most, and a change still arrives at once', async () => {
  const person = await addPerson(world, 'Rarely', 'Changed');
  await converged(world);
  expect(await nextDueInMs(world.db, SYSTEM.mailchimp)).toBeNull();
  await sleep(1_500);
  const before = await commits();
  await sleep(WATCHED_SECONDS * 1_000);
  const perSecond = ((await commits()) - before) / WATCHED_SECONDS;
  expect(perSecond).toBeLessThan(20);

  await rows(world.db, `update contacts set family_name = 'Now' where id = ?`, [person.id]);
  await converged(world, 3_000);
  const [id] = await externalIds(world, person.id, 'mailchimp');
  expect((await held(world, 'mailchimp', id!))?.merge_fields['LNAME']).toBe('Now');
}, 60_000);
