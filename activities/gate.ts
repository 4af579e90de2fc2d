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
  /** Fires when whoever waits for a token is to give up (the drain's bound, a pause, shutdown). Calls under way go on. */
  closing: AbortSignal;
  /** Longer waits than this end the attempt instead of keeping a place. */
  longestWaitMs: number;
  onCall?: (name: string) => void;
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

  const pause = async (ms: number): Promise<void> => {
    try {
      await sleep(ms, undefined, { signal: options.closing });
    } catch {
      throw new GateClosed(0);
    }
  };

  async function acquire(): Promise<string> {
    const slot = randomUUID();
    for (;;) {
      if (options.closing.aborted) throw new GateClosed(0);
      let waitMs: number;
      try {
        waitMs = await takeCall(db, account, options.callClass, slot, callTimeoutMs + 5_000);
      } catch {
        throw new GateClosed(1_000);
      }
      if (waitMs === 0) return slot;
      if (waitMs > options.longestWaitMs) throw new GateClosed(waitMs);
      await pause(waitMs);
    }
  }

  return {
    concurrency: Math.max(1, options.concurrency - 1),
    async prepay() {
      const started = performance.now();
      prepaid ??= await acquire();
      return performance.now() - started;
    },
    async refund() {
      if (prepaid === null) return;
      const slot = prepaid;
      prepaid = null;
      await endCall(db, account, slot, true).catch(() => undefined);
    },
    async call(name, fn) {
      let slot = prepaid;
      prepaid = null;
      slot ??= await acquire();
      options.onCall?.(name);
      try {
        return await fn(AbortSignal.timeout(callTimeoutMs));
      } finally {
        // A slot that cannot be freed now runs out by itself; the call's result must not wait for it.
        endCall(db, account, slot).catch(() => undefined);
      }
    },
    observe(reading: LimitReading) {
      observeLimits(db, account, reading).catch(() => undefined);
    },
  };
}
