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
import type { Observation, Page } from '../connectors/kit/connector.ts';
import { hasDifferences } from '../domain/compare.ts';
import type { ContactId } from '../domain/contact.ts';
import { FaultType } from '../domain/faults.ts';
import { knownStatements } from '../store/consents.ts';
import { oneRow } from '../store/db.ts';
import { reopenTicket } from '../store/erasure.ts';
import { loadForDelivery } from '../store/load.ts';
import { addDrifts, getRun, startRun, updateRun } from '../store/runs.ts';
import type { Drift, RunKind } from '../store/runs.ts';
import { clearSeen, forgetUnseen, missingFrom, ownersOf, saveSeen, tombstoned } from '../store/vendor-records.ts';
import type { Deps, SystemRuntime } from './deps.ts';
import { runtimeOf } from './deps.ts';
import { openGate } from './gate.ts';
import { compareReading, stricterPurposes } from './judging.ts';
import { idsFor, itemFor, planOne } from './planning.ts';
import { recordWithdrawals } from './withdrawals.ts';

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
const MISSING_PAGE = 1_000;

export async function scan(deps: Deps, input: ScanInput): Promise<ScanCounts> {
  const runtime = runtimeOf(deps, input.system);
  await startRun(deps.db, input.kind, input.system, input.runId);
  const run = await getRun(deps.db, input.runId);
  const startedAt = run?.startedAt ?? deps.now();
  const saved = Context.current().info.heartbeatDetails as Progress | undefined;
  const counts: ScanCounts = saved?.counts ?? {
    pages: 0,
    seen: 0,
    compared: 0,
    stricter: 0,
    differing: 0,
    missing: 0,
    extra: 0,
    withoutConsent: 0,
  };
  const statements = await knownStatements(deps.db);
  let cursor = saved?.cursor ?? undefined;
  let progress: Progress | undefined = saved;
  // Says between pages that the process lives; each vendor call has a time limit of its own.
  const context = Context.current();
  const alive = setInterval(() => context.heartbeat(progress), ALIVE_MS);
  try {
    for (let first = saved === undefined; first || cursor !== undefined; first = false) {
      const readAt = deps.now();
      const page = await readPage(deps, runtime, input, cursor);
      await takePage(deps, runtime, input, page.observations, readAt, statements, counts);
      counts.pages += 1;
      cursor = page.cursor;
      progress = { cursor: cursor ?? null, counts: { ...counts } };
      context.heartbeat(progress);
    }
  } finally {
    clearInterval(alive);
  }
  if (input.kind !== 'changes') {
    if (input.kind === 'reconciliation') await noteMissing(deps, input, startedAt, counts);
    await forgetUnseen(deps.db, input.system, input.runId, startedAt);
    await clearSeen(deps.db, input.runId);
  }
  await updateRun(deps.db, input.runId, { counts: { ...counts } });
  return counts;
}

