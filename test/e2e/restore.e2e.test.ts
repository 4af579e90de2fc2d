/** A database restored from a backup opens no lane until somebody answers: it would undo what came after the backup. */
import { Client as PgClient } from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { row, rows } from '../../store/db.ts';
import { addPerson, externalIds, held } from '../rig/people.ts';
import { converged, createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;

beforeAll(async () => {
  world = await createWorld({ vendors: ['mailchimp'] });
}, 120_000);

afterAll(async () => {
  await world?.close();
});

/** Copies the world's database as it is now, or puts the copy in its place. */
async function backup(what: 'take' | 'restore'): Promise<void> {
  const name = new URL(world.databaseUrl).pathname.slice(1);
  const admin = new PgClient({ connectionString: inject('postgresUrl') });
  await admin.connect();
  try {
    const alone = (of: string): Promise<unknown> =>
      admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [of]);
    await alone(name);
    if (what === 'take') {
      await admin.query(`create database "${name}_copy" template "${name}"`);
    } else {
      await admin.query(`drop database "${name}" with (force)`);
      await admin.query(`alter database "${name}_copy" rename to "${name}"`);
    }
  } finally {
    await admin.end();
  }
}

test('the lane is guarded, calls nothing, and opens when an operator accepts the restored state', async () => {
  const first = await world.startWorker();
  const person = await addPerson(world, 'Before', 'Backup');
  const [id] = await externalIds(world, person.id, 'mailchimp');
  await first.stop();
  await backup('take');

  const second = await world.startWorker();
  await rows(world.db, `update contacts set family_name = 'After-Backup' where id = ?`, [person.id]);
  await converged(world);
  expect((await held(world, 'mailchimp', id!))?.merge_fields['LNAME']).toBe('After-Backup');
  await second.stop();
  await backup('restore');

  await world.startWorker();
  await rows(world.db, `update contacts set phones = '{+44 20 7946 0000}' where id = ?`, [person.id]);
  await eventually('the lane is guarded', async () =>
    row(world.db, `select 1 from systems where name = ? and state = 'guarded' and state_code = 'restored_database'`, [
      SYSTEM.mailchimp,
    ]),
  );
  expect((await held(world, 'mailchimp', id!))?.merge_fields['LNAME']).toBe('After-Backup');
  const refused = await world.call('POST', `/v1/systems/${SYSTEM.mailchimp}/resume`, {});
  expect(refused.status).toBe(409);

  const accepted = await world.call('POST', `/v1/systems/${SYSTEM.mailchimp}/resume`, { acceptRestore: true });
  expect(accepted.status).toBeLessThan(300);
  // The ledger is as old as the backup: all that the vendor holds is compared again.
  await eventually(
    'the vendor holds what the restored record says',
    async () => (await held(world, 'mailchimp', id!))?.merge_fields['LNAME'] === 'Backup',
    60_000,
  );
  await converged(world);
}, 180_000);
