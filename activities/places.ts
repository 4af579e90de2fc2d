/** How many batches a system has in flight at once, of each class. */
import type { DueClass } from '../store/claims.ts';
import type { SystemRuntime } from './deps.ts';

/** Batches of a class in flight at most. */
const MANY = 6;
/** At more calls a second than this one batch is prepared while others are out; at fewer, the next token comes later than that takes. */
const SLOW = 2;
/** Where no rate says how many: at least, and to begin with. */
const LEAST = 2;
const FIRST = 3;
/** What a call takes, with our own work around it, before one was timed: a loaded machine's, or a drain begins below its rate. */
const FIRST_SECONDS_PER_CALL = 0.3;
/** Weight of the last batch among all that were timed. */
const WEIGHT = 0.2;

/** So much of its time the thread is at work, and another batch would only make all of them slower. */
const FULL = 0.9;

/** A batch of bulk that has ended. */
export interface TimedBatch {
  ms: number;
  /** What it waited for tokens, connections, the vendor's own pace and more urgent work, which is not its own time. */
  waitedMs: number;
  calls: number;
}

/** Share of the time since it was last asked that this thread was at work. */
type Load = () => number;

/**
 * Urgent and live have places that bulk cannot take. Bulk has as many as are of use, since what is urgent of a contact waits for the batch
 * that it is in. Where the account allows some calls a second, that is what keeps its rate in use (Little's law: the rate times what a call
 * takes, with our own work around it) and one that is prepared; else it has one more as long as this thread is not full, and one less when
 * it is.
 */
export class BatchPlaces {
  readonly #runtime: Pick<SystemRuntime, 'concurrency' | 'callsPerSecond'>;
  readonly #load: Load;
  #secondsPerCall = FIRST_SECONDS_PER_CALL;
  #tried = FIRST;

  constructor(runtime: Pick<SystemRuntime, 'concurrency' | 'callsPerSecond'>, load: Load = loadOfThisThread()) {
    this.#runtime = runtime;
    this.#load = load;
  }

  now(): Record<DueClass, number> {
    const { concurrency, callsPerSecond } = this.#runtime;
    const many = Math.max(1, Math.min(MANY, concurrency - 1));
    let bulk = this.#tried;
    if (callsPerSecond !== null) {
      const out = Math.max(1, Math.ceil(callsPerSecond * this.#secondsPerCall));
      bulk = callsPerSecond <= SLOW ? out : out + 1;
    }
    return { urgent: 2, live: Math.max(1, Math.ceil(many / 2)), bulk: Math.min(many, bulk) };
  }

  tookBulk({ ms, waitedMs, calls }: TimedBatch): void {
    this.#tried = Math.max(LEAST, Math.min(MANY, this.#tried + (this.#load() > FULL ? -1 : 1)));
    // Of calls that waited side by side the sum says nothing.
    if (calls === 0 || waitedMs >= ms) return;
    // One that timed out must not count for the next twenty.
    const longest = MANY / (this.#runtime.callsPerSecond ?? 1);
    const each = Math.min(longest, (ms - waitedMs) / 1000 / calls);
    this.#secondsPerCall = this.#secondsPerCall * (1 - WEIGHT) + each * WEIGHT;
  }
}

function loadOfThisThread(): Load {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}
