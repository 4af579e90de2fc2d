/** Idempotency keys over the real operations: facts and receipt in one transaction, the word to Temporal repeated until it is heard. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDb, rows } from '../../store/db.ts';
import { pruneReceipts } from '../../store/idempotency.ts';
import { reconciliationId } from '../../workflows/contracts/index.ts';
import { createWorld, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;
beforeAll(async () => {
  world = await createWorld({ vendors: ['hubspot'], emptyVendors: true });
  // No worker: nobody but the API has touched anything.
  await rows(
    world.db,
    `insert into systems (name, connector, account, state, rules, rules_hash) values (?, 'hubspot', ?, 'open', '{}', 'h')`,
    [SYSTEM.hubspot, SYSTEM.hubspot],
  );
});
afterAll(async () => world.close());

const keyed = (key: string) => ({ 'idempotency-key': `"${key}"` });
const audited = async (kind: string): Promise<number> =>
  (await rows(world.db, 'select 1 from audit where kind = ?', [kind])).length;

test('a reconciliation asked for twice by one key is one run and one workflow', async () => {
  const path = `/v1/systems/${SYSTEM.hubspot}/reconcile`;
  const first = await world.call('POST', path, undefined, keyed('night'));
  expect(first.status).toBe(202);
  const runId = first.body['runId'] as string;
  // As after a crash between the commit and the start: there is no workflow.
  await world.temporal.workflow.getHandle(reconciliationId(SYSTEM.hubspot, runId)).terminate('test');
  expect(await world.call('POST', path, undefined, keyed('night'))).toEqual(first);
  const again = await world.temporal.workflow.getHandle(reconciliationId(SYSTEM.hubspot, runId)).describe();
  expect(again.status.name).toBe('RUNNING');
  expect(await rows(world.db, 'select id from runs')).toEqual([{ id: runId }]);
  expect(await audited('run.started')).toBe(1);
  const other = await world.call('POST', path, undefined, keyed('another night'));
  expect(other.body['runId']).not.toBe(runId);
});

test('pause, resume and retry by one key are each one change, and a resume told again ends no later pause', async () => {
  const act = async (verb: string, key: string) =>
    world.call('POST', `/v1/systems/${SYSTEM.hubspot}/${verb}`, undefined, keyed(key));
  expect((await act('pause', 'p1')).body['state']).toBe('paused');
  expect((await act('resume', 'r1')).body['state']).not.toBe('paused');
  expect((await act('pause', 'p2')).body['state']).toBe('paused');
  // An old resume that comes late.
  expect((await act('resume', 'r1')).body['state']).toBe('paused');
  expect(await audited('lane.paused')).toBe(2);
  const first = await act('retry', 't1');
  expect(await act('retry', 't1')).toEqual(first);
  expect(await audited('lane.retry')).toBe(1);
});

test('a restore is accepted once', async () => {
  await rows(world.db, `update systems set state = 'guarded' where name = ?`, [SYSTEM.hubspot]);
  const path = `/v1/systems/${SYSTEM.hubspot}/resume`;
  const runs = async () => (await rows(world.db, 'select 1 from runs')).length;
  const before = await runs();
  const refused = await world.call('POST', path, {}, keyed('accept'));
  expect([refused.status, refused.body['code']]).toEqual([409, 'restored_database']);
  for (let i = 0; i < 2; i += 1) {
    expect((await world.call('POST', path, { acceptRestore: true }, keyed('accept'))).status).toBe(200);
    expect(await runs()).toBe(before + 1);
  }
});

test('the worker’s account deletes what is old, and may not look into it', async () => {
  const worker = openDb({ url: world.env['DATABASE_URL'] ?? '', poolMax: 1, applicationName: 'plumbline-test-worker' });
  try {
    const { length } = await rows(world.db, `update idempotency_keys set at = at - interval '24 hours' returning 1`);
    expect(length).toBeGreaterThan(3);
    expect(await pruneReceipts(worker, 25)).toBe(0);
    expect(await pruneReceipts(worker, 24)).toBe(length);
    await expect(rows(worker, 'select receipt from idempotency_keys')).rejects.toMatchObject({ code: '42501' });
  } finally {
    await worker.destroy();
  }
});
