/**
 * One batch of one system: token, load, project, skip what is unchanged, call, read back, record.
 *
 * The record is loaded after the token was had, so that the newest state goes out and ten edits become one call.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { GateClosed } from '../connectors/kit/connector.ts';
import type { Item, ItemResult, Observation } from '../connectors/kit/connector.ts';
import { parseEmail } from '../domain/address.ts';
import { hasDifferences } from '../domain/compare.ts';
import { isSuccess } from '../domain/outcome.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { Want } from '../domain/want.ts';
import { classOf, openCall } from '../store/claims.ts';
import type { Due } from '../store/claims.ts';
import { addNorms, loadForDelivery } from '../store/load.ts';
import type { Loaded } from '../store/load.ts';
import { handOver, suppliers } from '../store/handover.ts';
import { recordBatch } from '../store/record.ts';
import type { Recorded } from '../store/record.ts';
import { forgetRecords } from '../store/vendor-records.ts';
import { BatchTrace } from '../telemetry/batch-trace.ts';
import type { Deps, SystemRuntime } from './deps.ts';
import { openGate } from './gate.ts';
import type { EngineGate } from './gate.ts';
import { compareReading, judge, settledWithoutCall, stricterPurposes } from './judging.ts';
import { giveWay, goFirst } from './precedence.ts';
import { idsFor, itemFor, planOne } from './planning.ts';
import type { Planned } from './planning.ts';
import { recordWithdrawals } from './withdrawals.ts';

export interface BatchContext {
  deps: Deps;
  runtime: SystemRuntime;
  token: number;
  closing: AbortSignal;
  /** The last batches needed a call for nearly all of theirs: the token is taken first, and the record loaded once, after it. */
  expectsCalls: boolean;
  onCall: (name: string) => void;
  /** So long it waited for a token, a connection, or more urgent work. */
  onWaited: (ms: number) => void;
}

export interface BatchReport {
  /** Contacts read back as wanted. */
  verified: number;
  unchanged: number;
  problems: number;
  /** Contacts to try again; with the vendor's delay and the commonest code, when all of the batch failed for the vendor's sake. */
  retries: number;
  trouble: { code: string; afterMs: number } | null;
  unauthorised: string | null;
  /** Contacts whose outcome waits to be folded. */
  late: string[];
  /** Share of what was claimed that needed a call: the next claims are made larger by it, so that batches go out full. */
  calledShare: number;
}

const HANDOVER_MS = 500;
const REREAD_MS = [150, 600] as const;
/** A wait for a token longer than this makes the load before it stale. */
const STALE_MS = 5;

type Work = { planned: Planned; item: Item };
/** A batch under way. `trace`: null where nobody traces. */
type Running = BatchContext & { trace: BatchTrace | null };

/** Runs one batch. Rejects with GateClosed when no token was to be had, LeaseLost when another drain has taken over. */
export async function runBatch(
  context: BatchContext,
  due: Due[],
  callClass: 'urgent' | 'live' | 'bulk',
): Promise<BatchReport> {
  const { deps, runtime } = context;
  const trace =
    deps.traces === null ? null : new BatchTrace({ traces: deps.traces, db: deps.db, system: runtime.name, callClass });
  const gate = openGate({
    db: deps.db,
    account: runtime.account,
    system: runtime.name,
    meter: deps.meter,
    callClass,
    callTimeoutMs: runtime.callTimeoutMs,
    concurrency: runtime.concurrency,
    closing: context.closing,
    longestWaitMs: 20_000,
    onCall: context.onCall,
    onWaited: context.onWaited,
    ...(trace === null ? {} : { onCalled: trace.called.bind(trace) }),
  });
  const giveWayTimed = async (): Promise<void> => {
    const asked = performance.now();
    await giveWay();
    context.onWaited(performance.now() - asked);
  };
  const attempt = async (): Promise<BatchReport> =>
    run({ ...context, trace }, gate, due, callClass === 'bulk' ? giveWayTimed : goOn);
  try {
    return await (callClass === 'urgent' ? goFirst(attempt) : attempt());
  } catch (error) {
    trace?.broke();
    throw error;
  } finally {
    await gate.refund();
  }
}

const goOn = (): Promise<void> => Promise.resolve();

