/**
 * One bounded drain of one system: as long as there is work, and a little longer for more, it keeps batches in flight under the
 * lane's lease. A vendor problem that lasts ends it as a failed attempt, so that Temporal retries it and its UI tells the truth.
 */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { GateClosed } from '../connectors/kit/connector.ts';
import { FaultType } from '../domain/faults.ts';
import { claimDue, ledgerSequence, LIVE_UP_TO, nextDueInMs, takeOverCalls } from '../store/claims.ts';
import type { Due, DueClass } from '../store/claims.ts';
import { LeaseLost, releaseLease, renewLease, takeLease } from '../store/leases.ts';
import { takeRechecks, takeRemarks, takeReviews } from '../store/marks.ts';
import { foldLateOutcomes } from '../store/record.ts';
import { forgetError, getSystem, noteError, setSystemState } from '../store/systems.ts';
import { runBatch } from './batch.ts';
import type { BatchReport } from './batch.ts';
import { Claims } from './claims.ts';
import type { Deps, SystemRuntime } from './deps.ts';
import { runtimeOf } from './deps.ts';
import { BatchPlaces } from './places.ts';
import type { Turn } from './precedence.ts';
import type { Wake } from './wakes.ts';

export interface DrainInput {
  system: string;
  /** Highest ledger sequence the lane has seen: a lower one in the database means a restored backup. */
  highestSequence: number;
}

export interface DrainResult {
  /** Why it ended. */
  ended: 'idle' | 'bound' | 'paused' | 'guarded' | 'scanning' | 'shutdown';
  verified: number;
  unchanged: number;
  problems: number;
  retries: number;
  calls: number;
  seconds: number;
  highestSequence: number;
  /** Milliseconds until something that waits for its time becomes due; null when nothing waits. */
  nextDueMs: number | null;
}

/** Whole batches that fail for the vendor's sake, one after the other, before the attempt fails. */
const TROUBLED_BATCHES_TO_FAIL = 3;
const HEARTBEAT_MS = 1_000;
/** So long past its bound a drain begins what is not bulk, while it waits for what is out. */
const OVERTIME_MS = 60_000;

export async function drain(deps: Deps, input: DrainInput): Promise<DrainResult> {
  const runtime = runtimeOf(deps, input.system);
  const state = await getSystem(deps.db, runtime.name);
  const sequence = await ledgerSequence(deps.db);
  const nothing = (ended: DrainResult['ended']): DrainResult => ({
    ended,
    verified: 0,
    unchanged: 0,
    problems: 0,
    retries: 0,
    calls: 0,
    seconds: 0,
    highestSequence: Math.max(sequence, ended === 'guarded' ? 0 : input.highestSequence),
    nextDueMs: null,
  });
  if (state === undefined) throw ApplicationFailure.nonRetryable('no such system', FaultType.NotConfigured);
  if (state.state === 'guarded') return { ...nothing('guarded'), highestSequence: input.highestSequence };
  if (sequence < input.highestSequence) {
    await setSystemState(deps.db, runtime.name, 'guarded', 'restored_database', { actor: 'lane', door: 'engine' });
    return { ...nothing('guarded'), highestSequence: input.highestSequence };
  }
  if (deps.stopping.aborted) return nothing('shutdown');
  if (state.state === 'paused') return nothing('paused');
  if (state.state === 'scanning') return nothing('scanning');
  return new Drain(deps, runtime, sequence).run();
}

class Drain {
  readonly #deps: Deps;
  readonly #runtime: SystemRuntime;
  readonly #places: BatchPlaces;
  readonly #started = performance.now();
  /** Ends waits for tokens, and the drain: at the bound, at a pause, at shutdown. */
  readonly #closing = new AbortController();
  /** Ends them for bulk, and begins no more of it: first thing at the bound. */
  readonly #closingBulk = new AbortController();
  readonly #bulkCloses = AbortSignal.any([this.#closing.signal, this.#closingBulk.signal]);
  readonly #claims: Claims;
  #token = 0;
  #failure: unknown = null;
  #ended: DrainResult['ended'] = 'idle';
  #troubled = 0;
  #trouble: { code: string; afterMs: number } | null = null;
  #sequence: number;
  #reSweep = true;
  #wake: Wake | null = null;
  readonly #totals = { verified: 0, unchanged: 0, problems: 0, retries: 0, calls: 0 };

