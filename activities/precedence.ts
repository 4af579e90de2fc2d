/**
 * Who goes first for this process's own time. The vendors' budgets keep calls for what is urgent, but a bulk change also fills the
 * processor: between its steps a bulk batch lets urgent ones of any system pass.
 */
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY_MS = 5;
/** So long at most at one step, whatever is urgent. */
const LONGEST_MS = 300;

let urgent = 0;

/** Runs an urgent batch: others give way meanwhile. */
export async function goFirst<T>(run: () => Promise<T>): Promise<T> {
  urgent += 1;
  try {
    return await run();
  } finally {
    urgent -= 1;
  }
}

export type Waiting = <T>(wait: () => Promise<T>) => Promise<T>;

/**
 * For one urgent batch: while any of its calls waits, for a token or for the vendor, nobody gives way to it. Calls may be under way side
 * by side.
 */
export function standingBack(): Waiting {
  let waits = 0;
  return async (wait) => {
    if (waits === 0) urgent -= 1;
    waits += 1;
    try {
      return await wait();
    } finally {
      waits -= 1;
      if (waits === 0) urgent += 1;
    }
  };
}

/** To be called between the steps of a batch that can wait. */
export async function giveWay(): Promise<void> {
  const until = performance.now() + LONGEST_MS;
  while (urgent > 0 && performance.now() < until) await sleep(LOOK_EVERY_MS);
}
