/** How many batches are in flight at once. */
import { expect, test } from 'vitest';
import { BatchPlaces } from '../../activities/places.ts';
import type { TimedBatch } from '../../activities/places.ts';

type Timed = Omit<TimedBatch, 'vendorMs'> & { vendorMs?: number };

function bulkAfter(callsPerSecond: number | null, batches: Timed[]): number {
  const places = new BatchPlaces({ concurrency: 10, callsPerSecond });
  for (const batch of batches) places.tookBulk({ vendorMs: 0, ...batch });
  return places.now().bulk;
}

function many<T>(of: T): T[] {
  return Array.from({ length: 50 }, () => of);
}

test('before anything is known bulk has all places there are without a rate limit, with one two', () => {
  expect(bulkAfter(null, [])).toBe(6);
  expect(bulkAfter(19, [])).toBe(2);
});

test('as many batches as keep the rate in use, and one: slow calls need more of them at once', () => {
  expect(bulkAfter(19, many({ ms: 120, waitedMs: 0, calls: 3 }))).toBe(2);
  expect(bulkAfter(19, many({ ms: 450, waitedMs: 0, calls: 3 }))).toBe(4);
  expect(bulkAfter(19, many({ ms: 6_000, waitedMs: 0, calls: 3 }))).toBe(6);
});

test('without a rate limit as many batches as keep this process busy while calls are out, and one', () => {
  expect(bulkAfter(null, many({ ms: 400, waitedMs: 0, vendorMs: 40, calls: 2 }))).toBe(3);
  expect(bulkAfter(null, many({ ms: 400, waitedMs: 0, vendorMs: 280, calls: 2 }))).toBe(5);
  expect(bulkAfter(null, many({ ms: 400, waitedMs: 0, vendorMs: 395, calls: 2 }))).toBe(6);
  // Two calls side by side.
  expect(bulkAfter(null, many({ ms: 400, waitedMs: 0, vendorMs: 700, calls: 2 }))).toBe(6);
});

test('waiting for a token is not slowness: at a call a second nine calls take nine seconds, and two batches are enough', () => {
  expect(bulkAfter(1, many({ ms: 9_000, waitedMs: 8_600, calls: 9 }))).toBe(2);
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
