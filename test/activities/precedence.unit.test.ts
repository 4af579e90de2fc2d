/** Who goes first for the process's own time. */
import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Turn } from '../../activities/precedence.ts';
import type { Rank } from '../../activities/precedence.ts';

interface UnderWay {
  turn: Turn;
  end: () => Promise<void>;
}

/** Somebody who is at work until the end. */
function begin(rank: Rank): UnderWay {
  const turn = new Turn(rank);
  const ended = Promise.withResolvers<void>();
  const run = turn.run(async () => ended.promise);
  return {
    turn,
    end: async () => {
      ended.resolve();
      await run;
    },
  };
}

async function isHeld(step: Promise<unknown>, forMs = 60): Promise<boolean> {
  return Promise.race([step.then(() => false), sleep(forMs, true)]);
}

test.each([
  ['bulk', 'urgent', true],
  ['spare', 'urgent', true],
  ['scan', 'urgent', true],
  ['spare', 'bulk', true],
  ['bulk', 'live', false],
  ['scan', 'live', false],
  ['scan', 'bulk', false],
  ['bulk', 'spare', false],
  ['bulk', 'bulk', false],
  ['live', 'urgent', false],
  ['urgent', 'urgent', false],
] as const)('%s while %s is at work: held is %s', async (behind, ahead, held) => {
  const { end } = begin(ahead);
  const step = new Turn(behind).giveWay();
  expect(await isHeld(step)).toBe(held);
  await end();
  await step;
});

test('what is urgent holds others while a wait of it is short, not while it lasts, and again afterwards', async () => {
  const { turn, end } = begin('urgent');
  const answered = Promise.withResolvers<void>();
  // Two calls side by side: it waits until both have ended.
  const calls = [turn.waiting(async () => answered.promise), turn.waiting(async () => sleep(1))];
  expect(await isHeld(new Turn('bulk').giveWay(), 20)).toBe(true);
  await sleep(40);
  expect(await isHeld(new Turn('bulk').giveWay())).toBe(false);
  answered.resolve();
  await Promise.all(calls);
  const later = new Turn('bulk').giveWay();
  expect(await isHeld(later)).toBe(true);
  await end();
  await later;
});

test('bulk that waits, for a token or for its turn, holds nobody', async () => {
  const bulk = begin('bulk');
  const answered = Promise.withResolvers<void>();
  const call = bulk.turn.waiting(async () => answered.promise);
  expect(await isHeld(new Turn('spare').giveWay())).toBe(false);
  answered.resolve();
  await call;
  const urgent = begin('urgent');
  const step = bulk.turn.giveWay();
  await nextRound();
  const spare = new Turn('spare').giveWay();
  await urgent.end();
  await step;
  await bulk.end();
  await spare;
});

test.each(['bulk', 'spare'] as const)(
  '%s that is hurried waits for bulk no longer, and others let it pass',
  async (rank) => {
    const other = begin('bulk');
    const { turn, end } = begin(rank);
    const step = turn.giveWay();
    turn.hurry();
    expect(turn.isHurried).toBe(true);
    expect(await isHeld(step)).toBe(false);
    await other.end();
    for (const behind of ['bulk', 'spare', 'scan'] as const) {
      expect(await isHeld(new Turn(behind).giveWay())).toBe(true);
    }
    expect(await isHeld(new Turn('live').giveWay())).toBe(false);
    expect(await isHeld(turn.giveWay())).toBe(false);
    const urgent = begin('urgent');
    const after = turn.giveWay();
    expect(await isHeld(after)).toBe(true);
    await urgent.end();
    await after;
    await end();
    expect(await isHeld(new Turn('bulk').giveWay())).toBe(false);
  },
);

test.each(['before its step', 'in the middle of it'])(
  'hurried %s it is held less long for what is urgent than bulk',
  async (when) => {
    const urgent = begin('urgent');
    const bulk = new Turn('bulk').giveWay();
    const turn = new Turn('bulk');
    if (when === 'before its step') turn.hurry();
    const step = turn.giveWay();
    if (when !== 'before its step') turn.hurry();
    expect(await isHeld(step)).toBe(true);
    expect(await Promise.race([bulk.then(() => 'bulk'), step.then(() => 'hurried')])).toBe('hurried');
    expect(await bulk).toBeGreaterThanOrEqual(290);
    await urgent.end();
  },
);

test.each(['urgent', 'live', 'scan'] as const)('%s is not hurried', (rank) => {
  const turn = new Turn(rank);
  turn.hurry();
  expect(turn.isHurried).toBe(false);
});

test.each(['a failure', 'a failure while another call is still out'])('%s leaves nobody held', async (how) => {
  const turn = new Turn('urgent');
  const answered = Promise.withResolvers<void>();
  let late: Promise<void> | undefined;
  const run = turn.run(async () => {
    if (how !== 'a failure') late = turn.waiting(async () => answered.promise);
    return Promise.reject(new Error('broken'));
  });
  await expect(run).rejects.toThrow('broken');
  expect(await isHeld(new Turn('bulk').giveWay())).toBe(false);
  answered.resolve();
  await late;
  expect(await isHeld(new Turn('bulk').giveWay())).toBe(false);
  // Nor is anything left over that would let bulk pass the next one.
  const { end } = begin('urgent');
  const step = new Turn('bulk').giveWay();
  expect(await isHeld(step)).toBe(true);
  await end();
  await step;
});

test('one step is held for some tenths of a second at most, however many records it has', async () => {
  const { end } = begin('urgent');
  const turn = new Turn('bulk');
  expect(await turn.giveWay()).toBeGreaterThanOrEqual(290);
  const from = performance.now();
  let waitedMs = 0;
  while (performance.now() - from < 30) waitedMs += await turn.breathe();
  expect(waitedMs).toBe(0);
  const next = turn.giveWay();
  expect(await isHeld(next)).toBe(true);
  await end();
  await next;
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
