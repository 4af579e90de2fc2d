/**
 * Figures of Temporal's SDK in our own /metrics, under the names that Temporal documents and its dashboards use
 * (https://docs.temporal.io/references/sdk-metrics): whether workers poll, have places free, and get their tasks in time.
 *
 * The SDK's core keeps single events in a buffer; they are taken out once a second and before a scrape.
 */
import { MetricsBuffer } from '@temporalio/worker';
import type { BufferedMetricUpdate } from '@temporalio/worker';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { WORDS } from '../telemetry/labels.ts';

const PREFIX = 'temporal_';
const TAKE_EVERY_MS = 1_000;
/** Some seconds of a busy worker. */
const BUFFER_SIZE = 50_000;
/** From a quick task to one that waited for a worker to come back. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300];

interface Told {
  kind: 'counter' | 'gauge' | 'histogram';
  help: string;
  labels: readonly string[];
}

const counter = (help: string, ...labels: string[]): Told => ({ kind: 'counter', help, labels });
const gauge = (help: string, ...labels: string[]): Told => ({ kind: 'gauge', help, labels });
const histogram = (help: string, ...labels: string[]): Told => ({ kind: 'histogram', help, labels });

/** By the SDK's name; what is not here is not told. */
const TOLD: Readonly<Record<string, Told>> = {
  workflow_task_execution_failed: counter(
    'Workflow tasks that failed, by type of workflow and why (NonDeterminismError, WorkflowError …).',
    'workflow_type',
    'failure_reason',
  ),
  workflow_failed: counter('Workflows that ended as failed.', 'workflow_type'),
  activity_execution_failed: counter('Attempts of activities that failed.', 'activity_type'),
  workflow_task_queue_poll_succeed: counter('Polls that brought a workflow task.', 'task_queue'),
  workflow_task_queue_poll_empty: counter('Polls that ended without a workflow task.', 'task_queue'),
  activity_task_received: counter('Activity tasks that polls brought.', 'task_queue'),
  activity_poll_no_task: counter('Polls that ended without an activity task.', 'task_queue'),
  request: counter('Calls to the Temporal server.'),
  request_failure: counter('Calls to the Temporal server that failed.'),
  long_request: counter('Polls of the Temporal server.'),
  long_request_failure: counter('Polls of the Temporal server that failed.'),
  num_pollers: gauge('Polls under way.', 'task_queue', 'poller_type'),
  worker_task_slots_available: gauge('Places for tasks that are free.', 'task_queue', 'worker_type'),
  worker_task_slots_used: gauge('Places for tasks that are taken.', 'task_queue', 'worker_type'),
  sticky_cache_size: gauge('Workflows kept in memory.', 'task_queue'),
  workflow_task_schedule_to_start_latency: histogram('How long workflow tasks waited for a worker.', 'task_queue'),
  activity_schedule_to_start_latency: histogram('How long activity tasks waited for a worker.', 'task_queue'),
};

export interface SdkMetrics {
  /** For the SDK's runtime. */
  buffer: MetricsBuffer;
  /** Brings what has happened into the registry. */
  take(): void;
  close(): void;
}

/** The name in /metrics, as Prometheus's conventions and the SDK's own exporter with unit and counter suffixes have it. */
function toldName(name: string, kind: Told['kind']): string {
  return `${PREFIX}${name}${kind === 'counter' ? '_total' : kind === 'histogram' ? '_seconds' : ''}`;
}

export function createSdkMetrics(registry: Registry): SdkMetrics {
  const buffer = new MetricsBuffer({ maxBufferSize: BUFFER_SIZE, useSecondsForDurations: true });
  const record = new Map<string, (value: number, attributes: BufferedMetricUpdate['attributes']) => void>();
  for (const [name, told] of Object.entries(TOLD)) record.set(`${PREFIX}${name}`, recorder(registry, name, told));
  const take = (): void => {
    for (const { metric, value, attributes } of buffer.retrieveUpdates()) record.get(metric.name)?.(value, attributes);
  };
  const timer = setInterval(take, TAKE_EVERY_MS).unref();
  return { buffer, take, close: () => clearInterval(timer) };
}

function recorder(
  registry: Registry,
  name: string,
  { kind, help, labels }: Told,
): (value: number, attributes: BufferedMetricUpdate['attributes']) => void {
  const words = WORDS[toldName(name, kind)] ?? {};
  const options = { name: toldName(name, kind), help, labelNames: [...labels], registers: [registry] };
  const labelled = (attributes: BufferedMetricUpdate['attributes']): Record<string, string> =>
    Object.fromEntries(
      labels.map((label) => {
        const value = String(attributes[label] ?? '');
        return [label, words[label]?.includes(value) === false ? 'other' : value];
      }),
    );
  switch (kind) {
    case 'counter': {
      const metric = new Counter(options);
      return (value, attributes) => metric.inc(labelled(attributes), value);
    }
    case 'gauge': {
      const metric = new Gauge(options);
      return (value, attributes) => metric.set(labelled(attributes), value);
    }
    case 'histogram': {
      const metric = new Histogram({ ...options, buckets: SECONDS });
      return (value, attributes) => metric.observe(labelled(attributes), value);
    }
  }
}
