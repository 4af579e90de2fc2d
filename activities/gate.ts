/** The account's budget as a connector sees it: every call takes from it, and none is made when it cannot be read. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gate, LimitReading } from '../connectors/kit/connector.ts';
import { GateClosed } from '../connectors/kit/connector.ts';
import { endCall, observeLimits, takeCall } from '../store/budgets.ts';
import type { CallClass } from '../store/budgets.ts';
import type { Db } from '../store/db.ts';

export interface GateOptions {
  db: Db;
  account: string;
  callClass: CallClass;
  callTimeoutMs: number;
  concurrency: number;
  /**
   * Fires when whoever waits for a token is to give up (the drain's bound, a pause, shutdown). Calls under way go on, and so does a batch
   * that has begun: half a batch would be of unknown outcome.
   */
  closing: AbortSignal;
  /** Give up between calls too: for scans, which can go on from their cursor. */
  stopsBetweenCalls?: boolean;
  /** Longer waits than this end the attempt instead of keeping a place. */
  longestWaitMs: number;
  onCall?: (name: string) => void;
}

const NEVER = new AbortController().signal;

/** Places of an account that calls of each class leave to more urgent ones. */
const LEFT_FREE: Record<CallClass, number> = { urgent: 0, live: 1, bulk: 2, scan: 2 };
const CLASSES = ['urgent', 'live', 'bulk', 'scan'] as const;

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
    for (const callClass of CLASSES) this.#waiting[callClass].shift()?.();
  }
}

const places = new Map<string, Places>();

function placesOf(account: string): Places {
  let found = places.get(account);
  if (found === undefined) {
    found = new Places();
    places.set(account, found);
  }
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

  const local = placesOf(account);

  async function acquire(closing: AbortSignal): Promise<string> {
    await local.take(options.concurrency, options.callClass, closing);
    try {
      return await acquireToken(closing);
    } catch (error) {
      local.free();
      throw error;
    }
  }

  async function acquireToken(closing: AbortSignal): Promise<string> {
    const slot = randomUUID();
    for (;;) {
      if (closing.aborted) throw new GateClosed(0);
      let waitMs: number;
      try {
        waitMs = await takeCall(db, account, options.callClass, slot, callTimeoutMs + 5_000);
      } catch {
        throw new GateClosed(1_000);
      }
      if (waitMs === 0) return slot;
      if (waitMs > options.longestWaitMs) throw new GateClosed(waitMs);
      await pause(waitMs, closing);
    }
  }

  return {
    concurrency: Math.max(1, options.concurrency - 1),
    async prepay() {
      const started = performance.now();
      prepaid ??= await acquire(options.closing);
      return performance.now() - started;
    },
    async refund() {
      if (prepaid === null) return;
      const slot = prepaid;
      prepaid = null;
      local.free();
      await endCall(db, account, slot, true).catch(() => undefined);
    },
    async call(name, fn) {
      let slot = prepaid;
      prepaid = null;
      slot ??= await acquire(options.stopsBetweenCalls === true ? options.closing : NEVER);
      options.onCall?.(name);
      try {
        return await fn(AbortSignal.timeout(callTimeoutMs));
      } finally {
        local.free();
        // A slot that cannot be freed now runs out by itself; the call's result must not wait for it.
        endCall(db, account, slot).catch(() => undefined);
      }
    },
    observe(reading: LimitReading) {
      observeLimits(db, account, reading).catch(() => undefined);
    },
  };
}
