/** What Temporal's SDK and core log becomes a line of ours without anything that they carry. */
import { ApplicationFailure } from '@temporalio/common';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { sdkLogger } from '../../temporal/sdk-log.ts';

function listening(level = 'info'): { logger: ReturnType<typeof sdkLogger>; lines: () => Record<string, unknown>[] } {
  const written: string[] = [];
  const log = pino({ level, base: { role: 'worker' } }, { write: (line: string) => void written.push(line) });
  return {
    logger: sdkLogger(log),
    lines: () =>
      written.map((line) => {
        const { time: _time, level: _level, role: _role, ...rest } = JSON.parse(line) as Record<string, unknown>;
        return rest;
      }),
  };
}

const SECRET = "Ada Lovelace <ada@example.com>, key 'hunter2'";

test('a failing workflow task is told with its workflow, without the failure’s text', () => {
  const { logger, lines } = listening();
  logger.log('ERROR', 'Failed to process Workflow Activation', {
    sdkComponent: 'worker',
    taskQueue: 'plumbline',
    workflowId: 'erasure/0192f0c1-0000-7000-8000-000000000001',
    workflowType: 'erasure',
    runId: '01a214de-5f8a-787a-8640-5dab4de07b5f',
    error: ApplicationFailure.nonRetryable(SECRET, 'NotConfigured'),
    workflowExists: true,
  });
  // As the core writes it: a failure in Rust's notation, with stack trace and payloads.
  logger.log('WARN', 'Failing workflow task', {
    sdkComponent: 'core',
    target: 'temporalio_sdk_core::worker::workflow',
    run_id: '01a214de-5f8a-787a-8640-5dab4de07b5f',
    failure: `Failure { failure: Some(Failure { message: "${SECRET}", source: "TypeScriptSDK" }) }`,
    completion: { payloads: [SECRET] },
  });
  expect(lines()).toEqual([
    {
      from: 'temporal',
      queue: 'plumbline',
      workflow: 'erasure/0192f0c1-0000-7000-8000-000000000001',
      type: 'erasure',
      run: '01a214de-5f8a-787a-8640-5dab4de07b5f',
      fault: 'ApplicationFailure NotConfigured',
      msg: 'Failed to process Workflow Activation',
    },
    {
      from: 'temporal',
      target: 'temporalio_sdk_core::worker::workflow',
      run: '01a214de-5f8a-787a-8640-5dab4de07b5f',
      msg: 'Failing workflow task',
    },
  ]);
});

test('messages keep what is fixed in them, statuses are words, and no value gets through', () => {
  const { logger, lines } = listening();
  const messages = [
    `Error while processing ActivityTask.start: ${SECRET}`,
    `Workflow '${SECRET}' went wrong`,
    `{"jobs":["${SECRET}"]}`,
    'gRPC call poll_workflow_task_queue retried 6 times',
  ];
  for (const message of messages)
    logger.warn(message, {
      attempts: 6,
      error: `Status { code: Unavailable, message: "${SECRET}" }`,
      workflowId: SECRET,
      args: [SECRET],
      [SECRET]: SECRET,
    });
  expect(lines().map(({ msg }) => msg)).toEqual([
    'Error while processing ActivityTask.start',
    'Workflow',
    'Temporal says something',
    'gRPC call poll_workflow_task_queue retried 6 times',
  ]);
  for (const line of lines()) expect(line).toMatchObject({ attempt: 6, fault: 'Unavailable' });
  expect(JSON.stringify(lines())).not.toMatch(/Lovelace|ada@|hunter2/);
});

test('whole activations are never told, progress only to who asks for it, and a flood is one line with its size', () => {
  const info = listening();
  const debug = listening('trace');
  for (const { logger } of [info, debug]) {
    logger.trace('Got workflow activation', { jobs: [SECRET] });
    logger.log('TRACE', 'Got workflow activation', { jobs: [SECRET] });
    logger.log('INFO', 'Worker state changed', { state: 'RUNNING', taskQueue: 'plumbline' });
    for (let n = 0; n < 50; n += 1) logger.error('Poll failed', { taskQueue: 'plumbline' });
  }
  expect(info.lines().map(({ msg }) => msg)).toEqual(['Poll failed']);
  expect(debug.lines().map(({ msg, state }) => [msg, state])).toEqual([
    ['Worker state changed', 'RUNNING'],
    ['Poll failed', undefined],
  ]);
});
