/** The simple pacing of a careful developer: calls start at even distances. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Runs one call when its turn has come. */
export type Pace = <T>(call: () => Promise<T>) => Promise<T>;

/** @param everyMs between the starts of two calls; 0 never waits */
export function createPace(everyMs: number): Pace {
  if (everyMs === 0) return (call) => call();
  let next = performance.now();
  return async (call) => {
    const turn = Math.max(next, performance.now());
    next = turn + everyMs;
    await sleep(Math.max(0, turn - performance.now()));
    return call();
  };
}