  constructor(deps: Deps, runtime: SystemRuntime, sequence: number) {
    this.#deps = deps;
    this.#runtime = runtime;
    this.#places = new BatchPlaces(runtime);
    this.#claims = new Claims({
      db: deps.db,
      runtime,
      places: this.#places,
      begin: async (due, callClass, turn) => this.#work(due, callClass, turn),
    });
    this.#sequence = sequence;
  }

  async run(): Promise<DrainResult> {
    const { db, timing, wakes } = this.#deps;
    const context = Context.current();
    this.#token = await this.#lease();
    const ticker = setInterval(() => void this.#tick(), Math.min(HEARTBEAT_MS, timing.leaseMs / 3));
    const shutDown = (): void => this.#close('shutdown');
    context.cancellationSignal.addEventListener('abort', shutDown, { once: true });
    this.#deps.stopping.addEventListener('abort', shutDown, { once: true });
    this.#wake = wakes.open(this.#runtime.name);
    try {
      await this.#takeOver();
      await this.#loop(this.#wake);
      // Marked inactive first, then one more look: a change that was announced in between is not lost.
      this.#wake.close();
      if (
        this.#ended === 'idle' &&
        this.#failure === null &&
        (await claimDue(db, this.#runtime.name, { upTo: LIVE_UP_TO, urgent: 1, rest: 1 })).length > 0
      ) {
        this.#wake = wakes.open(this.#runtime.name);
        await this.#loop(this.#wake);
      }
    } finally {
      this.#wake.close();
      this.#closing.abort();
      await Promise.all(this.#claims.out());
      clearInterval(ticker);
      this.#deps.stopping.removeEventListener('abort', shutDown);
      await releaseLease(db, this.#runtime.name, this.#token).catch(() => undefined);
    }
    this.#deps.meter.drain(this.#runtime.name, this.#failure === null ? this.#ended : 'failed');
    if (this.#failure !== null) throw await this.#explain(this.#failure);
    // What went wrong before is over once something was read back again.
    if (this.#totals.verified > 0) await forgetError(db, this.#runtime.name);
    return {
      ended: this.#ended,
      ...this.#totals,
      seconds: Math.round((performance.now() - this.#started) / 100) / 10,
      highestSequence: Math.max(this.#sequence, await ledgerSequence(db)),
      nextDueMs: await nextDueInMs(db, this.#runtime.name),
    };
  }

  async #lease(): Promise<number> {
    const { db, owner, timing } = this.#deps;
    for (;;) {
      const lease = await takeLease(db, this.#runtime.name, owner, timing.leaseMs);
      if ('token' in lease) return lease.token;
      Context.current().heartbeat({ waiting: 'lease' });
      await Context.current().sleep(Math.min(lease.heldForMs + 10, HEARTBEAT_MS));
    }
  }

  async #takeOver(): Promise<void> {
    const { db } = this.#deps;
    const taken = await takeOverCalls(db, this.#runtime.name, this.#token);
    const folding = await foldLateOutcomes(db, this.#runtime.name);
    this.#claims.blockOnly([...taken.blocked, ...folding]);
  }

  async #tick(): Promise<void> {
    const { db, timing } = this.#deps;
    try {
      Context.current().heartbeat(this.#progress());
      if (!(await renewLease(db, this.#runtime.name, this.#token, timing.leaseMs))) {
        this.#fail(new LeaseLost(this.#runtime.name));
        return;
      }
      const state = await getSystem(db, this.#runtime.name);
      if (state?.state !== 'open') this.#close(state?.state === 'guarded' ? 'guarded' : 'paused');
    } catch (error) {
      this.#fail(error);
    }
  }

  #progress(): Record<string, unknown> {
    const seconds = (performance.now() - this.#started) / 1000;
    return {
      ...this.#totals,
      inFlight: this.#claims.contactsOut,
      perSecond: Math.round(((this.#totals.verified + this.#totals.unchanged) / Math.max(seconds, 1)) * 10) / 10,
      ...(this.#trouble === null ? {} : { trouble: this.#trouble.code }),
    };
  }

  /**
   * At the bound: begins no more bulk, and ends when what is out now has ended. That may take long where calls are few, and what is urgent
   * does not wait for it.
   */
  #closeBulk(): void {
    if (this.#closingBulk.signal.aborted) return;
    this.#closingBulk.abort();
    this.#claims.endBulk();
    void Promise.all(this.#claims.out()).then(() => this.#close('bound'));
  }

  #close(ended: DrainResult['ended']): void {
    if (!this.#closing.signal.aborted) this.#ended = ended;
    this.#closing.abort();
    this.#wake?.ring();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#closing.abort();
    this.#wake?.ring();
  }

  async #loop(wake: Wake): Promise<void> {
    const { db, timing } = this.#deps;
    let idleSince: number | null = null;
    let sweptAt = 0;
    while (!this.#closing.signal.aborted) {
      const now = performance.now();
      const overMs = now - this.#started - timing.drainMs;
      if (overMs > 0) this.#closeBulk();
      if (overMs > OVERTIME_MS) this.#close('bound');
      if (this.#closing.signal.aborted) break;
      if (this.#reSweep || now - sweptAt > timing.sweepMs) {
        sweptAt = now;
        this.#reSweep = false;
        await this.#sweep();
      }
      const started = await this.#claims.fill();
      const busy = this.#claims.out();
      if (busy.length === 0 && !started) {
        idleSince ??= now;
        const waitMs = (await nextDueInMs(db, this.#runtime.name)) ?? timing.lingerMs;
        const leftMs = timing.lingerMs - (now - idleSince);
        if (leftMs <= 0) return;
        const atLeastMs = this.#claims.areSomeBlocked ? 250 : 5;
        if (this.#claims.areSomeBlocked) this.#reSweep = true;
        const woken = await wake.wait(Math.max(atLeastMs, Math.min(leftMs, waitMs, timing.sweepMs, HEARTBEAT_MS)));
        if (woken) {
          idleSince = null;
          // A change may concern others who hold the same address: a withdrawal of theirs must not wait for the next sweep.
          await takeRemarks(db);
        }
        continue;
      }
      idleSince = null;
      if (!started && (await Promise.race([wake.wait(HEARTBEAT_MS), ...busy])) === true) await takeRemarks(db);
    }
  }

  /** What no wake tells of: later readings, other holders, reviews, folded outcomes, calls of earlier tokens. */
  async #sweep(): Promise<void> {
    const { db } = this.#deps;
    await takeRemarks(db);
    await takeRechecks(db, this.#runtime.name);
    await takeReviews(db, this.#runtime.name);
    await this.#takeOver();
  }

  async #work(due: Due[], callClass: DueClass, turn: Turn): Promise<void> {
    const startedAt = performance.now();
    const spent = { waitedMs: 0, calls: 0 };
    try {
      const report = await runBatch(
        {
          deps: this.#deps,
          runtime: this.#runtime,
          token: this.#token,
          turn,
          closing: callClass === 'bulk' ? this.#bulkCloses : this.#closing.signal,
          expectsCalls: this.#claims.expectsCalls,
          onCall: () => {
            this.#totals.calls += 1;
            spent.calls += 1;
          },
          onWaited: (ms) => (spent.waitedMs += ms),
        },
        due,
        callClass,
      );
      if (callClass === 'bulk') this.#places.tookBulk({ ...spent, ms: performance.now() - startedAt });
      this.#take(report);
      if (report.unauthorised !== null) await this.#pauseUnauthorised(report.unauthorised);
    } catch (error) {
      if (error instanceof GateClosed) {
        // No token now: the work stays due. A long wait is the vendor's limit and ends the attempt with its delay.
        if (error.cause !== undefined) this.#fail(unreadable(error));
        else if (error.afterMs > 0) this.#fail(tooLong(error.afterMs));
        return;
      }
      this.#fail(error);
    }
  }

  #take(report: BatchReport): void {
    this.#totals.verified += report.verified;
    this.#totals.unchanged += report.unchanged;
    this.#totals.problems += report.problems;
    this.#totals.retries += report.retries;
    if (report.late.length > 0) {
      this.#claims.block(report.late);
      this.#reSweep = true;
    }
    this.#claims.called(report.calledShare);
    this.#trouble = report.trouble;
    this.#troubled = report.trouble === null ? 0 : this.#troubled + 1;
    if (report.trouble !== null && this.#troubled >= TROUBLED_BATCHES_TO_FAIL) {
      this.#fail(
        ApplicationFailure.create({
          message: `vendor answers ${report.trouble.code}`,
          type: FaultType.VendorUnavailable,
          ...(report.trouble.afterMs > 0 ? { nextRetryDelay: report.trouble.afterMs } : {}),
        }),
      );
    }
  }

  /** Credentials or scopes are refused: the lane pauses itself, and says so once. */
  async #pauseUnauthorised(code: string): Promise<void> {
    const { db, log } = this.#deps;
    const first = await setSystemState(db, this.#runtime.name, 'paused', 'unauthorised', {
      actor: 'lane',
      door: 'engine',
    });
    if (first) {
      await noteError(db, this.#runtime.name, code);
      log.error(
        { system: this.#runtime.name, code },
        'The vendor refuses our credentials: the lane is paused. Mend them, then resume it.',
      );
    }
    this.#close('paused');
  }

  async #explain(failure: unknown): Promise<ApplicationFailure> {
    const known =
      failure instanceof ApplicationFailure
        ? failure
        : failure instanceof LeaseLost
          ? ApplicationFailure.retryable('another drain holds the lease', FaultType.LeaseLost)
          : ApplicationFailure.retryable(`the drain broke: ${nameOf(failure)}`, FaultType.StoreUnavailable);
    await noteError(this.#deps.db, this.#runtime.name, known.message).catch(() => undefined);
    if (!(failure instanceof ApplicationFailure) && !(failure instanceof LeaseLost)) {
      this.#deps.log.warn({ system: this.#runtime.name, fault: nameOf(failure) }, 'The drain broke and is tried again');
    }
    return known;
  }
}

function tooLong(afterMs: number): ApplicationFailure {
  return ApplicationFailure.create({
    message: 'the account has no calls left for now',
    type: FaultType.VendorUnavailable,
    nextRetryDelay: Math.min(afterMs, 300_000),
  });
}

function unreadable({ cause, afterMs }: GateClosed): ApplicationFailure {
  return ApplicationFailure.create({
    message: `the account's budget cannot be read, so no call is made: ${nameOf(cause)}`,
    type: FaultType.StoreUnavailable,
    nextRetryDelay: afterMs,
  });
}

/** Class and code of an error, never its text: texts of drivers quote values. */
export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const code = 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : '';
  return `${error.name}${code}`;
}
