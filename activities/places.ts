/** How many batches a system has in flight at once, of each class. */
import type { DueClass } from '../store/claims.ts';
import type { SystemRuntime } from './deps.ts';

/** Batches of a class in flight at most. */
const MANY = 6;
/** Weight of the last batch among all that were timed. */
const WEIGHT = 0.2;

/**
 * Urgent and live have places that bulk cannot take. Where the account allows some calls a second, bulk has as many as keep that rate in use
 * (Little's law: the rate times what a call takes, with our own work around it) and one more: others would not be faster, they would hold
 * their contacts while they wait for a token, and what is urgent of these contacts waits with them.
 */
export class BatchPlaces {
  readonly #runtime: Pick<SystemRuntime, 'concurrency' | 'callsPerSecond'>;
  #secondsPerCall: number | null = null;

  constructor(runtime: Pick<SystemRuntime, 'concurrency' | 'callsPerSecond'>) {
    this.#runtime = runtime;
  }

  now(): Record<DueClass, number> {
    const { concurrency, callsPerSecond } = this.#runtime;
    const many = Math.max(1, Math.min(MANY, concurrency - 1));
    const needed = callsPerSecond === null ? many : Math.ceil(callsPerSecond * (this.#secondsPerCall ?? 0)) + 1;
    return { urgent: 2, live: Math.max(1, Math.ceil(many / 2)), bulk: Math.min(many, Math.max(2, needed)) };
  }

  /** @param timed.waitedMs what it waited for tokens, connections and more urgent work, which is not its own time */
  tookBulk(timed: { ms: number; waitedMs: number; calls: number }): void {
    // Of calls that waited side by side the sum says nothing.
    if (timed.calls === 0 || timed.waitedMs >= timed.ms) return;
    // One that timed out must not count for the next twenty.
    const longest = MANY / (this.#runtime.callsPerSecond ?? 1);
    const each = Math.min(longest, (timed.ms - timed.waitedMs) / 1000 / timed.calls);
    this.#secondsPerCall = this.#secondsPerCall === null ? each : this.#secondsPerCall * (1 - WEIGHT) + each * WEIGHT;
  }
}
