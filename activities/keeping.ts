/** Small steps of the lane: getting a system ready, changing its state, what to show of it. */
import { ApplicationFailure } from '@temporalio/common';
import { ConnectorStop, GateClosed } from '../connectors/kit/connector.ts';
import { FaultType } from '../domain/faults.ts';
import { retryDeliveries } from '../store/marks.ts';
import { appendAudit } from '../store/audit.ts';
import { rows } from '../store/db.ts';
import { getRun } from '../store/runs.ts';
import { backlog, getSystem, noteError, setSystemState } from '../store/systems.ts';
import type { SystemState } from '../store/systems.ts';
import { Context } from '@temporalio/activity';
import type { Deps } from './deps.ts';
import { runtimeOf } from './deps.ts';
import { openGate } from './gate.ts';

export interface LaneView {
  state: SystemState;
  code: string | null;
  due: number;
  urgent: number;
  oldestSeconds: number | null;
  problems: number;
  lastError: string | null;
}

export async function viewLane(deps: Deps, system: string): Promise<LaneView> {
  const found = await getSystem(deps.db, system);
  if (found === undefined) throw ApplicationFailure.nonRetryable('no such system', FaultType.NotConfigured);
  const waiting = await backlog(deps.db, system);
  return { state: found.state, code: found.stateCode, ...waiting, lastError: found.lastError };
}

/** Checks credentials, scopes, properties; creates what is ours to create there. Problems pause the lane and are kept for the operator. */
export async function checkSystem(deps: Deps, system: string): Promise<string[]> {
  const runtime = runtimeOf(deps, system);
  const gate = openGate({
    db: deps.db,
    account: runtime.account,
    system: runtime.name,
    meter: deps.meter,
    callClass: 'live',
    callTimeoutMs: runtime.callTimeoutMs,
    concurrency: runtime.concurrency,
    closing: Context.current().cancellationSignal,
    stopsBetweenCalls: true,
    longestWaitMs: 20_000,
  });
  try {
    const problems = await runtime.connector.check(gate);
    if (problems.length > 0) {
      await noteError(deps.db, system, problems.join(' '));
      await setSystemState(deps.db, system, 'paused', 'check_failed', { actor: 'lane', door: 'engine' });
    }
    return problems;
  } catch (error) {
    if (error instanceof GateClosed) {
      throw ApplicationFailure.create({
        message: 'the account has no calls left for now',
        type: FaultType.VendorUnavailable,
        nextRetryDelay: Math.max(1_000, Math.min(error.afterMs, 300_000)),
      });
    }
    if (error instanceof ConnectorStop && error.outcome.kind === 'unauthorised') {
      await noteError(deps.db, system, error.outcome.code);
      await setSystemState(deps.db, system, 'paused', 'unauthorised', { actor: 'lane', door: 'engine' });
      return [error.outcome.code];
    }
    throw error;
  }
}

/**
 * The first complete scan has ended: from now on the lane may create. Where connecting the system would unsubscribe more people than the
 * brake allows, nothing is written before an operator has seen the numbers and resumes.
 */
export async function openSystem(deps: Deps, system: string, runId: string): Promise<void> {
  const run = await getRun(deps.db, runId);
  const { withoutConsent = 0, compared = 0 } = run?.counts ?? {};
  await rows(
    deps.db,
    'update systems set scan_completed_at = coalesce(scan_completed_at, clock_timestamp()) where name = ?',
    [system],
  );
  const writer = { actor: 'lane', door: 'engine' } as const;
  if (withoutConsent > Math.max(deps.brake.minimum, compared * deps.brake.maxShare)) {
    await noteError(
      deps.db,
      system,
      `Connecting it would unsubscribe ${withoutConsent} of ${compared} known people who have no consent on file. Resume to do so.`,
    );
    await setSystemState(deps.db, system, 'paused', 'first_scan_brake', writer);
    return;
  }
  await setSystemState(deps.db, system, 'open', null, writer);
}

export type LaneCommand = { kind: 'pause' } | { kind: 'resume' } | { kind: 'retry'; contactId?: string };

/** An operator's command from the Temporal UI; the API and CLI write the same rows themselves. @returns contacts marked by a retry */
export async function commandLane(deps: Deps, system: string, command: LaneCommand): Promise<number> {
  const writer = { actor: 'temporal-ui', door: 'operator' as const };
  switch (command.kind) {
    case 'pause':
      await setSystemState(deps.db, system, 'paused', 'by_operator', writer);
      return 0;
    case 'resume': {
      const found = await getSystem(deps.db, system);
      if (found === undefined || found.state === 'open') return 0;
      await setSystemState(deps.db, system, found.scanCompletedAt === null ? 'scanning' : 'open', null, writer);
      await noteError(deps.db, system, null);
      return 0;
    }
    case 'retry': {
      const marked = await retryDeliveries(deps.db, {
        system,
        ...(command.contactId === undefined ? {} : { contactId: command.contactId }),
      });
      await appendAudit(deps.db, { kind: 'lane.retry', ...writer, system, detail: { marked } });
      return marked;
    }
  }
}

/** From when changes at the vendor are to be read, with some overlap; null where it was never read. */
export async function changesFrom(deps: Deps, system: string): Promise<string> {
  const found = await getSystem(deps.db, system);
  const from = found?.changesReadTo ?? found?.scanCompletedAt ?? deps.now();
  return new Date(Date.parse(from) - 60_000).toISOString();
}

export async function noteChangesRead(deps: Deps, system: string, until: string): Promise<void> {
  await rows(deps.db, 'update systems set changes_read_to = greatest(changes_read_to, ?::timestamptz) where name = ?', [
    until,
    system,
  ]);
}
