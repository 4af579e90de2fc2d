/** One attempt at a batch: what may be there already is read, the rest is written and read back, and each contact judged by both. */
import { setTimeout as sleep } from 'node:timers/promises';
import { GateClosed, LEFT } from '../connectors/kit/connector.ts';
import type { Item, ItemResult, Observation } from '../connectors/kit/connector.ts';
import { hasDifferences } from '../domain/compare.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { Recorded } from '../store/record.ts';
import type { SystemRuntime } from './deps.ts';
import type { EngineGate } from './gate.ts';
import { compareReading, judge, stricterPurposes } from './judging.ts';
import { breathe, giveWay } from './running.ts';
import type { Running } from './running.ts';
import type { Work } from './triage.ts';
import { recordWithdrawals } from './withdrawals.ts';

const REREAD_MS = [150, 600] as const;

type Reading = Observation | null | undefined;

/** What came of each of those that were attempted, in the same order. */
export interface Attempted {
  work: Work[];
  results: Recorded[];
  outcomes: ItemResult[];
}

export async function deliverAndVerify(context: Running, gate: EngineGate, work: Work[]): Promise<Attempted> {
  const { runtime } = context;
  const readings = new Map<Work, Reading>();
  const outcomes = new Map<Work, ItemResult>();

  // What may be there already as wanted is read first: nothing is rewritten by distrust alone.
  const doubted = work.filter(
    ({ planned, item }) =>
      planned.distrust &&
      !item.lookFirst &&
      item.externalIds.length > 0 &&
      (item.want.presence === 'present' || item.want.presence === 'if_there'),
  );
  for (const [one, reading] of await readBack(gate, runtime, doubted)) {
    if (reading === undefined) continue;
    const found = differencesOf(one, reading, runtime);
    const stricter = reading === null ? [] : stricterPurposes(one.planned, reading, runtime.rules, null);
    if (stricter.length > 0 || (!hasDifferences(found) && reading !== null)) {
      readings.set(one, reading);
      outcomes.set(one, {
        data: { kind: 'unchanged' },
        consent: { kind: 'unchanged' },
        externalIds: one.item.externalIds,
      });
    }
  }

  const toDeliver = work.filter((one) => !outcomes.has(one));
  if (toDeliver.length > 0) {
    context.trace?.to('write');
    const answers = await answersOf(
      () =>
        runtime.connector.deliver(
          toDeliver.map((w) => w.item),
          gate,
        ),
      toDeliver.length,
    );
    for (const [at, one] of toDeliver.entries()) {
      const answer = answers[at];
      if (answer !== undefined) outcomes.set(one, answer);
    }
    await giveWay(context);
    context.trace?.to('read_back');
    await verifyAll(context, gate, toDeliver, outcomes, readings);
    await giveWay(context);
  }

  const attempted: Attempted = { work: [], results: [], outcomes: [] };
  for (const one of work) {
    const answer = outcomes.get(one) ?? failed({ kind: 'unclassified', code: 'no_answer' }, one.item);
    if (answer.data === LEFT) continue;
    await breathe(context);
    const reading = readings.get(one);
    const shown = reading ?? answer.observation ?? null;
    const stricter = shown === null ? [] : stricterPurposes(one.planned, shown, runtime.rules, answer.consent);
    if (shown !== null && stricter.length > 0)
      await recordWithdrawals(context.deps, runtime, one.planned.loaded.contact.id, shown, stricter);
    attempted.work.push(one);
    attempted.results.push(
      judge(one.planned, one.item.externalIds, answer, reading, differencesOf(one, reading, runtime), stricter),
    );
    attempted.outcomes.push(answer);
  }
  return attempted;
}

function failed(outcome: Outcome, item: Item): ItemResult {
  return { data: outcome, consent: outcome, externalIds: item.externalIds };
}

/** The gate closes between the calls of a batch: what was called is not known to be complete, the rest was not called. */
async function answersOf(run: () => Promise<ItemResult[]>, count: number): Promise<ItemResult[]> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof GateClosed)) throw error;
    const outcome: Outcome = { kind: 'unknown', code: 'budget_closed_between_calls' };
    return Array.from({ length: count }, () => ({ data: outcome, consent: outcome, externalIds: [] }));
  }
}

function differencesOf(one: Work, reading: Reading, runtime: SystemRuntime): ReturnType<typeof compareReading> {
  if (reading === undefined) return { fields: [], consents: [], key: false, presence: false };
  return compareReading(one.item.want, reading, runtime.rules, runtime.capabilities, one.item.identity);
}

/** Reads back what was written; an early mismatch is read again before it counts, since vendors show writes late. */
async function verifyAll(
  context: Running,
  gate: EngineGate,
  delivered: Work[],
  outcomes: Map<Work, ItemResult>,
  readings: Map<Work, Reading>,
): Promise<void> {
  const { runtime } = context;
  let open = delivered.filter((one) => {
    const answer = outcomes.get(one);
    if (answer === undefined) return false;
    one.item.externalIds = answer.externalIds.length > 0 ? answer.externalIds : one.item.externalIds;
    return [answer.data, answer.consent].some((o) => o.kind === 'applied' || o.kind === 'unchanged');
  });
  for (let round = 0; open.length > 0; round += 1) {
    const read = await readBack(gate, runtime, open);
    for (const [one, reading] of read) if (reading !== undefined) readings.set(one, reading);
    open = open.filter((one) => readings.has(one) && hasDifferences(differencesOf(one, readings.get(one), runtime)));
    const pauseMs = REREAD_MS[round];
    if (open.length === 0 || pauseMs === undefined) return;
    await context.turn.waiting(async () => sleep(pauseMs));
    context.onWaited(pauseMs);
  }
}

async function readBack(gate: EngineGate, runtime: SystemRuntime, work: Work[]): Promise<Map<Work, Reading>> {
  const read = new Map<Work, Reading>();
  const size = runtime.capabilities.verifyBatch;
  for (let at = 0; at < work.length; at += size) {
    const some = work.slice(at, at + size);
    try {
      const answers = await runtime.connector.verify(
        some.map((w) => w.item),
        gate,
      );
      for (const [index, one] of some.entries()) {
        const answer = answers[index];
        read.set(one, answer === undefined || (answer !== null && 'unread' in answer) ? undefined : answer);
      }
    } catch (error) {
      if (!(error instanceof GateClosed)) throw error;
      for (const one of some) read.set(one, undefined);
    }
  }
  return read;
}