async function run(
  context: Running,
  gate: EngineGate,
  due: Due[],
  betweenSteps: () => Promise<void>,
): Promise<BatchReport> {
  const { deps, runtime, token } = context;
  const startedAt = performance.now();
  await betweenSteps();
  if (context.expectsCalls) await gate.prepay();
  let planned = await plan(context, due);
  if (!context.expectsCalls && planned.work.length > 0) {
    const waitedMs = await gate.prepay();
    if (waitedMs > STALE_MS) planned = await plan(context, due);
  }
  const { settled } = planned;
  const calledShare = due.length === 0 ? 1 : planned.work.length / due.length;
  // What does not fit stays due and is claimed again.
  const called = planned.work.slice(0, runtime.capabilities.deliverBatch);
  const report: BatchReport = {
    calledShare,
    verified: 0,
    unchanged: settled.filter((s) => s.dataOutcome === 'unchanged').length,
    problems: settled.filter((s) => s.dataOutcome === 'suppressed' || s.dataOutcome === 'ambiguous').length,
    retries: 0,
    trouble: null,
    unauthorised: null,
    late: [],
  };
  if (called.length === 0) {
    report.late = await recordBatch(deps.db, runtime.name, token, null, settled);
    tell(context, settled);
    return report;
  }
  const callId = randomUUID();
  await betweenSteps();
  await openCall(
    deps.db,
    callId,
    runtime.name,
    token,
    called.map((w) => w.planned.loaded.contact.id),
  );
  const recorded = await deliverAndVerify(context, gate, called, betweenSteps);
  const all = [...settled, ...recorded.results];
  report.late = await recordBatch(deps.db, runtime.name, token, callId, all);
  tell(context, all);
  tellWaits(context, due, recorded.results, performance.now() - startedAt);
  const gone = recorded.results.flatMap((r, at) =>
    r.settled && r.verified?.presence === 'gone' ? (called[at]?.item.externalIds ?? []) : [],
  );
  if (gone.length > 0) await forgetRecords(deps.db, runtime.name, gone);
  return summarise(report, recorded.results, recorded.outcomes);
}

/** Counts what was recorded, and tells it of the changes it carries. */
function tell({ deps, runtime, trace }: Running, recorded: readonly Recorded[]): void {
  const counts = new Map<string, number>();
  for (const { dataOutcome } of recorded) counts.set(dataOutcome, (counts.get(dataOutcome) ?? 0) + 1);
  for (const [outcome, count] of counts) deps.meter.deliveries(runtime.name, outcome, count);
  trace?.recorded(recorded);
}

/** How long those that were read back had been due. */
function tellWaits({ deps, runtime }: BatchContext, due: Due[], results: readonly Recorded[], tookMs: number): void {
  const dueOf = new Map(due.map((d) => [d.contactId, d]));
  for (const { contactId, settled, verified } of results) {
    const claimed = settled && verified !== null ? dueOf.get(contactId) : undefined;
    if (claimed !== undefined) deps.meter.verified(runtime.name, classOf(claimed), (claimed.waitedMs + tookMs) / 1000);
  }
}

/** Loads and projects; splits into what needs a call and what is settled without one. */
async function plan(context: Running, due: Due[]): Promise<{ work: Work[]; settled: Recorded[] }> {
  const { deps, runtime } = context;
  const loaded = await loadForDelivery(
    deps.db,
    deps.keyring,
    runtime.name,
    due.map((d) => d.contactId),
  );
  await context.trace?.look(
    loaded.map(({ contact, events }) => ({
      contactId: contact.id,
      version: contact.version,
      lastEvent: Math.max(0, ...events.map((event) => event.id)),
    })),
  );
  await addNorms(
    deps.db,
    loaded.flatMap((l) => l.missingNorms.map((norm) => ({ contactId: l.contact.id, norm }))),
  );
  const statements = await deps.statements.of(loaded.flatMap((l) => [l, ...l.holders]).flatMap((l) => l.events));
  const work: Work[] = [];
  const settled: Recorded[] = [];
  for (const one of loaded) {
    const planned = planOne(one, runtime.rules, deps.purposes, statements);
    const { want } = planned;
    if (one.suppressed && one.contact.state === 'active') {
      const stop: Outcome = { kind: 'refused', code: 'erased_person' };
      settled.push({
        ...settledWithoutCall(planned, stop, { touched: true }),
        dataOutcome: 'suppressed',
        verified: null,
      });
      continue;
    }
    if (want.presence === 'carried' && hasOwnFormerRecord(one, want)) {
      work.push({ planned, item: leavingItem(planned, runtime) });
      continue;
    }
    if (want.presence === 'carried') {
      const waits = await handedOver(deps, runtime, planned, want);
      if (waits !== null) {
        settled.push(waits);
        continue;
      }
      settled.push(
        settledWithoutCall(planned, { kind: 'carried', by: want.carriedBy ?? '' }, { touched: planned.parts.data }),
      );
      continue;
    }
    if (!planned.parts.data && !planned.parts.consent) {
      settled.push(settledWithoutCall(planned, { kind: 'unchanged' }, { touched: false }));
      continue;
    }
    const ids = idsFor(planned, runtime.name, runtime.rules);
    if ('ambiguous' in ids) {
      const stop: Outcome = { kind: 'ambiguous', code: 'several_records_match' };
      settled.push({ ...settledWithoutCall(planned, stop, { touched: true }), verified: null });
      continue;
    }
    const item = itemFor(planned, runtime.name, ids.ids);
    if (ids.ids.length === 0 && !item.lookFirst && want.presence !== 'present') {
      settled.push(settledWithoutCall(planned, { kind: 'not_held' }, { touched: false }));
      continue;
    }
    work.push({ planned, item });
  }
  return { work, settled };
}

