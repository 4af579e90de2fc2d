/**
 * Who goes first for this process's own time. The vendors' budgets keep calls for what is urgent, but a bulk change or a scan also fills
 * the processor: between its steps, and within long ones, it lets urgent work of any system pass.
 */
import { setImmediate as nextRound } from 'node:timers/promises';
import type { CallClass } from '../domain/call-class.ts';

/** So long at most in one step, whatever is ahead: a token that was had for it must not wait long, or calls come to the vendor together. */
const LONGEST_MS = 300;
/** And before it begins, where no token is held. */
const LONGEST_BEFORE_MS = 1_000;
/** Whoever has many records to go through takes so long at a time. */
const STRETCH_MS = 5;
/** A wait of urgent work that is over before counts as work. */
const SOON_MS = 40;

/** `spare`: bulk for an account without a rate limit. It can be done at any time, while an unused token of a limited account is lost. */
export type Rank = CallClass | 'spare';
type Counted = 'urgent' | 'bulk';

/** To whom each gives way before it begins. Nobody does for live: somebody may be editing all day. */
const BEFORE: Record<Rank, readonly Counted[]> = {
  urgent: [],
  live: [],
  bulk: ['urgent'],
  spare: ['urgent', 'bulk'],
  scan: ['urgent'],
};
/** And once it has begun: what is urgent of a contact waits for the batch that it is in. */
const BEGUN: Record<Rank, readonly Counted[]> = { ...BEFORE, spare: ['urgent'] };

const active: Record<Counted, number> = { urgent: 0, bulk: 0 };
/** Called when one of them ends or stands back. */
const watching = new Set<() => void>();

/** The place of one batch among all of this process; of a scan, what lets others pass. */
export class Turn {
  readonly #rank: Rank;
  #isRunning = false;
  #waits = 0;
  #standsBack = false;
  #standingBack: NodeJS.Timeout | undefined;
  #stretchFrom = performance.now();
  #leftMs = LONGEST_MS;

  constructor(rank: Rank) {
    this.#rank = rank;
  }

  /** To be called before it runs. @returns milliseconds that it took */
  async letOthersFirst(): Promise<number> {
    return this.#spend(async () => this.#pass(BEFORE, LONGEST_BEFORE_MS));
  }

  /** Runs it: those behind give way meanwhile. */
  async run<T>(fn: () => Promise<T>): Promise<T> {
    this.#leftMs = LONGEST_MS;
    this.#isRunning = true;
    this.#standsBack = false;
    this.#count(1);
    try {
      return await fn();
    } finally {
      // One of several calls side by side may still be out, when another has failed.
      this.#standBack(true);
      this.#isRunning = false;
    }
  }

  /**
   * A wait, for a token or for the vendor: nobody gives way to it, unless it is urgent and answered soon. Then it is not worth beginning
   * something else, which would still be under way when the answer is there. Waits may be under way side by side.
   */
  async waiting<T>(wait: () => Promise<T>): Promise<T> {
    if (!this.#isRunning) return wait();
    if (this.#waits === 0 && this.#rank === 'urgent') {
      this.#standingBack = setTimeout(() => this.#standBack(true), SOON_MS);
    } else if (this.#waits === 0) {
      this.#standBack(true);
    }
    this.#waits += 1;
    try {
      return await wait();
    } finally {
      this.#waits -= 1;
      if (this.#waits === 0) this.#standBack(false);
    }
  }

  /** To be called between steps. @returns milliseconds that it took */
  async giveWay(): Promise<number> {
    this.#leftMs = LONGEST_MS;
    return this.#spend(async () => this.#pass(BEGUN, this.#leftMs));
  }

  /** To be called for each of many records of a step: the process looks after others now and then. @returns milliseconds that it took */
  async breathe(): Promise<number> {
    const isDue = BEGUN[this.#rank].length > 0 && performance.now() - this.#stretchFrom >= STRETCH_MS;
    if (!isDue || this.#leftMs <= 0) return 0;
    return this.#spend(async () => {
      await nextRound();
      await this.#pass(BEGUN, this.#leftMs);
    });
  }

  async #spend(fn: () => Promise<void>): Promise<number> {
    const from = performance.now();
    await fn();
    this.#stretchFrom = performance.now();
    const tookMs = this.#stretchFrom - from;
    this.#leftMs -= tookMs;
    return tookMs;
  }

  /** Waits while somebody is ahead. Who waits here is not ahead of anybody. */
  async #pass(ahead: typeof BEFORE, longestMs: number): Promise<void> {
    const isHeld = (): boolean => ahead[this.#rank].some((rank) => active[rank] > 0);
    if (!isHeld()) return;
    const until = performance.now() + longestMs;
    this.#standBack(true);
    for (let leftMs = longestMs; leftMs > 0 && isHeld(); leftMs = until - performance.now()) await somebodyEnds(leftMs);
    this.#standBack(false);
  }

  #standBack(stands: boolean): void {
    clearTimeout(this.#standingBack);
    if (!this.#isRunning || stands === this.#standsBack) return;
    this.#standsBack = stands;
    this.#count(stands ? -1 : 1);
  }

  #count(by: 1 | -1): void {
    if (this.#rank !== 'urgent' && this.#rank !== 'bulk') return;
    active[this.#rank] += by;
    if (by === -1) for (const look of watching) look();
  }
}

async function somebodyEnds(longestMs: number): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      clearTimeout(timer);
      watching.delete(look);
      resolve();
    };
    const timer = setTimeout(look, longestMs);
    watching.add(look);
  });
}
