/** The account's budget as a connector sees it: every call takes from it, and none is made when it cannot be read. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gate, LimitReading } from '../connectors/kit/connector.ts';
import { GateClosed } from '../connectors/kit/connector.ts';
import { CALL_CLASSES } from '../domain/call-class.ts';
import type { CallClass } from '../domain/call-class.ts';
import { endCalls, observeLimits, refundCall, takeCall } from '../store/budgets.ts';
import type { Db } from '../store/db.ts';
import type { Meter } from '../telemetry/metrics.ts';
import type { Turn } from './precedence.ts';

export interface GateOptions {
  db: Db;
  /** Whose calls these are: while they wait nobody gives way to it, and when it is hurried they are urgent. */
  turn?: Turn;
  account: string;
  callClass: CallClass;
  callTimeoutMs: number;
  concurrency: number;
  /**
   * Fires when whoever waits for a token is to give up (a pause, shutdown, for bulk the drain's bound). Calls under way go on, and so does a batch
   * that has begun: half a batch would be of unknown outcome.
   */
  closing: AbortSignal;
  /** Give up between calls too: for scans, which can go on from their cursor. */
  stopsBetweenCalls?: boolean;
  /** Longer waits than this end the attempt instead of keeping a place. */
  longestWaitMs: number;
  onCall?: (name: string) => void;
  /** What a call spent on getting its token and its connection, also where it got none. */
  onWaited?: (ms: number) => void;
  /** A call has ended. */
  onCalled?: (name: string, seconds: number, isFailed: boolean) => void;
  /** Where calls are counted, under which system. */
  meter: Meter;
  system: string;
}

const NEVER = new AbortController().signal;

/** Places of an account that calls of each class leave to more urgent ones. */
const LEFT_FREE: Record<CallClass, number> = { urgent: 0, live: 1, bulk: 2, scan: 2 };

/**
 * Places for calls of one account within this process, so that whoever waits for a connection waits here and does not ask the
 * database again and again. The most urgent waiter goes first.
 */
class Places {
  #taken = 0;
  readonly #waiting: Record<CallClass, (() => void)[]> = { urgent: [], live: [], bulk: [], scan: [] };

  async take(limit: number, callClass: CallClass, closing: AbortSignal): Promise<void> {
    const mine = Math.max(1, limit - LEFT_FREE[callClass]);
    while (this.#taken >= mine) {
      if (closing.aborted) throw new GateClosed(0);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          closing.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting[callClass].push(wake);
        closing.addEventListener('abort', wake, { once: true });
      });
    }
    if (closing.aborted) throw new GateClosed(0);
    this.#taken += 1;
  }

  free(): void {
    this.#taken -= 1;
    // All heads are woken: who may not take the place yet waits again.
    for (const callClass of CALL_CLASSES) this.#waiting[callClass].shift()?.();
  }
}

/** Connections of ended calls are given back with the next call that is taken, or after this time. */
const GIVE_BACK_MS = 20;
/** What headers say of the limits is written once in this time: the strictest of it. */
const OBSERVE_MS = 50;

/** What this process knows of an account. */
class Account {
  readonly places = new Places();
  readonly #db: Db;
  readonly #name: string;
  #ended: string[] = [];
  #givesBack = false;
  #reading: LimitReading | null = null;

  constructor(db: Db, name: string) {
    this.#db = db;
    this.#name = name;
  }

