/** The budget of an account: no window of the vendor holds more calls than it allows, however late they come to it. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { CallClass } from '../../domain/call-class.ts';
import { RollingWindow } from '../../sandboxes/kit/window.ts';
import { endCalls, refundCall, syncBudget, takeCall } from '../../store/budgets.ts';
import { oneRow, openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { migrate } from '../../store/migrate.ts';
import { budgetUse } from '../../store/systems.ts';
import { createDatabase } from '../rig/database.ts';

const CALLS = 20;
const WINDOW_MS = 600;
const SLOT_MS = 60_000;
let db: Db;
let account: string;

beforeAll(async () => {
  const { url } = await createDatabase();
  db = openDb({ url, applicationName: 'budget-test', poolMax: 16 });
  await migrate(db);
});
afterAll(() => db.destroy());
beforeEach(async () => {
  account = `crm:${randomUUID()}`;
  await syncBudget(db, account, { calls: CALLS, windowMs: WINDOW_MS, concurrency: CALLS * 2 });
});

/** Waits for a call that may be made now. @returns its slot */
async function granted(slotMs = SLOT_MS): Promise<string> {
  const slot = randomUUID();
  for (;;) {
    const waitMs = await takeCall(db, account, 'urgent', slot, slotMs);
    if (waitMs === 0) return slot;
    await sleep(waitMs);
  }
}

async function allGranted(slotMs = (): number => SLOT_MS): Promise<string[]> {
  const slots: string[] = [];
  while (slots.length < CALLS) slots.push(await granted(slotMs()));
  return slots;
}

test('calls that were granted evenly and made at once are all in one window: the next waits until they have left it', async () => {
  const slots = await allGranted();
  const endedFrom = Date.now();
  await endCalls(db, slots);
  const waitMs = await takeCall(db, account, 'urgent', randomUUID(), SLOT_MS);
  expect(waitMs + Date.now() - endedFrom).toBeGreaterThanOrEqual(WINDOW_MS);
  await sleep(waitMs);
  await granted();
  expect(Date.now() - endedFrom).toBeGreaterThanOrEqual(WINDOW_MS);
});

/** To whom another call of the window is granted. */
async function openTo(): Promise<CallClass[]> {
  // More tokens than anybody needs: what counts is the window.
  await rows(db, 'update budgets set tokens = burst where account = ?', [account]);
  const open: CallClass[] = [];
  for (const callClass of ['bulk', 'live', 'urgent'] as const) {
    const slot = randomUUID();
    if ((await takeCall(db, account, callClass, slot, SLOT_MS)) > 0) continue;
    open.push(callClass);
    await refundCall(db, account, slot);
  }
  return open;
}

test('of the last calls of a window bulk leaves two to what is urgent and live one, and one where the next comes soon', async () => {
  const slots = await allGranted();
  expect(await openTo()).toEqual([]);
  await refundCall(db, account, slots.pop()!);
  expect(await openTo()).toEqual(['urgent']);
  await refundCall(db, account, slots.pop()!);
  expect(await openTo()).toEqual(['bulk', 'live', 'urgent']);

  // Four calls a second, of which nearly all were made in the first moment.
  await syncBudget(db, account, { calls: CALLS, windowMs: 5_000, concurrency: CALLS * 2 });
  expect(await openTo()).toEqual(['live', 'urgent']);
  await refundCall(db, account, slots.pop()!);
  expect(await openTo()).toEqual(['bulk', 'live', 'urgent']);
});

test('of a process that was killed nobody says when its calls ended: they count for a window after their time', async () => {
  const endsAt = Date.now() + 2 * WINDOW_MS;
  await allGranted(() => endsAt - Date.now());
  await sleep(endsAt - Date.now() + 50);
  expect((await budgetUse(db, account))?.inFlight).toBe(0);
  await granted();
  expect(Date.now()).toBeGreaterThanOrEqual(endsAt + WINDOW_MS);
});

test('calls that have ended hold no connection, and nothing of them is kept where there is no window', async () => {
  const slots = await allGranted();
  expect((await budgetUse(db, account))?.inFlight).toBe(CALLS);
  await endCalls(db, slots);
  expect((await budgetUse(db, account))?.inFlight).toBe(0);

  account = `mail:${randomUUID()}`;
  await syncBudget(db, account, { concurrency: 1 });
  const only = await granted();
  expect(await takeCall(db, account, 'urgent', randomUUID(), SLOT_MS)).toBeGreaterThan(0);
  await endCalls(db, [only]);
  const { left } = await oneRow<{ left: number }>(
    db,
    'select count(*)::integer as left from budget_slots where account = ?',
    [account],
  );
  expect(left).toBe(0);
});

/** Calls of a process that stands still for a while, again and again: what it holds then comes to the vendor together. */
async function refusedOf(stillMs: number, forMs: number): Promise<{ made: number; refused: number }> {
  const vendor = new RollingWindow(WINDOW_MS);
  const until = performance.now() + forMs;
  const counts = { made: 0, refused: 0 };
  let still = sleep(stillMs);
  const stalls = (async (): Promise<void> => {
    while (performance.now() < until) {
      await still;
      await sleep(WINDOW_MS - stillMs);
      still = sleep(stillMs);
    }
  })();
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      const slot = await granted();
      await still;
      counts.made += 1;
      if (!vendor.take(performance.now(), CALLS)) counts.refused += 1;
      await endCalls(db, [slot]);
    }
  };
  await Promise.all([stalls, ...Array.from({ length: 12 }, caller)]);
  return counts;
}

test('however a process stands still, the vendor refuses none of its calls, which it would if only their grants were spread', async () => {
  const counted = await refusedOf(300, 4_000);
  expect(counted.refused).toBe(0);
  expect(counted.made).toBeGreaterThan(CALLS * 2);

  await rows(db, 'update budgets set window_calls = null where account = ?', [account]);
  const spread = await refusedOf(300, 4_000);
  expect(spread.refused).toBeGreaterThan(0);
});
