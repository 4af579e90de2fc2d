/** Crashes at the worst moments, writers that hold their rows, an emptied Temporal, a restored database. */
import { Client as PgClient } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { row, rows } from '../../store/db.ts';
import { sealAudit, verifyAudit } from '../../store/audit.ts';
import { addPerson, allHeld, externalIds, held } from '../rig/people.ts';
import { control, converged, createWorld, eventually, firedOf, SYSTEM } from '../rig/world.ts';
import type { WorkerProcess, World } from '../rig/world.ts';

let world: World;
let worker: WorkerProcess;

beforeAll(async () => {
  world = await createWorld();
  worker = await world.startWorker();
}, 120_000);

afterAll(async () => {
  await world?.close();
});

describe.each([
  ['hubspot', '/contacts/batch/(create|upsert)', 'POST'],
  ['mailchimp', '/members/', 'PUT'],
  ['xero', '/Contacts', 'PUT'],
] as const)('the worker is killed between the commit at %s and the ledger', (vendor, path, method) => {
  test('the person is there once, and progress goes on within 10 seconds', async () => {
    await eventually('the lane is open', async () =>
      row(world.db, `select 1 from systems where name = ? and state = 'open'`, [SYSTEM[vendor]]),
    );
    const made = (await control(world.sandboxes[vendor], 'POST', '/faults', {
      name: 'hang',
      match: { method, path },
      count: 1,
      params: { effect: 'before' },
    })) as { id: string };
    const person = await addPerson(world, 'Once', `At-${vendor}`, { wait: false });
    await eventually(
      'the vendor has committed and hangs',
      async () => (await firedOf(world.sandboxes[vendor], made.id)) === 1,
    );

    const open = await rows(world.db, 'select 1 from calls where system = ?', [SYSTEM[vendor]]);
    expect(open.length).toBeGreaterThan(0);
    await worker.kill9();
    await control(world.sandboxes[vendor], 'DELETE', '/faults');
    worker = await world.startWorker();
    const startedAt = performance.now();
    await eventually('the person is read back', async () =>
      row(
        world.db,
        `select 1 from deliveries where contact_id = ? and system = ? and wanted = settled and presence = 'present'`,
        [person.id, SYSTEM[vendor]],
      ),
    );
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    await converged(world);
    const all = await allHeld(world, vendor);
    expect(all.filter((r) => JSON.stringify(r).toLowerCase().includes(person.email))).toHaveLength(1);
    const later = await rows<{ n: number }>(
      world.db,
      'select count(*)::integer as n from rechecks where contact_id = ? and system = ?',
      [person.id, SYSTEM[vendor]],
    );
    expect(later[0]?.n).toBe(3);
    const taken = await rows(world.db, `select 1 from audit where kind = 'call.taken_over' and system = ?`, [
      SYSTEM[vendor],
    ]);
    expect(taken.length).toBeGreaterThan(0);
  }, 90_000);
});

test('a psql transaction left open keeps nobody else waiting, is not killed, and its change arrives after its commit', async () => {
  const mine = await addPerson(world, 'Open', 'Transaction');
  const other = await addPerson(world, 'Somebody', 'Else');
  const psql = new PgClient({ connectionString: world.databaseUrl });
  await psql.connect();
  await psql.query('begin');
  await psql.query(`update plumbline.contacts set family_name = 'Held' where id = $1`, [mine.id]);
  await rows(world.db, `update contacts set family_name = 'Passes' where id = ?`, [other.id]);
  const [otherId] = await externalIds(world, other.id, 'hubspot');
  await eventually(
    'the other change arrives',
    async () => (await held(world, 'hubspot', otherId!))?.properties['lastname'] === 'Passes',
  );
  await sleep(1_500);
  await psql.query('commit');
  await psql.end();
  await converged(world);
  const [mineId] = await externalIds(world, mine.id, 'hubspot');
  expect((await held(world, 'hubspot', mineId!))?.properties['lastname']).toBe('Held');
});

test('an outcome whose ledger row is locked by a writer is folded later, and the writer is never waited for or killed', async () => {
  const person = await addPerson(world, 'Locked', 'Row');
  await control(world.sandboxes.hubspot, 'POST', '/faults', {
    name: 'delay',
    match: { method: 'POST', path: '/contacts/batch/update' },
    count: 1,
    params: { ms: 1_500 },
  });
  await rows(world.db, `update contacts set family_name = 'Row-1' where id = ?`, [person.id]);
  await eventually('the call is out', async () =>
    row(world.db, 'select 1 from calls where system = ? and ? = any (contact_ids)', [SYSTEM.hubspot, person.id]),
  );
  const psql = new PgClient({ connectionString: world.databaseUrl });
  await psql.connect();
  await psql.query('begin');
  await psql.query(`update plumbline.contacts set family_name = 'Row-2' where id = $1`, [person.id]);
  await eventually('the outcome is appended', async () => row(world.db, 'select 1 from late_outcomes'));
  await psql.query('commit');
  await psql.end();
  await converged(world);
  const [id] = await externalIds(world, person.id, 'hubspot');
  expect((await held(world, 'hubspot', id!))?.properties['lastname']).toBe('Row-2');
  expect(await rows(world.db, 'select 1 from late_outcomes')).toEqual([]);
});

test('ten edits while a call is out become the newest state, and an edit during a call is not lost', async () => {
  const person = await addPerson(world, 'Ten', 'Edits');
  for (let edit = 1; edit <= 10; edit += 1) {
    await rows(world.db, 'update contacts set family_name = ? where id = ?', [`Edit-${edit}`, person.id]);
    await sleep(edit * 3);
  }
  await converged(world);
  for (const vendor of ['hubspot', 'mailchimp', 'xero'] as const) {
    const [id] = await externalIds(world, person.id, vendor);
    expect(JSON.stringify(await held(world, vendor, id!)), vendor).toContain('Edit-10');
  }
});

test('a lane terminated by hand is started again', async () => {
  await world.temporal.workflow.getHandle(`lane/${SYSTEM.xero}`).terminate('by hand');
  const person = await addPerson(world, 'After', 'Termination');
  expect(await externalIds(world, person.id, 'xero')).toHaveLength(1);
}, 90_000);

test('refused credentials pause the lane once, keep the backlog, and a resume goes on', async () => {
  const person = await addPerson(world, 'Before', 'Revocation');
  await control(world.sandboxes.hubspot, 'POST', '/faults', { name: 'token-expired', match: {}, count: 100 });
  await rows(world.db, `update contacts set family_name = 'While-Revoked' where id = ?`, [person.id]);
  await eventually('the lane is paused', async () =>
    row(world.db, `select 1 from systems where name = ? and state = 'paused' and state_code = 'unauthorised'`, [
      SYSTEM.hubspot,
    ]),
  );
  const said = await rows(
    world.db,
    `select 1 from audit where kind = 'lane.paused' and system = ? and detail ->> 'code' = 'unauthorised'`,
    [SYSTEM.hubspot],
  );
  expect(said).toHaveLength(1);
  await control(world.sandboxes.hubspot, 'DELETE', '/faults');
  await world.call('POST', `/v1/systems/${SYSTEM.hubspot}/resume`, {});
  await converged(world);
  const [id] = await externalIds(world, person.id, 'hubspot');
  expect((await held(world, 'hubspot', id!))?.properties['lastname']).toBe('While-Revoked');
});

test('the audit log verifies after all of it', async () => {
  while ((await sealAudit(world.db)) > 0);
  expect(await verifyAudit(world.db)).toMatchObject({ ok: true, problem: null });
});
