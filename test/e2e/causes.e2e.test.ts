/** Many contacts refused for one reason are one thing to do: found, read and resolved by API, CLI and workflow. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rows } from '../../store/db.ts';
import { causeId, resolveUpdate, statusQuery } from '../../workflows/contracts/index.ts';
import { ROOT } from '../../local/program.ts';
import { decoded, fetchHistories, keepHistories } from '../rig/histories.ts';
import { converged, createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

const COUNT = 300;
let world: World;

beforeAll(async () => {
  world = await createWorld({
    vendors: ['hubspot'],
    emptyVendors: true,
    config: { systems: { 'hubspot-main': { fields: { shoe_size: { value: '42' } } } } },
  });
  await property('POST');
  await world.startWorker();
  await eventually('the lane is open', async () => {
    const [system] = await rows<{ state: string }>(world.db, 'select state from systems');
    return system?.state === 'open';
  });
  // Somebody takes the mapped property away at the vendor.
  await property('DELETE');
  await rows(
    world.db,
    `insert into contacts (given_name, family_name, emails, relationship)
     select 'Given', 'Family' || n, array['cause' || n || '@example.com'], 'customer' from generate_series(1, ?::integer) n`,
    [COUNT],
  );
}, 60_000);

/** Makes the property at the vendor, or takes it away, as its administrator would. */
async function property(method: 'POST' | 'DELETE'): Promise<void> {
  const base = `${world.sandboxes.hubspot.url}/crm/v3/properties/contacts`;
  const answer = await fetch(method === 'POST' ? base : `${base}/shoe_size`, {
    method,
    headers: { authorization: `Bearer ${world.env['HUBSPOT_TOKEN']}`, 'content-type': 'application/json' },
    ...(method === 'POST'
      ? {
          body: JSON.stringify({
            name: 'shoe_size',
            label: 'Shoe size',
            type: 'string',
            fieldType: 'text',
            groupName: 'contactinformation',
          }),
        }
      : {}),
  });
  if (!answer.ok) throw new Error(`the property: ${answer.status}`);
}

afterAll(async () => world.close());

interface Seen {
  id: string;
  code: string;
  field: string;
  contacts: number;
  resolution: string | null;
  assignedTo: string | null;
}

async function open(): Promise<Seen[]> {
  const { body } = await world.call('GET', '/v1/causes');
  return body['causes'] as Seen[];
}

async function cli(...args: string[]): Promise<{ code: number; out: string }> {
  return promisify(execFile)(process.execPath, [join(ROOT, 'cli/main.ts'), ...args], {
    env: { ...process.env, ...world.env },
  }).then(
    ({ stdout }) => ({ code: 0, out: stdout }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      out: error.stdout + error.stderr,
    }),
  );
}

test('three hundred contacts refused for one missing property are one cause, and its workflow says what to do', async () => {
  const causes = await eventually('one cause stops all', async () => {
    const found = await open();
    return found[0]?.contacts === COUNT ? found : undefined;
  });
  expect(causes).toHaveLength(1);
  expect(causes[0]).toMatchObject({ system: SYSTEM.hubspot, code: 'no_such_property', resolution: null });
  const handle = world.temporal.workflow.getHandle(causeId(causes[0]!.id));
  await eventually('its workflow counts them', async () =>
    (await handle.query(statusQuery)).includes(`stops: ${COUNT} deliveries`),
  );
  expect(await handle.query(statusQuery)).toContain('The vendor lacks a mapped property');
  const { body } = await world.call('GET', `/v1/causes/${causes[0]!.id}`);
  expect(body['contactIds']).toHaveLength(5);
  // By CLI, with an exit code for scripts.
  const listed = await cli('causes');
  expect(listed.code).toBe(1);
  expect(listed.out).toContain(`${COUNT} × rejected no_such_property`);
  expect(listed.out.split('\n').every((line) => line.length <= 110)).toBe(true);
});

test('what makes no sense is refused, in the workflow and at the doors', async () => {
  const [cause] = await open();
  const handle = world.temporal.workflow.getHandle(causeId(cause!.id));
  await expect(handle.executeUpdate(resolveUpdate, { args: [{ action: 'skip' }] })).rejects.toThrow();
  await expect(
    handle.executeUpdate(resolveUpdate, { args: [{ action: 'hand_over', to: 'Somebody With A Name' }] }),
  ).rejects.toThrow();
  const skip = await world.call('POST', `/v1/causes/${cause!.id}/resolution`, { action: 'skip' });
  expect(skip.status).toBe(422);
  expect((await cli('cause', 'skip', cause!.id, '--reason', 'Two words')).code).toBe(2);
});

