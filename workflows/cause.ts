/**
 * One cause that stops deliveries, as an operator finds, reads and resolves it: in Temporal's UI, by CLI or API. It closes itself when nothing
 * is stopped by it any more; the keeper, who sees that in the ledger, tells it.
 */
import {
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
import { SHORT_WORD } from '../domain/short-word.ts';
import { lookSignal, resolveUpdate, stateAttribute, statusQuery, systemAttribute } from './contracts/index.ts';
import type { CauseInput } from './contracts/index.ts';
import { describeCause } from './describe.ts';

const steps = proxyActivities<Activities>({
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '1 minute',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute', nonRetryableErrorTypes: [...NOT_RETRYABLE] },
});

/** Without a word from the keeper it looks again after this time. */
const LOOK_AGAIN = '15 minutes';
const ACTIONS = ['retry', 'skip', 'hand_over'];
/** As the doors name who asks: `cli:root`, `key:crm`. */
const ACTOR = /^[\w.:-]{1,120}$/;

export async function cause({ causeId }: CauseInput): Promise<string> {
  let looks = 1;
  let text = '';
  setHandler(lookSignal, () => void (looks += 1), { description: 'Look at the ledger again now.' });
  setHandler(statusQuery, () => text, { description: 'What is wrong, how many it stops, and what to do.' });
  setHandler(
    resolveUpdate,
    async (asked) => {
      const done = await steps.resolveCause.executeWithOptions({ summary: asked.action }, [{ causeId, ...asked }]);
      looks += 1;
      return done;
    },
    {
      description: 'action: retry, skip (with reason) or hand_over (with to); reason and to are short words.',
      validator: (asked) => {
        const refuse = (why: string): never => {
          throw ApplicationFailure.nonRetryable(why, FaultType.DecisionNotPossible);
        };
        if (!ACTIONS.includes(asked?.action)) refuse(`action is one of ${ACTIONS.join(', ')}`);
        if (asked.action === 'skip' && asked.reason === undefined) refuse('skip needs a reason');
        if (asked.action === 'hand_over' && asked.to === undefined) refuse('hand_over needs to: a team or an account');
        for (const word of [asked.reason, asked.to])
          if (word !== undefined && !SHORT_WORD.test(word)) refuse('reason and to are short words of a-z, 0-9, _ . -');
        if (asked.by !== undefined && !ACTOR.test(asked.by)) refuse('by is the name of a key or an account');
      },
    },
  );

  for (;;) {
    looks = 0;
    const now = await steps.viewCause.executeWithOptions({ summary: 'Look at the ledger' }, [{ causeId }]);
    text = describeCause(now);
    setCurrentDetails(text);
    upsertSearchAttributes([
      { key: systemAttribute, value: now.system },
      { key: stateAttribute, value: now.resolution ?? (now.assignedTo === null ? 'open' : 'handed_over') },
    ]);
    if (now.resolution !== null) {
      await condition(allHandlersFinished);
      return now.resolution;
    }
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof cause>({ causeId });
    }
    await condition(() => looks > 0, LOOK_AGAIN);
  }
}
