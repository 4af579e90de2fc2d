/** What a cause's workflow sees and does: counts, codes and ids only. */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { adviceFor } from '../domain/advice.ts';
import type { ContactId } from '../domain/contact.ts';
import { FaultType } from '../domain/faults.ts';
import { contactsOfCause, getCause, noteAction, retryOf, skipOf, syncCauses } from '../store/causes.ts';
import type { Cause, CauseAction } from '../store/causes.ts';
import type { Deps } from './deps.ts';

export interface CauseView extends Cause {
  advice: string;
  /** Some of the contacts concerned. */
  samples: ContactId[];
}

const SAMPLES = 5;
const BATCH = 500;
/** Rows that a writer holds are tried again so often, with a pause between. */
const ROUNDS = 8;
const PAUSE_MS = 250;

async function loaded(deps: Deps, causeId: string): Promise<Cause> {
  const cause = await getCause(deps.db, causeId);
  if (cause === undefined) throw ApplicationFailure.nonRetryable('There is no such cause.', FaultType.NotConfigured);
  return cause;
}

export async function viewCause(deps: Deps, causeId: string): Promise<CauseView> {
  const cause = await loaded(deps, causeId);
  return {
    ...cause,
    advice: adviceFor(cause.kind, cause.code),
    samples: cause.closedAt === null ? await contactsOfCause(deps.db, cause, null, SAMPLES) : [],
  };
}

export interface Resolution {
  action: CauseAction;
  reason?: string;
  to?: string;
  /** Who asks; left out from Temporal's UI. */
  by?: string;
}

/** Does what a person asked. @returns a sentence with the count */
export async function resolveCause(deps: Deps, causeId: string, asked: Resolution): Promise<string> {
  const cause = await loaded(deps, causeId);
  const by = asked.by ?? 'temporal-ui';
  const { action, reason = null, to = null } = asked;
  if (!(await noteAction(deps.db, causeId, { action, reason, to, by }))) return 'It is closed already.';
  if (action === 'hand_over') return `Handed over to ${to}.`;
  let done = 0;
  let after: ContactId | null = null;
  for (;;) {
    const ids: ContactId[] = await contactsOfCause(deps.db, cause, after, BATCH);
    if (ids.length === 0) break;
    let left = ids;
    for (let round = 0; left.length > 0 && round < ROUNDS; round += 1) {
      if (round > 0) await Context.current().sleep(PAUSE_MS);
      const marked = new Set(
        action === 'retry'
          ? await retryOf(deps.db, cause, left)
          : await skipOf(deps.db, cause, left, by, reason ?? 'accepted'),
      );
      done += marked.size;
      left = left.filter((id) => !marked.has(id));
      Context.current().heartbeat({ done });
    }
    after = ids.at(-1) ?? null;
  }
  await syncCauses(deps.db);
  return action === 'retry' ? `${done} deliveries are tried again.` : `${done} deliveries are accepted as they are.`;
}
