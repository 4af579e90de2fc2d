/** A campaign of faults as `npm run faults` draws it, and again those that once found something. */
import { expect, test } from 'vitest';
import { campaign } from '../../faults/campaign.ts';
import { KINDS } from '../../faults/kinds.ts';
import { SEEDS } from '../../faults/seeds.ts';
import { summaryOf, tableOf } from '../../faults/summary.ts';

const COUNT = 300;

test('there are at least 25 kinds, each with a name of its own', () => {
  const names = new Set(KINDS.map((kind) => kind.name));
  expect(names.size).toBe(KINDS.length);
  expect(names.size).toBeGreaterThanOrEqual(25);
});

test.each([{ seed: 1, count: COUNT, found: '' }, ...SEEDS])(
  'seed $seed, $count faults: nothing is broken',
  async ({ seed, count }) => {
    const outcome = await campaign({ count, seed, say: () => {} });
    expect(outcome.broken, tableOf(outcome)).toBeNull();
    const { faults } = summaryOf(outcome);
    expect(outcome.fired).toBeGreaterThanOrEqual(count);
    expect(outcome.accepted).toBeGreaterThan(outcome.rounds);
    // A fault that is drawn and does not fire proves nothing, and is not counted: most must.
    expect(outcome.fired / faults.reduce((sum, f) => sum + f.drawn, 0)).toBeGreaterThan(0.7);
    for (const fault of faults) expect(fault.survived, fault.fault).toBe(fault.fired);
    // The lease of a killed worker runs out, and another takes over.
    const kill = faults.find((f) => f.fault === 'worker: kill -9');
    if (kill !== undefined && kill.progressMs.max !== null) expect(kill.progressMs.max).toBeLessThan(10_000);
  },
  600_000,
);