  /** Slots to give back together with the next call. */
  takeEnded(): string[] {
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  end(slot: string): void {
    this.#ended.push(slot);
    if (this.#givesBack) return;
    this.#givesBack = true;
    setTimeout(() => {
      this.#givesBack = false;
      const ended = this.takeEnded();
      // A slot that cannot be freed now runs out by itself.
      if (ended.length > 0) endCalls(this.#db, ended).catch(() => undefined);
    }, GIVE_BACK_MS);
  }

  observe(reading: LimitReading): void {
    if (reading.blockedForMs !== undefined) {
      void this.#write(reading);
      return;
    }
    if (reading.remaining === undefined && reading.dayRemaining === undefined) return;
    const waits = this.#reading !== null;
    this.#reading = {
      ...lesser('remaining', this.#reading, reading),
      ...lesser('dayRemaining', this.#reading, reading),
    };
    if (waits) return;
    setTimeout(() => {
      const strictest = this.#reading;
      this.#reading = null;
      if (strictest !== null) void this.#write(strictest);
    }, OBSERVE_MS);
  }

  async #write(reading: LimitReading): Promise<void> {
    await observeLimits(this.#db, this.#name, reading).catch(() => undefined);
  }
}

function lesser(
  of: 'remaining' | 'dayRemaining',
  a: LimitReading | null,
  b: LimitReading,
): { remaining?: number; dayRemaining?: number } {
  const said = [a?.[of], b[of]].filter((n) => n !== undefined);
  return said.length === 0 ? {} : { [of]: Math.min(...said) };
}

const accounts = new WeakMap<Db, Map<string, Account>>();

function accountOf(db: Db, name: string): Account {
  const known = accounts.get(db) ?? new Map<string, Account>();
  accounts.set(db, known);
  const found = known.get(name) ?? new Account(db, name);
  known.set(name, found);
  return found;
}

export interface EngineGate extends Gate {
  /** Waits for the first token now, so that the record is loaded after it was had. @returns milliseconds waited */
  prepay(): Promise<number>;
  /** Gives an unused prepaid token back. */
  refund(): Promise<void>;
}

export function openGate(options: GateOptions): EngineGate {
  const { db, account, callTimeoutMs } = options;
  let prepaid: string | null = null;

  const pause = async (ms: number, closing: AbortSignal): Promise<void> => {
    try {
      await sleep(ms, undefined, { signal: closing });
    } catch {
      throw new GateClosed(0);
    }
  };

  const shared = accountOf(db, account);
  const local = shared.places;

  const callClass = (): CallClass => (options.turn?.isHurried === true ? 'urgent' : options.callClass);

  async function acquire(closing: AbortSignal): Promise<string> {
    const asked = performance.now();
    await local.take(options.concurrency, callClass(), closing);
    try {
      return await acquireToken(closing);
    } catch (error) {
      local.free();
      throw error;
    } finally {
      options.onWaited?.(performance.now() - asked);
    }
  }

  async function acquireToken(closing: AbortSignal): Promise<string> {
    const slot = randomUUID();
    for (;;) {
      if (closing.aborted) throw new GateClosed(0);
      let waitMs: number;
      try {
        waitMs = await takeCall(db, account, callClass(), slot, callTimeoutMs + 5_000, shared.takeEnded());
      } catch (error) {
        throw new GateClosed(1_000, { cause: error });
      }
      if (waitMs === 0) return slot;
      if (waitMs > options.longestWaitMs) throw new GateClosed(waitMs);
      await pause(waitMs, closing);
    }
  }

  const waiting = async <T>(wait: () => Promise<T>): Promise<T> =>
    options.turn === undefined ? wait() : options.turn.waiting(wait);

  return {
    concurrency: Math.max(1, options.concurrency - 1),
    get isHurried() {
      return options.turn?.isHurried === true;
    },
    async prepay() {
      const started = performance.now();
      prepaid ??= await waiting(async () => acquire(options.closing));
      return performance.now() - started;
    },
    async refund() {
      if (prepaid === null) return;
      const slot = prepaid;
      prepaid = null;
      local.free();
      await refundCall(db, account, slot).catch(() => undefined);
    },
    async call(name, fn) {
      let slot = prepaid;
      prepaid = null;
      slot ??= await waiting(async () => acquire(options.stopsBetweenCalls === true ? options.closing : NEVER));
      options.onCall?.(name);
      const started = performance.now();
      let isFailed = true;
      try {
        const answer = await waiting(async () => fn(AbortSignal.timeout(callTimeoutMs)));
        isFailed = false;
        return answer;
      } finally {
        const seconds = (performance.now() - started) / 1000;
        options.meter.call(options.system, options.callClass, seconds, isFailed);
        options.onCalled?.(name, seconds, isFailed);
        local.free();
        shared.end(slot);
      }
    },
    observe(reading: LimitReading) {
      if (reading.blockedForMs !== undefined) options.meter.limited(options.system, reading.reason ?? 'unnamed');
      shared.observe(reading);
    },
  };
}