async function readPage(
  deps: Deps,
  runtime: SystemRuntime,
  input: ScanInput,
  cursor: string | undefined,
): Promise<Page> {
  const context = Context.current();
  for (;;) {
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
      if (input.kind !== 'changes') return await runtime.connector.scan(cursor, gate);
      if (runtime.connector.changedSince === undefined) return { observations: [] };
      return await runtime.connector.changedSince(input.since ?? deps.now(), cursor, gate);
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

async function takePage(
  deps: Deps,
  runtime: SystemRuntime,
  input: ScanInput,
  observations: Observation[],
  readAt: string,
  statements: ReadonlySet<string>,
  counts: ScanCounts,
): Promise<void> {
  const { db, keyring } = deps;
  const present = observations.filter((o) => o.presence !== 'gone');
  const seen = present.map((o) => ({ ...o, consents: o.consents as Record<string, string> }));
  await saveSeen(db, keyring, runtime.name, input.kind === 'changes' ? null : input.runId, seen);
  counts.seen += present.length;
  const owners = await ownersOf(db, runtime.name, seen);
  const loaded = await loadForDelivery(db, keyring, runtime.name, [...new Set(owners.values())]);
  const byId = new Map(loaded.map((l) => [l.contact.id, l]));
  const erased = await tombstoned(
    db,
    keyring,
    seen.filter((s) => !owners.has(s.externalId)),
  );
  const found: Drift[] = [];
  for (const observation of present) {
    const owner = owners.get(observation.externalId) ?? erased.get(observation.externalId);
    if (owner === undefined) {
      counts.extra += 1;
      if (input.kind === 'reconciliation') {
        found.push({ kind: 'extra', contactId: null, externalId: observation.externalId, fields: [] });
      }
      continue;
    }
    counts.compared += 1;
    const drift = await compareOne(
      deps,
      runtime,
      input,
      observation,
      owner,
      byId.get(owner),
      readAt,
      statements,
      counts,
    );
    if (drift !== null) found.push(drift);
  }
  if (input.kind === 'reconciliation') await addDrifts(db, input.runId, runtime.name, found);
  counts.differing += found.filter((d) => d.kind !== 'extra' && d.kind !== 'stricter_at_vendor').length;
}

type LoadedOne = Awaited<ReturnType<typeof loadForDelivery>>[number];

async function compareOne(
  deps: Deps,
  runtime: SystemRuntime,
  input: ScanInput,
  observation: Observation,
  owner: ContactId,
  loaded: LoadedOne | undefined,
  readAt: string,
  statements: ReadonlySet<string>,
  counts: ScanCounts,
): Promise<Drift | null> {
  const base = { contactId: owner, externalId: observation.externalId };
  if (loaded === undefined || loaded.contact.state !== 'active') {
    return emptiedButPresent(deps, runtime, input, observation, owner, loaded);
  }
  const planned = planOne(loaded, runtime.rules, deps.purposes, statements);
  const stricter = stricterPurposes(planned, observation, runtime.rules, null);
  if (stricter.length > 0) {
    counts.stricter += 1;
    await recordWithdrawals(deps, runtime, owner, observation, stricter);
    return { ...base, kind: 'stricter_at_vendor', fields: [] };
  }
  const unsubscribing = Object.entries(planned.want.consents).some(
    ([target, want]) => want.state === 'unsubscribed' && observation.consents[target] === 'subscribed',
  );
  if (unsubscribing) counts.withoutConsent += 1;
  // Work that is due, or that was read back since this page was read, is the lane's business.
  if (loaded.ledger.wanted > loaded.ledger.settled) return null;
  if (loaded.ledger.verifiedAt === null || loaded.ledger.verifiedAt >= readAt) return null;
  if (!loaded.externalIds.includes(observation.externalId)) return null;
  const identity = itemFor(planned, runtime.name, loaded.externalIds).identity;
  const differs = compareReading(planned.want, observation, runtime.rules, runtime.capabilities, identity);
  if (!hasDifferences(differs)) return null;
  if (isKnownProblem(loaded, differs)) return null;
  const looser = differs.consents.some((target) => planned.want.consents[target]?.state === 'unsubscribed');
  return {
    ...base,
    kind: looser ? 'withdrawn_but_subscribed' : 'older_value',
    fields: [...differs.fields, ...differs.consents, ...(differs.key ? ['address'] : [])],
  };
}

/** A field that the vendor gives back different after a true write is a problem for a person, not a repair each night; so is what one accepted. */
function isKnownProblem(loaded: LoadedOne, differs: ReturnType<typeof compareReading>): boolean {
  const { dataOutcome, dataField } = loaded.ledger;
  if (
    (dataOutcome !== 'mismatch' && dataOutcome !== 'skipped') ||
    differs.consents.length > 0 ||
    differs.key ||
    differs.presence
  )
    return false;
  return differs.fields.every((field) => field === dataField);
}

async function emptiedButPresent(
  deps: Deps,
  runtime: SystemRuntime,
  input: ScanInput,
  observation: Observation,
  owner: ContactId,
  loaded: LoadedOne | undefined,
): Promise<Drift | null> {
  if (loaded !== undefined) {
    const { ledger } = loaded;
    if (ledger.wanted > ledger.settled) return null;
    // Lawfully kept, with its own date for another look: not found anew each night.
    if (ledger.dataOutcome === 'retained') return null;
    const statements = await knownStatements(deps.db);
    const planned = planOne(loaded, runtime.rules, deps.purposes, statements);
    const ids = idsFor(planned, runtime.name, runtime.rules);
    const identity = itemFor(planned, runtime.name, 'ids' in ids ? ids.ids : []).identity;
    const differs = compareReading(planned.want, observation, runtime.rules, runtime.capabilities, identity);
    if (!hasDifferences(differs)) return null;
  } else if (observation.presence === 'archived' && runtime.capabilities.erase !== 'privacy_delete') {
    return null;
  }
  if (input.kind === 'reconciliation') {
    await reopenTicket(deps.db, deps.keyring, owner, runtime.name, {
      externalId: observation.externalId,
      addresses: observation.addresses,
    });
  }
  return {
    kind: loaded?.contact.state === 'purged' ? 'purged_but_present' : 'erased_but_present',
    contactId: owner,
    externalId: observation.externalId,
    fields: [],
  };
}

async function noteMissing(deps: Deps, input: ScanInput, startedAt: string, counts: ScanCounts): Promise<void> {
  let after: string | null = null;
  for (;;) {
    const page = await missingFrom(deps.db, input.system, input.runId, startedAt, after, MISSING_PAGE);
    await addDrifts(
      deps.db,
      input.runId,
      input.system,
      page.map((m) => ({ kind: 'missing', contactId: m.contactId, externalId: m.externalId, fields: [] })),
    );
    counts.missing += page.length;
    after = page.at(-1)?.contactId ?? null;
    if (page.length < MISSING_PAGE) return;
  }
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
