/**
 * What clients and workflows share: ids, queue names, inputs, signals, updates, search attributes. Ids are opaque: a system's
 * configured name, a case's or a run's random id; never anything of a person.
 */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';

/** Workflows and the short steps of processes. */
export const CORE_QUEUE = 'plumbline';
/** Drains and scans of one system: one system never slows another. */
export const systemQueue = (system: string): string => `plumbline.${system}`;

export const laneId = (system: string): string => `lane/${system}`;
export const erasureId = (caseId: string): string => `erasure/${caseId}`;
export const reconciliationId = (system: string, runId: string): string => `reconciliation/${system}/${runId}`;
export const retentionId = (runId: string): string => `retention/${runId}`;
export const causeId = (id: string): string => `cause/${id}`;
export const changesId = (system: string): string => `changes/${system}`;

export const systemAttribute = defineSearchAttributeKey('PlumblineSystem', 'KEYWORD');
export const stateAttribute = defineSearchAttributeKey('PlumblineState', 'KEYWORD');
export const caseAttribute = defineSearchAttributeKey('PlumblineCase', 'KEYWORD');

export interface LaneInput {
  system: string;
  /** Highest ledger sequence seen so far; carried across runs of the lane. */
  highestSequence: number;
  timing: LaneTiming;
}

/** Durations come in, so that tests take seconds. All in milliseconds. */
export interface LaneTiming {
  /** A lane looks for work that no wake told it of. */
  sweepMs: number;
  /** Longest run of one drain. */
  drainMs: number;
  /** Without a heart-beat for so long, a drain counts as dead and another worker takes over. */
  heartbeatMs: number;
  /** Rest after all attempts of a drain failed, unless somebody wakes the lane. */
  troubleMs: number;
}

export interface ErasureInput {
  caseId: string;
}

export interface ReconciliationInput {
  system: string;
  /** Given when started by hand; a schedule leaves it out and the run takes the workflow's run id. */
  runId?: string;
}

export interface RetentionInput {
  runId?: string;
}

export interface ChangesInput {
  system: string;
}

/** A decision made at the API or CLI: the one-time id under which it was recorded. */
export interface DecisionInput {
  decisionId: string;
}

export const wakeSignal = defineSignal('wake');
export const pauseSignal = defineSignal('pause');
export const resumeSignal = defineSignal('resume');
export interface RetryInput {
  /** Left out: every open problem of the system. */
  contactId?: string;
}
export const retryUpdate = defineUpdate<number, [RetryInput]>('retry');
export const decideUpdate = defineUpdate<string, [DecisionInput]>('decide');
export interface CauseInput {
  causeId: string;
}

/** What is to be done about a cause. All words are short and stable; none is of a person. */
export interface ResolveInput {
  action: 'retry' | 'skip' | 'hand_over';
  /** Needed for `skip`. */
  reason?: string;
  /** Needed for `hand_over`: a team or an account. */
  to?: string;
  /** Who asks; left out from Temporal's UI. */
  by?: string;
}
export const lookSignal = defineSignal('look');
export const resolveUpdate = defineUpdate<string, [ResolveInput]>('resolve');
export const statusQuery = defineQuery<string>('status');
