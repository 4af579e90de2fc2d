/** One night's proof that a system still agrees: read everything, compare, ask where it is too much, repair, wait for the reading back. */
import {
  ApplicationFailure,
  condition,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { FaultType, NOT_RETRYABLE } from '../domain/faults.ts';
import { decideUpdate, stateAttribute, statusQuery, systemAttribute, systemQueue } from './contracts/index.ts';
import type { ChangesInput, ReconciliationInput } from './contracts/index.ts';
import { describeRun } from './describe.ts';

const steps = proxyActivities<Activities>({
  startToCloseTimeout: '1 hour',
  heartbeatTimeout: '1 minute',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute', nonRetryableErrorTypes: [...NOT_RETRYABLE] },
});
const quick = proxyActivities<Activities>({
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute', nonRetryableErrorTypes: [...NOT_RETRYABLE] },
});

const FIRST_LOOK_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
/** After so long the run ends and says what is still open; the lanes go on. */
const WAIT_FOR_REPAIRS_MS = 30 * 60_000;

function scansOf(system: string): ReturnType<typeof proxyActivities<Activities>> {
  return proxyActivities<Activities>({
    taskQueue: systemQueue(system),
    startToCloseTimeout: '2 days',
    heartbeatTimeout: '15 seconds',
    retry: {
      initialInterval: '2 seconds',
      maximumInterval: '5 minutes',
      maximumAttempts: 50,
      nonRetryableErrorTypes: [...NOT_RETRYABLE],
    },
  });
}

export async function reconciliation(input: ReconciliationInput): Promise<Record<string, number>> {
  const { system } = input;
  const runId = input.runId ?? workflowInfo().runId;
  let counts: Record<string, number> = {};
  let step = 'reads everything the system holds';
  let verdict: 'approve' | 'refuse' | null = null;
  let asks = false;

  const show = (state: string): void => {
    setCurrentDetails(describeRun(`Reconciliation of ${system}`, step, counts));
    upsertSearchAttributes([
      { key: systemAttribute, value: system },
      { key: stateAttribute, value: state },
    ]);
  };
  setHandler(statusQuery, () => describeRun(`Reconciliation of ${system}`, step, counts), {
    description: 'The step of the run and its counts.',
  });
  setHandler(
    decideUpdate,
    async ({ decisionId }) => {
      const decision = await quick.takeRunDecision({ runId, decisionId });
      if (!decision.accepted || decision.verdict === null) {
        throw ApplicationFailure.nonRetryable(
          'This is no open decision of this run.',
          FaultType.DecisionUnauthenticated,
        );
      }
      verdict = decision.verdict;
      return decision.verdict;
    },
    {
      description: 'Answer the brake, with the one-time id that the CLI or API hands out.',
      validator: (given) => {
        if (typeof given?.decisionId !== 'string' || given.decisionId === '') {
          throw ApplicationFailure.nonRetryable('decisionId is missing', FaultType.DecisionUnauthenticated);
        }
        if (!asks) throw ApplicationFailure.nonRetryable('The run asks nothing.', FaultType.DecisionNotPossible);
      },
    },
  );

  show('scanning');
  const scanned = await scansOf(system).scan.executeWithOptions({ summary: `Read all of ${system}` }, [
    { system, runId, kind: 'reconciliation' },
  ]);
  counts = { ...scanned };
  const assessed = await steps.assessRun({ runId });
  counts = { ...counts, toChange: assessed.toChange, held: assessed.held };
  if (assessed.asks) {
    asks = true;
    step = `asks: ${assessed.toChange} of ${assessed.held} records would change. Nothing was written.`;
    show('asking');
    await condition(() => verdict !== null);
    if ((verdict as string | null) === 'refuse') {
      step = 'refused; nothing was written';
      await steps.finishRun({ runId, state: 'refused', counts });
      show('refused');
      return counts;
    }
  }
  const marked = await steps.markRun.executeWithOptions({ summary: 'Mark what differs due again' }, [{ runId }]);
  const open = await waitForRepairs(runId, marked, () => {
    step = `waits until ${marked} repairs are read back`;
    show('repairing');
  });
  counts = { ...counts, marked, repaired: marked - open };
  step = open === 0 ? 'done' : `done; ${open} still open in the lane`;
  await steps.finishRun({ runId, state: 'done', counts });
  show('done');
  return counts;
}

async function waitForRepairs(runId: string, marked: number, show: () => void): Promise<number> {
  if (marked === 0) return 0;
  show();
  let waitedMs = 0;
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    await sleep(pauseMs);
    waitedMs += pauseMs;
    const open = await quick.openOfRun({ runId });
    if (open === 0 || waitedMs >= WAIT_FOR_REPAIRS_MS) return open;
  }
}

/** Reads what changed of late in a system, for consents that became stricter there. */
export async function changes({ system }: ChangesInput): Promise<Record<string, number>> {
  const { runId, startTime } = workflowInfo();
  const since = await quick.changesFrom({ system });
  const counts = await scansOf(system).scan({ system, runId, kind: 'changes', since });
  await quick.noteChangesRead({ system, until: startTime.toISOString() });
  await quick.finishRun({ runId, state: 'done', counts: { ...counts } });
  return { ...counts };
}
