/** What lies in a real Temporal's history when the codec is in use, before and after a rotation of its keys. */
import { randomUUID } from 'node:crypto';
import { Connection, WorkflowFailedError } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NamedKey } from '../../domain/keys.ts';
import { bundlePath } from '../../temporal/bundle.ts';
import { clientOver, converterOf } from '../../temporal/client.ts';
import { sealedBy } from '../../temporal/codec-use.ts';
import { createCodec } from '../../temporal/codec.ts';
import { caseAttribute, CORE_QUEUE, decideUpdate, erasureId } from '../../workflows/contracts/index.ts';
import type { ErasureInput } from '../../workflows/contracts/index.ts';
import type { erasure } from '../../workflows/index.ts';
import { createNamespace } from '../rig/temporal.ts';
import type { TestNamespace } from '../rig/temporal.ts';
import type { FakeActivities } from '../workflows/rig.ts';
import { decoded } from '../rig/histories.ts';

const CANARY = 'canary-3f9a';
const OPEN = 'open-to-all';
const C1: NamedKey = { id: 'c1', secret: Buffer.alloc(32, 1) };
const C2: NamedKey = { id: 'c2', secret: Buffer.alloc(32, 2) };

let place: TestNamespace;
let connection: Connection;
let native: NativeConnection;
let codePath: string;

beforeAll(async () => {
  Runtime.install({
    logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
  });
  place = await createNamespace();
  connection = await Connection.connect({ address: place.address });
  native = await NativeConnection.connect({ address: place.address });
  codePath = await bundlePath();
}, 60_000);

afterAll(async () => {
  await connection?.close();
  await native?.close();
});

const clientWith = (...keys: NamedKey[]): Client =>
  clientOver(
    connection,
    place.namespace,
    createCodec(async () => keys),
  );

/** A case in which every kind of payload has the canary: arguments, memo, summary, results, updates, failures. */
const fakes: FakeActivities = {
  loadCase: async () => ({ state: 'open', deadline: `2099-01-01T00:00:00Z${CANARY}`, remindDaysBefore: [] }),
  takeCaseDecision: async () => ({ accepted: true, verdict: 'approve' }),
  eraseRecord: async () => {
    throw ApplicationFailure.nonRetryable(`the message has a ${CANARY}`, 'TestFault', CANARY);
  },
};

async function during<T>(keys: NamedKey[], activities: FakeActivities, fn: () => Promise<T>): Promise<T> {
  const worker = await Worker.create({
    connection: native,
    namespace: place.namespace,
    taskQueue: CORE_QUEUE,
    workflowBundle: { codePath },
    dataConverter: converterOf(createCodec(async () => keys)),
    activities,
  });
  return worker.runUntil(fn);
}

async function start(client: Client): Promise<string> {
  const workflowId = erasureId(randomUUID());
  await client.workflow.start<typeof erasure>('erasure', {
    workflowId,
    taskQueue: CORE_QUEUE,
    // The case's id is a search attribute too, so it is to be read by all.
    args: [{ caseId: OPEN, note: CANARY } as ErasureInput],
    memo: { note: CANARY },
    staticSummary: `summary ${CANARY}`,
    typedSearchAttributes: [{ key: caseAttribute, value: OPEN }],
  });
  return workflowId;
}

async function stored(client: Client, workflowId: string): Promise<string> {
  return decoded(historyToJSON(await client.workflow.getHandle(workflowId).fetchHistory()));
}

test('nothing of arguments, memo, summary, results and failures is readable; ids and search attributes are', async () => {
  const client = clientWith(C1);
  const workflowId = await start(client);
  const error = await during([C1], fakes, async () => {
    const handle = client.workflow.getHandle(workflowId);
    await handle.executeUpdate(decideUpdate, { args: [{ decisionId: `decision-${CANARY}` }] });
    return handle.result().catch((failed: unknown) => failed);
  });
  // Whoever has the key reads all of it.
  expect(error).toBeInstanceOf(WorkflowFailedError);
  expect(JSON.stringify(everyMessage(error))).toContain(`the message has a ${CANARY}`);
  expect((await client.workflow.getHandle(workflowId).describe()).memo).toEqual({ note: CANARY });

  const history = await stored(client, workflowId);
  expect(history.split('\n').filter((line) => line.includes(CANARY))).toEqual([]);
  expect(history).not.toMatch(/"stackTrace": "[^"]/);
  expect(history).toContain('"message": "Encoded failure"');
  expect(history).toContain('TestFault');
  expect(history).toContain(workflowId);
  expect(history).toContain(OPEN);
  expect(history.match(/binary\/encrypted|YmluYXJ5L2VuY3J5cHRlZA==/g)?.length).toBeGreaterThan(8);
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  expect(JSON.stringify(raw.workflowExecutionInfo?.searchAttributes)).toContain('PlumblineCase');
});