test('handed over from the UI: it stays open and says with whom', async () => {
  const [cause] = await open();
  const answer = await world.temporal.workflow
    .getHandle(causeId(cause!.id))
    .executeUpdate(resolveUpdate, { args: [{ action: 'hand_over', to: 'crm-team' }] });
  expect(answer).toBe('Handed over to crm-team.');
  expect((await open())[0]).toMatchObject({ assignedTo: 'crm-team', contacts: COUNT });
});

test('a retry that meets the same refusal leaves the cause open', async () => {
  const [cause] = await open();
  const retry = async () =>
    world.call('POST', `/v1/causes/${cause!.id}/resolution`, { action: 'retry' }, { 'idempotency-key': '"one retry"' });
  const retried = async () => (await rows(world.db, `select 1 from audit where kind = 'cause.retry'`)).length;
  const before = await retried();
  const answer = await retry();
  expect(answer).toMatchObject({ status: 200, body: { done: `${COUNT} deliveries are tried again.` } });
  expect(await retried()).toBe(before + 1);
  // By the same key it is the same act.
  expect(await retry()).toEqual(answer);
  // A process that died before it could note the answer: the workflow knows the update's id and makes it no second time.
  await rows(world.db, `update idempotency_keys set receipt = receipt - 'done'`);
  expect(await retry()).toEqual(answer);
  expect(await retried()).toBe(before + 1);
  await eventually('all are settled again', async () => {
    const [due] = await rows<{ n: number }>(
      world.db,
      'select count(*)::integer as n from deliveries where wanted > settled',
    );
    return due?.n === 0;
  });
  const now = await eventually('it counts them all', async () => {
    const [one] = await open();
    return one?.contacts === COUNT ? one : undefined;
  });
  expect(now.id).toBe(cause!.id);
});

test('accepted as they are, they are skipped, never called done, and the cause closes itself', async () => {
  const [cause] = await open();
  const answer = await cli('cause', 'skip', cause!.id, '--reason', 'agreed_with_lead');
  expect(answer).toEqual({ code: 0, out: `${COUNT} deliveries are accepted as they are.\n` });
  await eventually('it is closed', async () => {
    const { body } = await world.call('GET', `/v1/causes/${cause!.id}`);
    return body['resolution'] === 'skipped';
  });
  expect(await world.temporal.workflow.getHandle(causeId(cause!.id)).result()).toBe('skipped');
  const [person] = await rows<{ id: string }>(world.db, 'select id from contacts limit 1');
  const { body } = await world.call('GET', `/v1/contacts/${person!.id}/deliveries`);
  expect(JSON.stringify(body)).toContain('"skipped"');
  const audited = await rows<{ n: number }>(
    world.db,
    `select count(*)::integer as n from audit where kind = 'delivery.skipped' and detail ->> 'reason' = 'agreed_with_lead'`,
  );
  expect(audited[0]?.n).toBe(COUNT);
});

test('a change brings all back as a new cause; with the property there again, one retry makes all converge and it closes itself', async () => {
  await rows(world.db, `update contacts set city = 'Leeds'`);
  const cause = await eventually('a new cause', async () => {
    const [one] = await open();
    return one?.contacts === COUNT ? one : undefined;
  });
  await property('POST');
  const answer = await cli('cause', 'retry', cause.id);
  expect(answer).toEqual({ code: 0, out: `${COUNT} deliveries are tried again.\n` });
  await eventually('it is closed', async () => {
    const { body } = await world.call('GET', `/v1/causes/${cause.id}`);
    return body['resolution'] === 'converged';
  });
  expect(await world.temporal.workflow.getHandle(causeId(cause.id)).result()).toBe('converged');
  // Nothing is stopped any more; what is still on its way arrives.
  await converged(world);
  const [held] = await rows<{ n: number }>(
    world.db,
    `select count(*)::integer as n from deliveries where wanted = settled and presence = 'present' and data_outcome in ('applied', 'unchanged')`,
  );
  expect(held?.n).toBe(COUNT);
  expect((await cli('causes')).out).toBe('Nothing stops a delivery.\n');
  expect(await open()).toEqual([]);
  const histories = await fetchHistories(world);
  for (const { json } of histories) expect(decoded(json)).not.toMatch(/Family\d|@example/);
  await keepHistories(histories);
});
