/** How many batches are in flight at once. */
import { expect, test } from 'vitest';
import { BatchPlaces } from '../../activities/places.ts';
import type { TimedBatch } from '../../activities/places.ts';

function bulkAfter(callsPerSecond: number | null, batches: TimedBatch[], load = 0): number {
  const places = new BatchPlaces({ concurrency: 10, callsPerSecond }, () => load);
  for (const batch of batches) places.tookBulk(batch);
  return places.now().bulk;
}

function many<T>(of: T): T[] {
  return Array.from({ length: 50 }, () => of);
}

const BATCH = { ms: 400, waitedMs: 0, calls: 2 };

test('without a rate limit one more as long as this thread is not full, one less when it is', () => {
  expect(bulkAfter(null, [])).toBe(3);
  expect(bulkAfter(null, [BATCH], 0.5)).toBe(4);
  expect(bulkAfter(null, many(BATCH), 0.5)).toBe(6);
  expect(bulkAfter(null, [BATCH], 0.95)).toBe(2);
  expect(bulkAfter(null, many(BATCH), 0.95)).toBe(2);
});

test('as many as a thread that is really full leaves: its own load is what is measured', () => {
  const places = new BatchPlaces({ concurrency: 10, callsPerSecond: null });
  for (let batch = 0; batch < 3; batch += 1) {
    const until = performance.now() + 20;
    while (performance.now() < until);
    places.tookBulk(BATCH);
  }
  expect(places.now().bulk).toBe(2);
});

test('an account of few connections has no more batches than these, less one for what is urgent', () => {
  const places = new BatchPlaces({ concurrency: 3, callsPerSecond: null }, () => 0);
  for (const batch of many(BATCH)) places.tookBulk(batch);
  expect(places.now().bulk).toBe(2);
});

test('with a rate limit as many batches as keep the rate in use, and one: slow calls need more of them at once', () => {
  expect(bulkAfter(19, many({ ms: 120, waitedMs: 0, calls: 3 }))).toBe(2);
  expect(bulkAfter(19, many({ ms: 450, waitedMs: 0, calls: 3 }))).toBe(4);
  expect(bulkAfter(19, many({ ms: 6_000, waitedMs: 0, calls: 3 }))).toBe(6);
});

test('before a call was timed it is taken for slow, or each drain would begin below its rate', () => {
  expect(bulkAfter(19, [])).toBe(6);
  expect(bulkAfter(1, [])).toBe(1);
});

test('waiting for a token is not slowness: at a call a second nine calls take nine seconds, and one batch is enough', () => {
  expect(bulkAfter(1, many({ ms: 9_000, waitedMs: 8_600, calls: 9 }))).toBe(1);
  expect(bulkAfter(1, many({ ms: 20_000, waitedMs: 6_500, calls: 9 }))).toBe(2);
});

test('calls of one batch that wait side by side, and batches without a call, are no news', () => {
  const slow = many({ ms: 450, waitedMs: 0, calls: 3 });
  expect(bulkAfter(19, [...slow, ...many({ ms: 500, waitedMs: 1_800, calls: 4 })])).toBe(4);
  expect(bulkAfter(19, [...slow, ...many({ ms: 500, waitedMs: 0, calls: 0 })])).toBe(4);
});

test('a call that timed out is soon forgotten', () => {
  const timedOut = { ms: 60_000, waitedMs: 0, calls: 2 };
  expect(bulkAfter(19, [timedOut, ...many({ ms: 120, waitedMs: 0, calls: 3 }).slice(0, 10)])).toBeLessThanOrEqual(3);
});

test('what is urgent or live has places of its own', () => {
  const { urgent, live } = new BatchPlaces({ concurrency: 10, callsPerSecond: 1 }).now();
  expect([urgent, live]).toEqual([2, 3]);
});
