/**
 * Who goes first for this process's own time. The vendors' budgets keep calls for what is urgent, but a bulk change or a scan also fills
 * the processor: between its steps it lets more urgent work of any system pass.
 */
import { setImmediate as nextRound } from 'node:timers/promises';
import type { CallClass } from '../domain/call-class.ts';

/** So long at most in one step, whatever is ahead: a token that was had for it must not wait long, or calls come to the vendor together. */
const LONGEST_MS = 300;
/** Whoever has many records to go through takes so long at a time. */
const STRETCH_MS = 5;
/** `spare`: bulk for an account without a rate limit, which takes what time is left; what is not called now where there is one is lost. */
export type Rank = CallClass | 'spare';
/** To whom each gives way. Bulk does not for live: there, somebody may be editing all day. */
const AHEAD: Record<Rank, readonly Rank[]> = {
  urgent: [],
  live: [],
  bulk: ['urgent'],
  spare: ['urgent', 'bulk'],
  scan: ['urgent', 'live'],
};
/** A wait that is over before counts as work: of those for whom somebody waits. */
const SOON_MS: Record<Rank, number> = { urgent: 40, live: 40, bulk: 0, spare: 0, scan: 0 };

const active: Record<Rank, number> = { urgent: 0, live: 0, bulk: 0, spare: 0, scan: 0 };
/** Called when somebody ends or begins to wait. */
const watching = new Set<() => void>();

/** One batch, or one scan, in its place among all of this process. */
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

  /** Runs it: those behind give way meanwhile. */
  async run<T>(fn: () => Promise<T>): Promise<T> {
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
   * A wait, for a token or for the vendor: when it lasts, nobody gives way to it. What is answered soon is not worth beginning something
   * else for, which would still be under way when the answer is there. Waits may be under way side by side.
   */
  async waiting<T>(wait: () => Promise<T>): Promise<T> {
    if (!this.#isRunning) return wait();
    if (this.#waits === 0) this.#waitBegins();
    this.#waits += 1;
    try {
      return await wait();
    } finally {
      this.#waits -= 1;
      if (this.#waits === 0) this.#standBack(false);
    }
  }

  /** To be called between steps. @returns milliseconds waited */
  async giveWay(): Promise<number> {
    this.#leftMs = LONGEST_MS;
    return this.#wait();
  }

  /** To be called for each of many records of a step: the process looks after others now and then. @returns milliseconds waited */
  async breathe(): Promise<number> {
    if (performance.now() - this.#stretchFrom < STRETCH_MS) return 0;
    await nextRound();
    return this.#wait();
  }

  async #wait(): Promise<number> {
    const from = performance.now();
    let waitedMs = 0;
    while (waitedMs < this.#leftMs && AHEAD[this.#rank].some((rank) => active[rank] > 0)) {
      await somebodyEnds(this.#leftMs - waitedMs);
      waitedMs = performance.now() - from;
    }
    this.#leftMs = Math.max(0, this.#leftMs - waitedMs);
    this.#stretchFrom = performance.now();
    return waitedMs;
  }

  #waitBegins(): void {
    const soonMs = SOON_MS[this.#rank];
    if (soonMs === 0) this.#standBack(true);
    else this.#standingBack = setTimeout(() => this.#standBack(true), soonMs);
  }

  #standBack(stands: boolean): void {
    clearTimeout(this.#standingBack);
    if (!this.#isRunning || stands === this.#standsBack) return;
    this.#standsBack = stands;
    this.#count(stands ? -1 : 1);
  }

  #count(by: 1 | -1): void {
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
