/** A workflow that cannot make progress is found, however many are open, from servers that report such workflows and from others. */
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundlePath } from '../../temporal/bundle.ts';
import { sdkLogger } from '../../temporal/sdk-log.ts';
import { StuckFinder } from '../../temporal/stuck.ts';
import { createNamespace } from '../rig/temporal.ts';
import { eventually } from '../rig/world.ts';

const OTHERS = 60;
const STUCK = 'stuck/oldest';

let client: Client;
let connection: Connection;
let native: NativeConnection;
let worker: Worker;
let running: Promise<void>;

beforeAll(async () => {
  Runtime.install({
    logger: sdkLogger(pino({ level: 'silent' })),
    telemetryOptions: { logging: { filter: 'ERROR', forward: {} } },
  });
  const { address, namespace } = await createNamespace();
  connection = await Connection.connect({ address });
  client = new Client({ connection, namespace });
  native = await NativeConnection.connect({ address });
  worker = await Worker.create({
    connection: native,
    namespace,
    taskQueue: 'polled',
    workflowBundle: { codePath: await bundlePath() },
  });
  running = worker.run();
  // The oldest is the last of the list; the others wait for a worker that never comes.
  await client.workflow.start('noSuchWorkflow', { taskQueue: 'polled', workflowId: STUCK, args: [] });
  for (let n = 0; n < OTHERS; n += 1)
    await client.workflow.start('waits', { taskQueue: 'nobody-polls', workflowId: `waits/${n}`, args: [] });
  await eventually(
    'all are in the list',
    async () => (await client.workflow.count(`ExecutionStatus = 'Running'`)).count === OTHERS + 1,
  );
}, 120_000);

afterAll(async () => {
  worker?.shutdown();
  await running;
  await native?.close();
  await connection?.close();
});

test('a server that does not know the attribute is gone through in turns, each going on where the last one ended', async () => {
  await eventually(
    'its task was tried often',
    async () => ((await client.workflow.getHandle(STUCK).describe()).raw.pendingWorkflowTask?.attempt ?? 0) >= 4,
    90_000,
  );
  const finder = new StuckFinder(client, { silent: 20, reporting: 0 }, `NoSuchAttribute = 'x'`);
  const found: boolean[] = [];
  for (let round = 0; round < 4; round += 1) found.push((await finder.find()).some(({ id }) => id === STUCK));
  // 61 are open: the fourth turn comes to the oldest.
  expect(found).toEqual([false, false, false, true]);
});

test('a server that reports is asked, and nothing else needs to be looked at', async () => {
  const finder = new StuckFinder(client, { silent: 0, reporting: 0 });
  const [stuck, ...more] = await eventually(
    'the server reports it',
    async () => {
      const all = await finder.find();
      return all.length > 0 ? all : undefined;
    },
    110_000,
  );
  expect(more).toEqual([]);
  expect(stuck).toMatchObject({ id: STUCK, type: 'noSuchWorkflow' });
  expect(stuck?.attempt).toBeGreaterThanOrEqual(4);
}, 120_000);

test('a place in the list that the server does not know any more ends one round, not all', async () => {
  let isGone = true;
  const { workflowService } = connection;
  const listWorkflowExecutions: typeof workflowService.listWorkflowExecutions = Object.assign(
    async (request: { nextPageToken?: Uint8Array | null }) => {
      if (isGone && (request.nextPageToken?.length ?? 0) > 0) throw new Error('no such place');
      return workflowService.listWorkflowExecutions(request);
    },
  );
  const moved = Object.create(client, {
    connection: { value: { workflowService: { listWorkflowExecutions } } },
  }) as Client;
  const finder = new StuckFinder(moved, { silent: 20, reporting: 20 });
  await finder.find();
  await expect(finder.find()).rejects.toThrow('no such place');
  await finder.find();
  isGone = false;
  await finder.find();
});
