/** How many batches a system has in flight at once, of each class. */
import type { DueClass } from '../store/claims.ts';
import type { SystemRuntime } from './deps.ts';

/** Batches of a class in flight at most. */
const MANY = 6;
/** Weight of the last batch among all that were timed. */
const WEIGHT = 0.2;

/** A batch of bulk that has ended. */
export interface TimedBatch {
  ms: number;
  /** What it waited for tokens, connections and more urgent work, which is not its own time. */
  waitedMs: number;
  /** What its calls were out. */
  vendorMs: number;
  calls: number;
}

/**
 * Urgent and live have places that bulk cannot take. Bulk has as many as are of use, since what is urgent of a contact waits for the batch
 * that it is in. Where the account allows some calls a second, that is what keeps its rate in use (Little's law: the rate times what a call
 * takes, with our own work around it) and one more; else what keeps this process busy while calls are out, and one more.
 */
export class BatchPlaces {
  readonly #runtime: Pick<SystemRuntime, 'concurrency' | 'callsPerSecond'>;
  #secondsPerCall: number | null = null;
  /** Of a batch's time, what is not the vendor's. */
  #ownShare: number | null = null;

  constructor(runtime: Pick<SystemRuntime, 'concurrency' | 'callsPerSecond'>) {
    this.#runtime = runtime;
  }

  now(): Record<DueClass, number> {
    const { concurrency, callsPerSecond } = this.#runtime;
    const many = Math.max(1, Math.min(MANY, concurrency - 1));
    const needed =
      callsPerSecond === null
        ? Math.ceil(1 / (this.#ownShare ?? 1 / MANY))
        : Math.ceil(callsPerSecond * (this.#secondsPerCall ?? 0));
    return { urgent: 2, live: Math.max(1, Math.ceil(many / 2)), bulk: Math.min(many, Math.max(2, needed + 1)) };
  }

  tookBulk({ ms, waitedMs, vendorMs, calls }: TimedBatch): void {
    const workedMs = ms - waitedMs;
    // Of calls that waited side by side the sum says nothing.
    if (calls === 0 || workedMs <= 0) return;
    // One that timed out must not count for the next twenty.
    const longest = MANY / (this.#runtime.callsPerSecond ?? 1);
    this.#secondsPerCall = averaged(this.#secondsPerCall, Math.min(longest, workedMs / 1000 / calls));
    this.#ownShare = averaged(this.#ownShare, Math.max(1 / MANY, (workedMs - vendorMs) / workedMs));
  }
}

function averaged(before: number | null, now: number): number {
  return before === null ? now : before * (1 - WEIGHT) + now * WEIGHT;
}
