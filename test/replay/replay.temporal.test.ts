/** Stored histories of earlier releases replay on today's workflow code: an upgrade with work open breaks nothing. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Runtime, Worker } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import { bundlePath } from '../../temporal/bundle.ts';
import { converterOf } from '../../temporal/client.ts';
import { NO_CODEC } from '../../temporal/codec.ts';
import * as workflows from '../../workflows/index.ts';
import { HISTORIES } from '../rig/histories.ts';

const stored = readdirSync(HISTORIES, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.json'))
  .toSorted();
// What is kept is unsealed; failures are read as they are in real life.
const dataConverter = converterOf(NO_CODEC);
let codePath: string;

beforeAll(async () => {
  Runtime.install({
    logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
  });
  codePath = await bundlePath();
}, 60_000);

test('there is a stored history of every workflow', () => {
  const types = new Set(stored.map((name) => name.split('/')[0]));
  expect(types).toEqual(new Set(Object.keys(workflows)));
});

test.each(stored)('%s', async (name) => {
  const history = historyFromJSON(JSON.parse(readFileSync(join(HISTORIES, name), 'utf8')));
  await Worker.runReplayHistory({ workflowBundle: { codePath }, dataConverter }, history, 'replayed');
});

test('a history that does not fit is refused, so that the replays above can fail', async () => {
  const name = stored.find((n) => n.startsWith('erasure/'));
  const other = JSON.parse(readFileSync(join(HISTORIES, name ?? ''), 'utf8')) as {
    events: { activityTaskScheduledEventAttributes?: { activityType: { name: string } } }[];
  };
  const scheduled = other.events.find((e) => e.activityTaskScheduledEventAttributes !== undefined);
  if (scheduled?.activityTaskScheduledEventAttributes === undefined) throw new Error('no activity in the history');
  scheduled.activityTaskScheduledEventAttributes.activityType.name = 'somethingElse';
  await expect(
    Worker.runReplayHistory({ workflowBundle: { codePath }, dataConverter }, historyFromJSON(other), 'replayed'),
  ).rejects.toBeInstanceOf(DeterminismViolationError);
});
