/**
 * An erasure case (GDPR Art. 17, 12(3)): waits for a decision, empties the record, waits until every system is read back as gone
 * or says why not. It never gives up by count; the deadline and its reminders are durable timers.
 */
import {
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { FaultType } from '../domain/faults.ts';
import { caseAttribute, decideUpdate, stateAttribute, statusQuery, wakeSignal } from './contracts/index.ts';
import type { ErasureInput } from './contracts/index.ts';
import { describeErasure } from './describe.ts';

const steps = proxyActivities<Activities>({
  startToCloseTimeout: '2 minutes',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});

const DAY_MS = 86_400_000;
const WATCH_MS = 20_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

export type ErasureSummary = Record<string, string>;

export async function erasure({ caseId }: ErasureInput): Promise<ErasureSummary> {
  let verdict: 'approve' | 'refuse' | null = null;
  let step = 'waits for a decision';
  let deadline = '';
  let systems: Awaited<ReturnType<Activities['watchErasure']>>['systems'] = [];
  let woken = false;

  const show = (state: string): void => {
    setCurrentDetails(describeErasure(caseId, step, deadline, systems));
    upsertSearchAttributes([
      { key: caseAttribute, value: caseId },
      { key: stateAttribute, value: state },
    ]);
  };
  setHandler(statusQuery, () => describeErasure(caseId, step, deadline, systems), {
    description: 'The step of the case and what came of it in each system.',
  });
  setHandler(wakeSignal, () => void (woken = true), { description: 'Look again now (a hold was released).' });
  setHandler(
    decideUpdate,
    async ({ decisionId }) => {
      const decision = await steps.takeCaseDecision({ caseId, decisionId });
      if (!decision.accepted || decision.verdict === null) {
        throw ApplicationFailure.nonRetryable(
          'This is no open decision of this case. Decide with the CLI or the API, which check who may.',
          FaultType.DecisionUnauthenticated,
        );
      }
      verdict = decision.verdict;
      return decision.verdict;
    },
    {
      description: 'Approve or refuse, with the one-time id that `plumbline erasure decide` or the API hands out.',
      validator: (input) => {
        if (typeof input?.decisionId !== 'string' || input.decisionId === '') {
          throw ApplicationFailure.nonRetryable('decisionId is missing', FaultType.DecisionUnauthenticated);
        }
        if (verdict !== null)
          throw ApplicationFailure.nonRetryable('The case is decided.', FaultType.DecisionNotPossible);
      },
    },
  );

  const found = await steps.loadCase({ caseId });
  if (found === null) throw ApplicationFailure.nonRetryable('no such case', FaultType.NotConfigured);
  deadline = found.deadline;
  if (found.state === 'done') return {};
  if (found.state === 'refused') return {};
  if (found.state === 'approved' || found.state === 'erasing') verdict = 'approve';

  const reminders = new CancellationScope();
  const reminding = reminders.run(() => remind(caseId, found.deadline, found.remindDaysBefore));
  // Rejects only by the cancellation below; awaited at the end.
  reminding.catch(() => undefined);

  if (verdict === null) {
    show('deciding');
    await condition(() => verdict !== null);
  }
  if ((verdict as string | null) === 'refuse') {
    step = 'refused';
    show('refused');
    await stop(reminders, reminding);
    return {};
  }

  for (;;) {
    step = 'empties the record';
    show('erasing');
    const erased = await steps.eraseRecord.executeWithOptions({ summary: 'Empty the record into its sealed ticket' }, [
      { caseId },
    ]);
    if (erased.erased) break;
    step = `waits for ${erased.holds} hold(s)${erased.until === null ? '' : ` until ${erased.until}`}`;
    show('held');
    woken = false;
    await condition(() => woken, DAY_MS);
  }

  let pauseMs = 1_000;
  for (;;) {
    const progress = await steps.watchErasure.executeWithOptions(
      { summary: 'Wait until every system is read back as gone' },
      [{ caseId, forMs: WATCH_MS }],
    );
    ({ systems } = progress);
    step = progress.done ? 'done' : `waits for ${progress.waitingFor.join(', ')}`;
    show(progress.done ? 'done' : 'erasing');
    if (progress.done) break;
    woken = false;
    await condition(() => woken, pauseMs);
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
  await steps.closeCase.executeWithOptions({ summary: 'Close the case with its summary' }, [{ caseId, systems }]);
  await stop(reminders, reminding);
  return Object.fromEntries(
    systems.map((s) => [s.system, s.code === null ? (s.outcome ?? '') : `${s.outcome} (${s.code})`]),
  );
}

/** Reminds some days before the deadline, and each day after it, for as long as the case is open. */
async function remind(caseId: string, deadline: string, daysBefore: number[]): Promise<void> {
  const due = Date.parse(deadline);
  for (const days of daysBefore.toSorted((a, b) => b - a)) {
    const waitMs = due - days * DAY_MS - Date.now();
    if (waitMs < 0) continue;
    await sleep(waitMs);
    await steps.remindCase({ caseId, daysLeft: days });
  }
  const leftMs = due - Date.now();
  if (leftMs > 0) await sleep(leftMs);
  for (let overdue = 1; ; overdue += 1) {
    await steps.remindCase({ caseId, daysLeft: -overdue });
    await sleep(DAY_MS);
  }
}

async function stop(scope: CancellationScope, running: Promise<void>): Promise<void> {
  scope.cancel();
  try {
    await running;
  } catch (error) {
    if (!isCancellation(error)) throw error;
  }
}