test('a case that began under the old key goes on and ends under the new one', async () => {
  const before = clientWith(C1);
  const workflowId = await start(before);
  await during([C1], fakes, async () => {
    const query = before.workflow.getHandle(workflowId);
    while ((await query.fetchHistory()).events!.length < 8) await new Promise((next) => setTimeout(next, 50));
  });
  const after = clientWith(C2, C1);
  const error = await during([C2, C1], fakes, async () => {
    const handle = after.workflow.getHandle(workflowId);
    await handle.executeUpdate(decideUpdate, { args: [{ decisionId: 'decision' }] });
    return handle.result().catch((failed: unknown) => failed);
  });
  expect(JSON.stringify(everyMessage(error))).toContain(CANARY);
  const history = historyToJSON(await after.workflow.getHandle(workflowId).fetchHistory());
  for (const { id } of [C1, C2]) expect(history).toContain(Buffer.from(id).toString('base64'));
});

test('without the key it was sealed with, a client is told which key is missing, and a worker stays at the task', async () => {
  const workflowId = await start(clientWith(C1));
  const stranger = clientWith(C2);
  await expect(describedMemo(stranger, workflowId)).rejects.toThrow("sealed with the key 'c1'");
  const failure = await during([C2], fakes, async () => {
    for (;;) {
      const { events } = await stranger.workflow.getHandle(workflowId).fetchHistory();
      const failed = events!.find((event) => event.workflowTaskFailedEventAttributes?.failure);
      if (failed !== undefined) return failed.workflowTaskFailedEventAttributes!.failure!;
      await new Promise((next) => setTimeout(next, 100));
    }
  });
  const [told] = await createCodec(async () => [C2]).decode([failure.encodedAttributes ?? {}]);
  const text = `${failure.message ?? ''} ${Buffer.from(told?.data ?? []).toString('utf8')}`;
  expect(text).toContain("sealed with the key 'c1', which is not known here (keys.codec has 'c2')");
});

test('it is counted which keys the histories and schedules of a namespace need', async () => {
  await clientWith(C2).schedule.create({
    scheduleId: 'counted',
    spec: { intervals: [{ every: '1 day' }] },
    action: { type: 'startWorkflow', workflowType: 'retention', taskQueue: CORE_QUEUE, args: [{ runId: CANARY }] },
  });
  const stranger = clientWith();
  // The list of workflows follows within a second or so.
  let counted = new Map<string, number>();
  for (let tries = 0; tries < 50 && !(counted.has('c1') && counted.has('c2')); tries += 1) {
    await new Promise((next) => setTimeout(next, 200));
    counted = await sealedBy(stranger, place.namespace);
  }
  expect([...counted.keys()].toSorted()).toEqual(['c1', 'c2']);
  await clientWith(C1).schedule.create({
    scheduleId: 'another',
    spec: { intervals: [{ every: '1 day' }] },
    action: { type: 'startWorkflow', workflowType: 'retention', taskQueue: CORE_QUEUE, args: [{ runId: CANARY }] },
  });
  let more = counted;
  for (let tries = 0; tries < 50 && more.get('c1') === counted.get('c1'); tries += 1) {
    await new Promise((next) => setTimeout(next, 200));
    more = await sealedBy(stranger, place.namespace);
  }
  expect(more.get('c1')).toBe((counted.get('c1') ?? 0) + 1);
});

async function describedMemo(client: Client, workflowId: string): Promise<unknown> {
  return (await client.workflow.getHandle(workflowId).describe()).memo;
}

function everyMessage(error: unknown): string[] {
  return error instanceof Error ? [error.message, ...everyMessage(error.cause)] : [];
}
