/** A worker with made-up activities on a server that skips time: what the workflows do over months, in milliseconds. */
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Runtime, Worker } from '@temporalio/worker';
import type { Activities } from '../../activities/index.ts';
import { bundlePath } from '../../temporal/bundle.ts';
import { converterOf } from '../../temporal/client.ts';
import { NO_CODEC } from '../../temporal/codec.ts';
import { CORE_QUEUE, systemQueue } from '../../workflows/contracts/index.ts';
import { createTimeSkipping } from '../rig/temporal.ts';

export type FakeActivities = Partial<Activities>;

export interface SkippingWorld {
  env: TestWorkflowEnvironment;
  /** Runs `fn` while workers with these activities poll. */
  during<T>(activities: FakeActivities, fn: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export async function createSkippingWorld(system = 'crm'): Promise<SkippingWorld> {
  Runtime.install({
    logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    telemetryOptions: { logging: { filter: 'ERROR', forward: {} } },
  });
  const env = await createTimeSkipping();
  const codePath = await bundlePath();
  const dataConverter = converterOf(NO_CODEC);
  return {
    env,
    async during(activities, fn) {
      const core = await Worker.create({
        connection: env.nativeConnection,
        taskQueue: CORE_QUEUE,
        workflowBundle: { codePath },
        activities,
        dataConverter,
      });
      const lane = await Worker.create({
        connection: env.nativeConnection,
        taskQueue: systemQueue(system),
        activities,
        dataConverter,
      });
      const other = lane.run();
      try {
        return await core.runUntil(fn);
      } finally {
        lane.shutdown();
        await other;
      }
    },
    close: () => env.teardown(),
  };
}