/**
 * A record under a shared address goes over to the contact that supplies it. An emptied contact is done only when that one was read
 * back: until then its data are still there.
 * @returns what to record while that is open; null when there is nothing to wait for
 */
async function handedOver(deps: Deps, runtime: SystemRuntime, planned: Planned, want: Want): Promise<Recorded | null> {
  const { loaded } = planned;
  const to = want.carriedBy ?? '';
  const ids = [...new Set([...loaded.externalIds, ...(loaded.ticket?.externalIds[runtime.name] ?? [])])];
  if (ids.length === 0) return null;
  const supplier = (await suppliers(deps.db, runtime.name, [to])).get(to);
  if (supplier === undefined) return null;
  const owns = supplier.externalIds.length > 0;
  if (!owns) await handOver(deps.db, runtime.name, to, ids);
  if (loaded.contact.state === 'active' || (owns && supplier.settled)) return null;
  const wait: Outcome = { kind: 'retry', code: 'next_holder_supplies', afterMs: HANDOVER_MS };
  return {
    ...settledWithoutCall(planned, wait, { touched: false }),
    settled: false,
    notBeforeMs: HANDOVER_MS,
    verified: null,
    externalIds: null,
  };
}

/** True where the contact was held under another address before it came to share one: that record is theirs alone and has to go. */
function hasOwnFormerRecord(loaded: Loaded, want: Want): boolean {
  const { knownKey } = loaded.ledger;
  if (loaded.externalIds.length === 0 || knownKey === null || want.key === null) return false;
  return keyOf(knownKey) !== keyOf(want.key);
}

function keyOf(address: string): string {
  const parsed = parseEmail(address);
  return parsed.ok ? parsed.key : address;
}

/** Leaves by the former address and our reference only: the record under the shared address is another's by now. */
function leavingItem(planned: Planned, runtime: SystemRuntime): Item {
  const item = itemFor(planned, runtime.name, planned.loaded.externalIds);
  const { knownKey } = planned.loaded.ledger;
  return {
    ...item,
    want: { presence: 'outside', key: null, fields: {}, consents: {} },
    lookFirst: false,
    identity: { addresses: knownKey === null ? [] : [knownKey], names: item.identity.names },
  };
}

type Reading = Observation | null | undefined;

async function deliverAndVerify(
  context: Running,
  gate: EngineGate,
  work: Work[],
  betweenSteps: () => Promise<void>,
): Promise<{ results: Recorded[]; outcomes: ItemResult[] }> {
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
    const answers = await attempt(
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
    await betweenSteps();
    context.trace?.to('read_back');
    await verifyAll(context, gate, toDeliver, outcomes, readings);
    await betweenSteps();
  }

  const results: Recorded[] = [];
  for (const one of work) {
    const answer = outcomes.get(one) ?? failed({ kind: 'unclassified', code: 'no_answer' }, one.item);
    const reading = readings.get(one);
    const shown = reading ?? answer.observation ?? null;
    const stricter = shown === null ? [] : stricterPurposes(one.planned, shown, runtime.rules, answer.consent);
    if (shown !== null && stricter.length > 0)
      await recordWithdrawals(context.deps, runtime, one.planned.loaded.contact.id, shown, stricter);
    results.push(judge(one.planned, answer, reading, differencesOf(one, reading, runtime), stricter));
  }
  return {
    results,
    outcomes: work.map((one) => outcomes.get(one) ?? failed({ kind: 'unclassified', code: 'no_answer' }, one.item)),
  };
}

function failed(outcome: Outcome, item: Item): ItemResult {
  return { data: outcome, consent: outcome, externalIds: item.externalIds };
}

/** The gate closes between the calls of a batch: what was called is not known to be complete, the rest was not called. */
async function attempt(run: () => Promise<ItemResult[]>, count: number): Promise<ItemResult[]> {
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
  context: BatchContext,
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
    await sleep(pauseMs);
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

function summarise(report: BatchReport, results: Recorded[], outcomes: ItemResult[]): BatchReport {
  for (const result of results) {
    if (!result.settled) report.retries += 1;
    else if (result.verified !== null && result.dataOutcome !== 'mismatch') report.verified += 1;
    else report.problems += 1;
  }
  const all = outcomes.flatMap((o) => [o.data, o.consent]);
  const refusedLogin = all.find((o) => o.kind === 'unauthorised');
  if (refusedLogin?.kind === 'unauthorised') report.unauthorised = refusedLogin.code;
  const vendorFaults = outcomes.map((o) => o.data).filter((o) => o.kind === 'retry' || o.kind === 'unknown');
  const [first] = vendorFaults;
  const resolvable = first !== undefined && (first.code === 'already_exists' || first.code === 'gone_at_vendor');
  if (
    first !== undefined &&
    !resolvable &&
    vendorFaults.length === outcomes.length &&
    !outcomes.some((o) => isSuccess(o.consent))
  ) {
    report.trouble = { code: first.code, afterMs: first.kind === 'retry' ? (first.afterMs ?? 0) : 0 };
  }
  return report;
}
