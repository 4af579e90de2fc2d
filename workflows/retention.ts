/** A retention run: dry run, list with reasons, approval, purge through the lanes. Over its share it needs two people. */
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
import { FaultType } from '../domain/faults.ts';
import { decideUpdate, stateAttribute, statusQuery } from './contracts/index.ts';
import type { RetentionInput } from './contracts/index.ts';
import { describeRun } from './describe.ts';

const steps = proxyActivities<Activities>({
  startToCloseTimeout: '6 hours',
  heartbeatTimeout: '1 minute',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});

const FIRST_LOOK_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
const WAIT_FOR_LANES_MS = 60 * 60_000;

export async function retention(input: RetentionInput): Promise<Record<string, number>> {
  const runId = input.runId ?? workflowInfo().runId;
  let counts: Record<string, number> = {};
  let step = 'looks whom the rules hit';
  let needed = 0;
  const approvedBy = new Set<string>();
  let refused = false;

  const show = (state: string): void => {
    setCurrentDetails(describeRun('Retention', step, counts));
    upsertSearchAttributes([{ key: stateAttribute, value: state }]);
  };
  setHandler(statusQuery, () => describeRun('Retention', step, counts), {
    description: 'The step of the run and its counts.',
  });
  setHandler(
    decideUpdate,
    async ({ decisionId }) => {
      const decision = await steps.takeRunDecision({ runId, decisionId });
      if (!decision.accepted || decision.by === null) {
        throw ApplicationFailure.nonRetryable(
          'This is no open decision of this run.',
          FaultType.DecisionUnauthenticated,
        );
      }
      if (decision.verdict === 'refuse') refused = true;
      else approvedBy.add(decision.by);
      if (refused) return 'refused';
      return approvedBy.size >= needed ? 'approved' : `approved by ${approvedBy.size} of ${needed} people`;
    },
    {
      description: 'Approve or refuse the list, with the one-time id that the CLI or API hands out.',
      validator: (given) => {
        if (typeof given?.decisionId !== 'string' || given.decisionId === '') {
          throw ApplicationFailure.nonRetryable('decisionId is missing', FaultType.DecisionUnauthenticated);
        }
        if (needed === 0) throw ApplicationFailure.nonRetryable('The run asks nothing.', FaultType.DecisionNotPossible);
      },
    },
  );

  show('planning');
  const plan = await steps.planRetention.executeWithOptions({ summary: 'Dry run of the rules' }, [{ runId }]);
  counts = { looked: plan.looked, toPurge: plan.toPurge, active: plan.active };
  if (plan.toPurge === 0) {
    step = 'done; the rules hit nobody';
    await steps.finishRun({ runId, state: 'done', counts });
    show('done');
    return counts;
  }
  needed = plan.braked ? 2 : 1;
  step = plan.braked
    ? `asks two people: ${plan.toPurge} of ${plan.active} contacts is more than the set share`
    : `asks: purge ${plan.toPurge} of ${plan.active} contacts?`;
  show('asking');
  await condition(() => refused || approvedBy.size >= needed);
  if (refused) {
    step = 'refused; nothing was purged';
    await steps.finishRun({ runId, state: 'refused', counts });
    show('refused');
    return counts;
  }
  step = 'purges';
  show('purging');
  const purged = await steps.purgeRun.executeWithOptions({ summary: 'Purge what still qualifies' }, [{ runId }]);
  counts = { ...counts, ...purged };
  let open = 1;
  let waitedMs = 0;
  for (let pauseMs = FIRST_LOOK_MS; waitedMs < WAIT_FOR_LANES_MS; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    await sleep(pauseMs);
    waitedMs += pauseMs;
    open = await steps.openOfPurge({ runId });
    if (open === 0) break;
  }
  counts = { ...counts, stillHeld: open };
  step = open === 0 ? 'done; read back as gone everywhere' : `done; ${open} still open in the lanes`;
  await steps.finishRun({ runId, state: 'done', counts });
  show('done');
  return counts;
}
