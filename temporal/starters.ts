/** Starting and signalling workflows. Every start is safe to repeat: the id is the case's, the run's or the system's. */
import type { Client } from '@temporalio/client';
import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowNotFoundError } from '@temporalio/client';
import type { cause, changes, erasure, lane, reconciliation, retention } from '../workflows/index.ts';
import {
  CORE_QUEUE,
  caseAttribute,
  causeId,
  decideUpdate,
  erasureId,
  laneId,
  lookSignal,
  reconciliationId,
  resolveUpdate,
  retentionId,
  systemAttribute,
  wakeSignal,
} from '../workflows/contracts/index.ts';
import type { LaneTiming, ResolveInput } from '../workflows/contracts/index.ts';

const RUNNING = { workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING } as const;

/** Starts a lane, or leaves the running one. */
export async function startLane(client: Client, system: string, timing: LaneTiming): Promise<void> {
  await client.workflow.start<typeof lane>('lane', {
    workflowId: laneId(system),
    taskQueue: CORE_QUEUE,
    args: [{ system, highestSequence: 0, timing }],
    staticSummary: `Makes ${system} agree with the record`,
    typedSearchAttributes: [{ key: systemAttribute, value: system }],
    ...RUNNING,
  });
}

/** Tells a lane to look for work. A lane that does not run is started by the keeper; nothing is lost. */
export async function wakeLane(client: Client, system: string): Promise<void> {
  try {
    await client.workflow.getHandle(laneId(system)).signal(wakeSignal);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

/** Starts the workflow of an erasure case, or leaves the running one. */
export async function startErasure(client: Client, caseId: string): Promise<void> {
  await client.workflow.start<typeof erasure>('erasure', {
    workflowId: erasureId(caseId),
    taskQueue: CORE_QUEUE,
    args: [{ caseId }],
    staticSummary: 'Erasure of one person',
    typedSearchAttributes: [{ key: caseAttribute, value: caseId }],
    workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
    ...RUNNING,
  });
}

export async function startReconciliation(client: Client, system: string, runId: string): Promise<void> {
  await client.workflow.start<typeof reconciliation>('reconciliation', {
    workflowId: reconciliationId(system, runId),
    taskQueue: CORE_QUEUE,
    args: [{ system, runId }],
    staticSummary: `Reconciliation of ${system}, by hand`,
    typedSearchAttributes: [{ key: systemAttribute, value: system }],
    ...RUNNING,
  });
}

export async function startRetention(client: Client, runId: string): Promise<void> {
  await client.workflow.start<typeof retention>('retention', {
    workflowId: retentionId(runId),
    taskQueue: CORE_QUEUE,
    args: [{ runId }],
    staticSummary: 'Retention run, by hand',
    ...RUNNING,
  });
}

/** Reads the changes of one system now. */
export async function startChanges(client: Client, system: string, id: string): Promise<void> {
  await client.workflow.start<typeof changes>('changes', {
    workflowId: id,
    taskQueue: CORE_QUEUE,
    args: [{ system }],
    staticSummary: `Changes of late in ${system}`,
    typedSearchAttributes: [{ key: systemAttribute, value: system }],
    ...RUNNING,
  });
}

/** Hands a recorded decision to its workflow. @returns what the workflow answers */
export async function decide(client: Client, workflowId: string, decisionId: string): Promise<string> {
  return client.workflow.getHandle(workflowId).executeUpdate(decideUpdate, { args: [{ decisionId }] });
}

/** Starts the workflow of a cause, or tells the running one to look again. */
export async function tellCause(client: Client, id: string): Promise<void> {
  await client.workflow.signalWithStart<typeof cause>('cause', {
    workflowId: causeId(id),
    taskQueue: CORE_QUEUE,
    args: [{ causeId: id }],
    staticSummary: 'One reason that stops deliveries',
    signal: lookSignal,
  });
}

/** Hands what a person wants done to the cause's workflow. The same `updateId` again is the same act. @returns what it answers, a sentence */
export async function resolveCause(client: Client, id: string, asked: ResolveInput, updateId: string): Promise<string> {
  return client.workflow.getHandle(causeId(id)).executeUpdate(resolveUpdate, { args: [asked], updateId });
}
