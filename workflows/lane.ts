/**
 * The lane: makes one system converge, for ever. It waits for a wake or for its sweep, drains what is due in bounded activities, and
 * shows in Temporal's UI how it stands. All work is in PostgreSQL; losing this run loses nothing.
 */
import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { FaultType, NOT_RETRYABLE } from '../domain/faults.ts';
import {
  pauseSignal,
  resumeSignal,
  retryUpdate,
  stateAttribute,
  statusQuery,
  systemAttribute,
  systemQueue,
  wakeSignal,
} from './contracts/index.ts';
import type { LaneInput } from './contracts/index.ts';
import { describeLane } from './describe.ts';

const steps = proxyActivities<Activities>({
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '1 second', maximumInterval: '30 seconds', nonRetryableErrorTypes: [...NOT_RETRYABLE] },
});

/** Attempts of one drain before the lane shows trouble and rests; the work stays due. */
const DRAIN_ATTEMPTS = 6;
/** A paused lane is woken by its resume; it looks by itself only now and then. */
const PAUSED_LOOK_MS = 30_000;

export async function lane(input: LaneInput): Promise<void> {
  const { system, timing } = input;
  const work = proxyActivities<Activities>({
    taskQueue: systemQueue(system),
    startToCloseTimeout: timing.drainMs + 5 * 60_000,
    heartbeatTimeout: timing.heartbeatMs,
    retry: {
      initialInterval: '1 second',
      backoffCoefficient: 2,
      maximumInterval: '1 minute',
      maximumAttempts: DRAIN_ATTEMPTS,
      nonRetryableErrorTypes: [...NOT_RETRYABLE],
    },
  });
  const scans = proxyActivities<Activities>({
    taskQueue: systemQueue(system),
    startToCloseTimeout: '2 days',
    heartbeatTimeout: '15 seconds',
    retry: { initialInterval: '2 seconds', maximumInterval: '5 minutes', nonRetryableErrorTypes: [...NOT_RETRYABLE] },
  });

  let highestSequence = input.highestSequence;
  let woken = true;
  let status = 'starting';
  let trouble: string | null = null;
  let last = '';
  let shownState = '';

  setHandler(wakeSignal, () => void (woken = true), { description: 'Look for due work now.' });
  setHandler(
    pauseSignal,
    async () => {
      await steps.commandLane({ system, command: { kind: 'pause' } });
      woken = true;
    },
    { description: 'Stop calling this system until resumed. Due work is kept.' },
  );
  setHandler(
    resumeSignal,
    async () => {
      await steps.commandLane({ system, command: { kind: 'resume' } });
      woken = true;
    },
    {
      description: 'Go on after a pause; also the answer after a restored backup or refused credentials were seen to.',
    },
  );
  setHandler(
    retryUpdate,
    async (asked) => {
      const contactId = asked?.contactId;
      const marked = await steps.commandLane({
        system,
        command: { kind: 'retry', ...(contactId === undefined ? {} : { contactId }) },
      });
      woken = true;
      return marked;
    },
    {
      description:
        'Try open problems of this system again; with {"contactId": "…"} those of one contact. Answers how many.',
      validator: (asked) => {
        if (asked?.contactId !== undefined && typeof asked.contactId !== 'string') {
          throw ApplicationFailure.nonRetryable('contactId must be a text');
        }
      },
    },
  );
  setHandler(statusQuery, () => status, { description: 'State, backlog and last error of the lane.' });

  const show = async (): Promise<Awaited<ReturnType<Activities['viewLane']>>> => {
    const view = await steps.viewLane.executeWithOptions({ summary: `Look at ${system}` }, [{ system }]);
    const state = trouble !== null && view.state === 'open' ? 'trouble' : view.state;
    status = describeLane(system, state, view, trouble, last);
    setCurrentDetails(status);
    if (state !== shownState) {
      shownState = state;
      upsertSearchAttributes([
        { key: systemAttribute, value: system },
        { key: stateAttribute, value: state },
      ]);
    }
    return view;
  };

  await show();
  for (;;) {
    woken = false;
    let waitMs = timing.sweepMs;
    try {
      const drained = await work.drain.executeWithOptions({ summary: `Drain ${system}` }, [
        { system, highestSequence },
      ]);
      highestSequence = drained.highestSequence;
      trouble = null;
      last = `${drained.verified} read back, ${drained.unchanged} unchanged, ${drained.problems} problems, ${drained.calls} calls in ${drained.seconds} s`;
      if (drained.ended === 'scanning') {
        await firstScan(system, scans);
        continue;
      }
      if (drained.ended === 'bound') waitMs = 0;
      else if (drained.ended === 'paused' || drained.ended === 'guarded') waitMs = Math.max(waitMs, PAUSED_LOOK_MS);
      else if (drained.nextDueMs !== null && drained.ended === 'idle')
        waitMs = Math.min(waitMs, Math.max(50, drained.nextDueMs));
    } catch (error) {
      trouble = faultOf(error);
      waitMs = timing.troubleMs;
    }
    await show();
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof lane>({ ...input, highestSequence });
    }
    if (!woken && waitMs > 0) await condition(() => woken, waitMs);
  }
}

/** Before anything is created: credentials and fields are checked, then everything the system holds is read once. */
async function firstScan(system: string, scans: ReturnType<typeof proxyActivities<Activities>>): Promise<void> {
  const problems = await scans.checkSystem.executeWithOptions({ summary: `Check ${system}` }, [{ system }]);
  if (problems.length > 0) return;
  const { runId } = workflowInfo();
  const counts = await scans.scan.executeWithOptions({ summary: `First complete scan of ${system}` }, [
    { system, runId, kind: 'first_scan' },
  ]);
  await steps.finishRun({ runId, state: 'done', counts: { ...counts } });
  await steps.openSystem({ system, runId });
}

function faultOf(error: unknown): string {
  if (error instanceof ActivityFailure && error.cause instanceof ApplicationFailure) {
    return `${error.cause.type ?? 'failure'}: ${error.cause.message}`;
  }
  if (error instanceof ActivityFailure) return `the drain did not answer (${error.retryState})`;
  if (error instanceof ApplicationFailure) return error.type ?? FaultType.StoreUnavailable;
  throw error;
}
