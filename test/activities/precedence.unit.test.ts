/** Who goes first for the process's own time. */
import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Turn } from '../../activities/precedence.ts';
import type { CallClass } from '../../domain/call-class.ts';

/** Whoever is under way until `end` is called; `toWait` begins a wait that `end` ends too. */
function begin(callClass: CallClass): { turn: Turn; toWait: () => void; end: () => Promise<void> } {
  const turn = new Turn(callClass);
  const ended = Promise.withResolvers<void>();
  const wait = Promise.withResolvers<void>();
  const run = turn.run(async () => {
    await Promise.race([ended.promise, wait.promise.then(async () => turn.waiting(async () => ended.promise))]);
    await ended.promise;
  });
  return {
    turn,
    toWait: wait.resolve,
    end: async () => {
      ended.resolve();
      await run;
    },
  };
}

async function isHeld(step: Promise<unknown>): Promise<boolean> {
  return Promise.race([step.then(() => false), sleep(50, true)]);
}

test.each([
  ['bulk', 'urgent', true],
  ['scan', 'urgent', true],
  ['scan', 'live', true],
  ['bulk', 'live', false],
  ['scan', 'bulk', false],
  ['live', 'urgent', false],
  ['urgent', 'urgent', false],
] as const)('%s while %s is under way: held is %s', async (behind, ahead, held) => {
  const { end } = begin(ahead);
  const step = new Turn(behind).giveWay();
  expect(await isHeld(step)).toBe(held);
  await end();
  await step;
});

test('whoever waits for a token or the vendor holds nobody, and does again afterwards', async () => {
  const first = begin('urgent');
  const step = new Turn('bulk').giveWay();
  first.toWait();
  expect(await isHeld(step)).toBe(false);
  await first.end();

  const waits = Promise.withResolvers<void>();
  const worked = Promise.withResolvers<void>();
  const turn = new Turn('urgent');
  const run = turn.run(async () => {
    // Two calls side by side: it waits until both have ended.
    await Promise.all([turn.waiting(async () => waits.promise), turn.waiting(async () => sleep(1))]);
    await worked.promise;
  });
  await sleep(5);
  expect(await isHeld(new Turn('bulk').giveWay())).toBe(false);
  waits.resolve();
  await nextRound();
  const later = new Turn('bulk').giveWay();
  expect(await isHeld(later)).toBe(true);
  worked.resolve();
  await run;
  await later;
});

test('somebody who breaks holds nobody any more', async () => {
  await expect(new Turn('urgent').run(async () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await isHeld(new Turn('scan').giveWay())).toBe(false);
});

test('one step is held for some tenths of a second at most, however many records it has', async () => {
  const { end } = begin('urgent');
  const turn = new Turn('bulk');
  let waitedMs = await turn.giveWay();
  expect(waitedMs).toBeGreaterThanOrEqual(290);
  const from = performance.now();
  while (performance.now() - from < 30) waitedMs = await turn.breathe();
  expect(waitedMs).toBe(0);
  expect(await isHeld(turn.giveWay())).toBe(true);
  await end();
});

test('going through many records lets others of this process do their work meanwhile', async () => {
  const turn = new Turn('scan');
  let rounds = 0;
  let goesOn = true;
  const other = (async () => {
    while (goesOn) {
      await nextRound();
      rounds += 1;
    }
  })();
  const until = performance.now() + 60;
  while (performance.now() < until) await turn.breathe();
  expect(rounds).toBeGreaterThan(2);
  goesOn = false;
  await other;
});
