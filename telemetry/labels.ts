/**
 * The words that labels may hold. What counts takes its types from here, and rules and dashboard are tested against it: a rule that selects
 * a word which nobody tells would be silent for ever.
 */
import { CALL_CLASSES } from '../domain/call-class.ts';

export const ROLES = ['worker', 'api'] as const;
export const PRIORITIES = ['urgent', 'live', 'bulk'] as const;
/** How a backlog is told: all of it, and what is urgent of it. */
export const BACKLOGS = ['any', 'urgent'] as const;
export const LANE_STATES = ['scanning', 'open', 'paused', 'guarded'] as const;
export const CALL_RESULTS = ['answered', 'failed'] as const;
export const LIMITS = ['rate', 'day', 'concurrency', 'unnamed'] as const;
export const DRAIN_ENDS = ['idle', 'bound', 'paused', 'guarded', 'scanning', 'shutdown', 'failed'] as const;

/** Why a workflow task failed, as the core of Temporal's SDK has it (sdk-core, `FailureReason` of telemetry/metrics.rs). */
export const TASK_FAILURES = [
  'NonDeterminismError',
  'WorkflowError',
  'timeout',
  'GrpcMessageTooLarge',
  'PayloadsTooLarge',
  'ExternalStorageError',
  'RequestTooLarge',
  'other',
] as const;
export const WORKER_TYPES = [
  'WorkflowWorker',
  'ActivityWorker',
  'LocalActivityWorker',
  'NexusWorker',
  'other',
] as const;
export const POLLER_TYPES = ['workflow_task', 'sticky_workflow_task', 'activity_task', 'nexus_task', 'other'] as const;

export type Role = (typeof ROLES)[number];
export type Priority = (typeof PRIORITIES)[number];
export type Backlogs = (typeof BACKLOGS)[number];
export type Limit = (typeof LIMITS)[number];
export type DrainEnd = (typeof DRAIN_ENDS)[number];
export type LaneState = (typeof LANE_STATES)[number];

/** Metric → label → the words that it may have. A label that is missing here has names of this installation, or numbers. */
export const WORDS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  plumbline_vendor_calls_total: { class: CALL_CLASSES, result: CALL_RESULTS },
  plumbline_vendor_limited_total: { reason: LIMITS },
  plumbline_due_to_verified_seconds: { priority: PRIORITIES },
  plumbline_drains_total: { ended: DRAIN_ENDS },
  plumbline_due: { priority: BACKLOGS },
  plumbline_oldest_due_seconds: { priority: BACKLOGS },
  plumbline_lane_state: { state: LANE_STATES },
  plumbline_process_start_time_seconds: { role: ROLES },
  temporal_workflow_task_execution_failed_total: { failure_reason: TASK_FAILURES },
  temporal_worker_task_slots_available: { worker_type: WORKER_TYPES },
  temporal_worker_task_slots_used: { worker_type: WORKER_TYPES },
  temporal_num_pollers: { poller_type: POLLER_TYPES },
};
