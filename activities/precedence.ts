/**
 * Who goes first for this process's own time. The vendors' budgets keep calls for what is urgent, but a bulk change or a scan also fills
 * the processor: between its steps, and within long ones, it lets urgent work of any system pass.
 */
import { setImmediate as nextRound } from 'node:timers/promises';
import type { CallClass } from '../domain/call-class.ts';

/** Whoever has many records to go through takes so long at a time. */
const STRETCH_MS = 5;
/** A wait of urgent work that is over before counts as work. */
const SOON_MS = 40;

/**
 * `spare`: bulk for an account without a rate limit. It can be done at any time, while an unused token of a limited account is lost.
 * `hurried`: bulk with a contact of whom something urgent waits.
 */
export type Rank = CallClass | 'spare' | 'hurried';
type Counted = 'urgent' | 'hurried' | 'bulk';

/**
 * To whom each gives way, and in one step so many milliseconds at most: a token that was had for it counts as long as it
 * waits, and what is urgent of a contact waits for the batch that it is in. Nobody gives way to live: somebody may be editing all day.
 */
const AHEAD: Record<Rank, Partial<Record<Counted, number>>> = {
  urgent: {},
  live: {},
  hurried: { urgent: 100 },
  bulk: { urgent: 300, hurried: 300 },
  spare: { urgent: 300, hurried: 300, bulk: 300 },
  scan: { urgent: 300, hurried: 300 },
};

const LONGEST_MS = Object.fromEntries(
  Object.entries(AHEAD).map(([rank, ahead]) => [rank, Math.max(0, ...Object.values(ahead))]),
) as Record<Rank, number>;

const active: Record<Counted, number> = { urgent: 0, hurried: 0, bulk: 0 };
/** Called when one of them ends or stands back. */
const watching = new Set<() => void>();

/** The place of one batch among all of this process; of a scan, what lets others pass. */
export class Turn {
  #rank: Rank;
  #isRunning = false;
  #waits = 0;
  #standsBack = false;
  #standingBack: NodeJS.Timeout | undefined;
  #stretchFrom = performance.now();
  /** What it gave away in this step. */
  #givenMs = 0;

  constructor(rank: Rank) {
    this.#rank = rank;
  }

  get isHurried(): boolean {
    return this.#rank === 'hurried';
  }

  /** Something urgent waits for this batch: if it is bulk, it goes ahead of other bulk from now on. */
  hurry(): void {
    if (this.#rank !== 'bulk' && this.#rank !== 'spare') return;
    const isAtWork = this.#isRunning && !this.#standsBack;
    if (isAtWork) this.#count(-1);
    this.#rank = 'hurried';
    if (isAtWork) this.#count(1);
    // It may be held by some whom it goes ahead of now.
    for (const look of watching) look();
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
    this.#givenMs = 0;
    return this.#give(async () => this.#pass());
  }

  /** To be called for each of many records of a step: the process looks after others now and then. @returns milliseconds that it took */
  async breathe(): Promise<number> {
    if (this.#givenMs >= LONGEST_MS[this.#rank] || performance.now() - this.#stretchFrom < STRETCH_MS) return 0;
    return this.#give(async () => {
      await nextRound();
      await this.#pass();
    });
  }

  async #give(fn: () => Promise<void>): Promise<number> {
    const from = performance.now();
    await fn();
    this.#stretchFrom = performance.now();
    const tookMs = this.#stretchFrom - from;
    this.#givenMs += tookMs;
    return tookMs;
  }

  /** Waits while somebody is ahead. Who waits here is not ahead of anybody. */
  async #pass(): Promise<void> {
    const from = performance.now() - this.#givenMs;
    const heldForMs = (): number => {
      const ahead = Object.entries(AHEAD[this.#rank]).filter(([rank]) => active[rank as Counted] > 0);
      return Math.max(0, ...ahead.map(([, ms]) => ms)) - (performance.now() - from);
    };
    let leftMs = heldForMs();
    if (leftMs <= 0) return;
    this.#standBack(true);
    for (; leftMs > 0; leftMs = heldForMs()) await somebodyEnds(leftMs);
    this.#standBack(false);
  }

  #standBack(stands: boolean): void {
    clearTimeout(this.#standingBack);
    if (!this.#isRunning || stands === this.#standsBack) return;
    this.#standsBack = stands;
    this.#count(stands ? -1 : 1);
  }

  #count(by: 1 | -1): void {
    if (!isCounted(this.#rank)) return;
    active[this.#rank] += by;
    if (by === -1) for (const look of watching) look();
  }
}

function isCounted(rank: Rank): rank is Counted {
  return rank in active;
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
