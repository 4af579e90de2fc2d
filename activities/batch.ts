/**
 * One batch of one system: token, load, project, skip what is unchanged, call, read back, record.
 *
 * The record is loaded after the token was had, so that the newest state goes out and ten edits become one call.
 */
import { randomUUID } from 'node:crypto';
import { isSuccess } from '../domain/outcome.ts';
import { classOf, openCall } from '../store/claims.ts';
import type { Due, DueClass } from '../store/claims.ts';
import { recordBatch } from '../store/record.ts';
import type { Recorded } from '../store/record.ts';
import { forgetRecords } from '../store/vendor-records.ts';
import { BatchTrace } from '../telemetry/batch-trace.ts';
import { deliverAndVerify } from './attempt.ts';
import type { Attempted } from './attempt.ts';
import { openGate } from './gate.ts';
import type { EngineGate } from './gate.ts';
import { giveWay } from './running.ts';
import type { BatchContext, Running } from './running.ts';
import { triage } from './triage.ts';

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

/** A wait longer than this, since the record was loaded, makes that stale. */
const STALE_MS = 5;

/** Runs one batch. Rejects with GateClosed when no token was to be had, LeaseLost when another drain has taken over. */
export async function runBatch(context: BatchContext, due: Due[], callClass: DueClass): Promise<BatchReport> {
  const { deps, runtime, turn } = context;
  const trace =
    deps.traces === null ? null : new BatchTrace({ traces: deps.traces, db: deps.db, system: runtime.name, callClass });
  const gate = openGate({
    db: deps.db,
    turn,
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
  try {
    return await turn.run(async () => run({ ...context, trace }, gate, due));
  } catch (error) {
    trace?.broke();
    throw error;
  } finally {
    await gate.refund();
  }
}

async function run(context: Running, gate: EngineGate, due: Due[]): Promise<BatchReport> {
  const { deps, runtime, token } = context;
  const startedAt = performance.now();
  await giveWay(context);
  if (context.expectsCalls) await gate.prepay();
  let planned = await triage(context, due);
  if (!context.expectsCalls && planned.work.length > 0) {
    const waitedMs = await gate.prepay();
    if (planned.waitedMs + waitedMs > STALE_MS) planned = await triage(context, due);
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
  await openCall(
    deps.db,
    callId,
    runtime.name,
    token,
    called.map((w) => w.planned.loaded.contact.id),
  );
  const attempted = await deliverAndVerify(context, gate, called);
  const all = [...settled, ...attempted.results];
  report.late = await recordBatch(deps.db, runtime.name, token, callId, all);
  tell(context, all);
  tellWaits(context, due, attempted.results, performance.now() - startedAt);
  const gone = attempted.results.flatMap((r, at) =>
    r.settled && r.verified?.presence === 'gone' ? (attempted.work[at]?.item.externalIds ?? []) : [],
  );
  if (gone.length > 0) await forgetRecords(deps.db, runtime.name, gone);
  return summarise(report, attempted);
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

function summarise(report: BatchReport, { results, outcomes }: Attempted): BatchReport {
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
