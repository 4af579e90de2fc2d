/** Limits that vendors have in common. Times come from `Host.now()`. */

const DAY_MS = 86_400_000;

/** At most `max` in any `windowMs`; the max may change at run time. */
export class RollingWindow {
  #times: number[] = [];
  #start = 0;
  readonly windowMs: number;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  /** Requests counted in the window that ends now. */
  used(nowMs: number): number {
    while (this.#start < this.#times.length && this.#times[this.#start]! <= nowMs - this.windowMs) this.#start += 1;
    if (this.#start > 10_000) {
      this.#times = this.#times.slice(this.#start);
      this.#start = 0;
    }
    return this.#times.length - this.#start;
  }

  /** Counts one if there is room. */
  take(nowMs: number, max: number): boolean {
    if (this.used(nowMs) >= max) return false;
    this.#times.push(nowMs);
    return true;
  }

  /** Until one more fits; 0 if one fits now. */
  waitMs(nowMs: number, max: number): number {
    if (this.used(nowMs) < max) return 0;
    return this.#times[this.#times.length - max]! + this.windowMs - nowMs;
  }
}

/** Counts by UTC day. */
export class DayCounter {
  /** Days since 1970. */
  #day = 0;
  #used = 0;

  used(nowMs: number): number {
    const day = Math.floor(nowMs / DAY_MS);
    if (day !== this.#day) {
      this.#day = day;
      this.#used = 0;
    }
    return this.#used;
  }

  take(nowMs: number, max: number): boolean {
    if (this.used(nowMs) >= max) return false;
    this.#used += 1;
    return true;
  }
}
