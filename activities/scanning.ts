/**
 * Reading all that a system holds: before anything is created there (first scan), every night (reconciliation), and what changed
 * of late (changes). Page by page with the cursor in the heart-beat, at the class of calls that yields to all other work.
 *
 * What differs is only noted while scanning; marks are made afterwards, under the brake. A consent that is stricter at the vendor is the
 * exception: it is a withdrawal and goes to the record at once.
 */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { ConnectorStop, GateClosed } from '../connectors/kit/connector.ts';
import type { Page } from '../connectors/kit/connector.ts';
import { FaultType } from '../domain/faults.ts';
import { knownStatements } from '../store/consents.ts';
import { oneRow } from '../store/db.ts';
import { getRun, startRun, updateRun } from '../store/runs.ts';
import type { RunKind } from '../store/runs.ts';
import { beginScratch, endedScan, endScan } from '../store/scan-scratch.ts';
import { comparedBy, takePage } from './comparing.ts';
import type { Scanning } from './comparing.ts';
import type { Deps, SystemRuntime } from './deps.ts';
import { runtimeOf } from './deps.ts';
import { openGate } from './gate.ts';
import { Turn } from './precedence.ts';

export interface ScanInput {
  system: string;
  runId: string;
  kind: Extract<RunKind, 'first_scan' | 'reconciliation' | 'changes'>;
  /** With `changes`: from when on. */
  since?: string;
}

export interface ScanCounts {
  pages: number;
  seen: number;
  compared: number;
  /** Of these: agreed before, and neither side has moved since. */
  unmoved: number;
  stricter: number;
  differing: number;
  missing: number;
  extra: number;
  /** Subscribed there without a consent on file: would be set to unsubscribed. */
  withoutConsent: number;
}

interface Progress {
  cursor: string | null;
  counts: ScanCounts;
}

const PAUSE_WHEN_CLOSED_MS = 1_000;
const ALIVE_MS = 4_000;

export async function scan(deps: Deps, input: ScanInput): Promise<ScanCounts> {
  const runtime = runtimeOf(deps, input.system);
  await startRun(deps.db, input.kind, input.system, input.runId);
  const run = await getRun(deps.db, input.runId);
  const startedAt = run?.startedAt ?? deps.now();
  const isComplete = input.kind !== 'changes';
  const ended = isComplete ? endedScan<ScanCounts>(run?.counts) : null;
  // By an attempt that was given up for dead.
  if (ended !== null) return ended;
  const reported = Context.current().info.heartbeatDetails as Progress | undefined;
  // What an earlier attempt had seen may be lost since: then its cursor is of no use.
  const saved = !isComplete || (await beginScratch(deps.db, input.runId)) ? reported : undefined;
  const counts: ScanCounts = saved?.counts ?? nothingYet();
  const statements = await knownStatements(deps.db);
  const rules = comparedBy(deps, runtime, statements);
  const turn = new Turn('scan');
  const scanning: Scanning = { deps, turn, runtime, input, statements, rules, counts };
  let cursor = saved?.cursor ?? undefined;
  let progress: Progress | undefined = saved;
  // Says between pages, and while it is ended, that the process lives; each vendor call has a time limit of its own.
  const context = Context.current();
  const alive = setInterval(() => context.heartbeat(progress), ALIVE_MS);
  try {
    // The next page is on its way while one is compared.
    let reading = saved === undefined || cursor !== undefined ? readPage(deps, runtime, input, cursor) : undefined;
    while (reading !== undefined) {
      const { page, readAt }: Read = await reading;
      cursor = page.cursor;
      reading = cursor === undefined ? undefined : readPage(deps, runtime, input, cursor);
      // Whoever waits for it is told of its failure; nobody does where this page fails first.
      reading?.catch(() => undefined);
      await takePage(scanning, page.observations, readAt);
      counts.pages += 1;
      progress = { cursor: cursor ?? null, counts: { ...counts } };
      context.heartbeat(progress);
    }
    if (isComplete) {
      const { runId, system } = input;
      return await endScan(
        deps.db,
        { runId, system, startedAt, notesMissing: input.kind === 'reconciliation' },
        counts,
      );
    }
  } finally {
    clearInterval(alive);
  }
  await updateRun(deps.db, input.runId, { counts: { ...counts } });
  return counts;
}

function nothingYet(): ScanCounts {
  return {
    pages: 0,
    seen: 0,
    compared: 0,
    unmoved: 0,
    stricter: 0,
    differing: 0,
    missing: 0,
    extra: 0,
    withoutConsent: 0,
  };
}

interface Read {
  page: Page;
  /** ISO 8601: when it was asked for. */
  readAt: string;
}

async function readPage(
  deps: Deps,
  runtime: SystemRuntime,
  input: ScanInput,
  cursor: string | undefined,
): Promise<Read> {
  const context = Context.current();
  for (;;) {
    const readAt = deps.now();
    const gate = openGate({
      db: deps.db,
      account: runtime.account,
      system: runtime.name,
      meter: deps.meter,
      callClass: 'scan',
      callTimeoutMs: runtime.callTimeoutMs,
      concurrency: runtime.concurrency,
      closing: context.cancellationSignal,
      stopsBetweenCalls: true,
      longestWaitMs: 5_000,
    });
    try {
      if (input.kind !== 'changes') return { readAt, page: await runtime.connector.scan(cursor, gate) };
      if (runtime.connector.changedSince === undefined) return { readAt, page: { observations: [] } };
      return { readAt, page: await runtime.connector.changedSince(input.since ?? readAt, cursor, gate) };
    } catch (error) {
      if (error instanceof GateClosed) {
        await context.sleep(Math.max(PAUSE_WHEN_CLOSED_MS, Math.min(error.afterMs, 5_000)));
        continue;
      }
      if (error instanceof ConnectorStop) throw failureOf(error);
      throw error;
    }
  }
}

function failureOf(stop: ConnectorStop): ApplicationFailure {
  const { outcome } = stop;
  if (outcome.kind === 'unauthorised') {
    return ApplicationFailure.nonRetryable(`vendor refuses our credentials: ${outcome.code}`, FaultType.Unauthorised);
  }
  const afterMs = outcome.kind === 'retry' ? outcome.afterMs : undefined;
  return ApplicationFailure.create({
    message: stop.message,
    type: FaultType.VendorUnavailable,
    ...(afterMs === undefined ? {} : { nextRetryDelay: afterMs }),
  });
}

/** Records that the ledger believes to be in a system: what the brake's share is of. */
export async function heldCount(deps: Deps, system: string): Promise<number> {
  const { n } = await oneRow<{ n: number }>(
    deps.db,
    `select count(*)::integer as n from deliveries where system = ? and presence = 'present'`,
    [system],
  );
  return n;
}
