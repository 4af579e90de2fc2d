/** The worker's entry: lanes, cases and runs. Several may run; each system has one drain at a time, whichever worker it is in. */
import { Runtime, Worker } from '@temporalio/worker';
import type { NativeConnection } from '@temporalio/worker';
import type { Registry } from 'prom-client';
import { createActivities } from './activities/index.ts';
import { activityDeps, buildSystem, buildSystems, openApp, openAppTraces, syncConfiguration } from './app.ts';
import type { App } from './app.ts';
import { applyChangedRules } from './activities/mapping.ts';
import { getSystem } from './store/systems.ts';
import { bundlePath } from './temporal/bundle.ts';
import { connectWorker, converterOf } from './temporal/client.ts';
import { createMeter, createRegistry } from './telemetry/metrics.ts';
import { openTelemetry } from './telemetry/open.ts';
import { createSdkMetrics } from './temporal/sdk-metrics.ts';
import type { SdkMetrics } from './temporal/sdk-metrics.ts';
import { sdkLogger } from './temporal/sdk-log.ts';
import { startKeeper } from './temporal/keeper.ts';
import { traceSteps } from './temporal/step-traces.ts';
import { startWaker } from './temporal/waker.ts';
import type { LaneTiming } from './workflows/contracts/index.ts';
import { CORE_QUEUE, systemQueue } from './workflows/contracts/index.ts';

const GRACE = '25 seconds';
const FORCE = '40 seconds';
const HEARTBEAT_TIMEOUT_MS = 6_000;
const TROUBLE_REST_MS = 60_000;
const HEARTBEAT_HELD_BACK = '1 second';

/** Runs until a signal stops it (SIGINT, SIGTERM). `onReady` is called once it polls. */
export async function runWorker(onReady: () => void): Promise<void> {
  const app = await openApp('worker');
  const registry = createRegistry('worker');
  // Without a listener nobody asks for the figures.
  const sdkMetrics = app.config.telemetry.port === null ? null : createSdkMetrics(registry);
  Runtime.install({
    logger: sdkLogger(app.log),
    telemetryOptions: {
      logging: { filter: { core: 'WARN', other: 'ERROR' }, forward: {} },
      ...(sdkMetrics === null ? {} : { metrics: { buffer: sdkMetrics.buffer } }),
    },
  });
  const { connection, namespace } = await connectWorker();
  try {
    await work(app, { connection, namespace, registry, sdkMetrics }, onReady);
  } finally {
    sdkMetrics?.close();
    // Workers that were made and never ran hold it, and would have the last word over what stopped them.
    await connection.close().catch(() => undefined);
    await app.close();
  }
}

interface Place {
  connection: NativeConnection;
  namespace: string;
  registry: Registry;
  sdkMetrics: SdkMetrics | null;
}

async function work(app: App, place: Place, onReady: () => void): Promise<void> {
  const { config, db, log } = app;
  const { connection, namespace, registry, sdkMetrics } = place;
  const systems = await buildSystems(app);
  const changed = await syncConfiguration(app, systems);
  // The SDK's runtime hears the same signals and stops the workers; this tells the drains at once.
  const stopping = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort());
  const traces = await openAppTraces(app, 'worker');
  const deps = activityDeps(app, systems, stopping.signal, { meter: createMeter(registry), traces });
  for (const name of await applyChangedRules(deps, changed.rulesChanged)) {
    const stored = await getSystem(db, name);
    systems.get(name)?.connector.close();
    if (stored !== undefined) systems.set(name, await buildSystem(app, name, stored.rules));
  }
  const activities = createActivities(deps);
  const timing: LaneTiming = {
    sweepMs: deps.timing.sweepMs,
    drainMs: deps.timing.drainMs,
    heartbeatMs: HEARTBEAT_TIMEOUT_MS,
    troubleMs: TROUBLE_REST_MS,
  };
  const shared = {
    connection,
    namespace,
    dataConverter: converterOf(app.codec),
    shutdownGraceTime: GRACE,
    shutdownForceTime: FORCE,
    // By default a heart-beat is held back for up to a minute, and a scan would begin anew after a crash.
    maxHeartbeatThrottleInterval: HEARTBEAT_HELD_BACK,
    defaultHeartbeatThrottleInterval: HEARTBEAT_HELD_BACK,
    ...(traces === null ? {} : { interceptors: { activity: [traceSteps(traces)] } }),
  } as const;
  const workers = [
    await Worker.create({
      ...shared,
      taskQueue: CORE_QUEUE,
      workflowBundle: { codePath: await bundlePath() },
      activities,
      maxCachedWorkflows: 50,
      maxConcurrentActivityTaskExecutions: 20,
      maxConcurrentWorkflowTaskExecutions: 10,
    }),
    ...(await Promise.all(
      [...systems.keys()].map((name) =>
        Worker.create({
          ...shared,
          taskQueue: systemQueue(name),
          activities,
          maxConcurrentActivityTaskExecutions: 6,
        }),
      ),
    )),
  ];
  const waker = startWaker({ url: app.databaseUrl, db, client: app.temporal.client, wakes: deps.wakes, log });
  const keeper = startKeeper({
    db,
    client: app.temporal.client,
    log,
    timing,
    schedules: {
      reconcile: config.schedules.reconcile,
      retention: config.schedules.retention,
      changesEverySeconds: config.schedules.changesEverySeconds,
    },
    systems: [...systems.values()].map((s) => ({
      name: s.name,
      changes: s.capabilities.changes && s.capabilities.consents,
    })),
    idempotencyHours: config.api.idempotencyHours,
    everyMs: 10_000,
  });
  const telemetry = await openTelemetry(app, registry, 'worker', async () => sdkMetrics?.take());
  log.info({ systems: [...systems.keys()] }, 'The worker is ready');
  onReady();
  try {
    // All stop together: the SDK's runtime hears the signal, running drains end within the grace time.
    await Promise.all(workers.map((w) => w.run()));
  } finally {
    await telemetry?.close();
    await keeper.stop();
    await waker.stop();
    for (const { connector } of systems.values()) connector.close();
    await traces?.close();
    log.info('The worker has stopped');
  }
}
