/** The erasure case over months: reminders, deadline, holds, vendors that take days; it never gives up. */
import { randomUUID } from 'node:crypto';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { erasure } from '../../workflows/index.ts';
import { CORE_QUEUE, decideUpdate, erasureId } from '../../workflows/contracts/index.ts';
import { createSkippingWorld } from './rig.ts';
import type { FakeActivities, SkippingWorld } from './rig.ts';

const DAY_MS = 86_400_000;
const OK = '11111111-1111-4111-8111-111111111111';

let world: SkippingWorld;

beforeAll(async () => {
  world = await createSkippingWorld();
}, 120_000);

afterAll(async () => {
  await world?.close();
});

interface Script {
  reminded: number[];
  closed: string[];
  erasedAfterTries: number;
  goneAfterLooks: number;
}

function activities(script: Partial<Script>, startMs: number): { fakes: FakeActivities; seen: Script } {
  const seen: Script = { reminded: [], closed: [], erasedAfterTries: 0, goneAfterLooks: 0 };
  let tries = 0;
  let looks = 0;
  return {
    seen,
    fakes: {
      loadCase: async () => ({
        state: 'open',
        deadline: new Date(startMs + 30 * DAY_MS).toISOString(),
        remindDaysBefore: [7, 2],
      }),
      remindCase: async ({ daysLeft }) => void seen.reminded.push(daysLeft),
      takeCaseDecision: async ({ decisionId }) =>
        decisionId === OK ? { accepted: true, verdict: 'approve' } : { accepted: false, verdict: null },
      eraseRecord: async () => {
        tries += 1;
        seen.erasedAfterTries = tries;
        return tries > (script.erasedAfterTries ?? 0) ? { erased: true } : { erased: false, holds: 1, until: null };
      },
      watchErasure: async () => {
        looks += 1;
        seen.goneAfterLooks = looks;
        const done = looks > (script.goneAfterLooks ?? 0);
        return {
          done,
          waitingFor: done ? [] : ['crm'],
          systems: [{ system: 'crm', outcome: done ? 'applied' : null, code: null, verifiedAt: null, reviewOn: null }],
        };
      },
      closeCase: async ({ systems }) => void seen.closed.push(...systems.map((s) => s.outcome ?? '')),
    },
  };
}

async function start(): Promise<string> {
  const workflowId = erasureId(randomUUID());
  await world.env.client.workflow.start<typeof erasure>('erasure', {
    workflowId,
    taskQueue: CORE_QUEUE,
    args: [{ caseId: workflowId.slice('erasure/'.length) }],
  });
  return workflowId;
}

test('undecided for 40 days: reminded before the deadline, then each day, and still decided in the end', async () => {
  const { fakes, seen } = activities({}, await world.env.currentTimeMs());
  await world.during(fakes, async () => {
    const handle = world.env.client.workflow.getHandle(await start());
    await world.env.sleep('961 hours');
    expect(seen.reminded.slice(0, 4)).toEqual([7, 2, -1, -2]);
    expect(seen.reminded.length).toBeGreaterThanOrEqual(12);
    expect(seen.closed).toEqual([]);
    await expect(handle.executeUpdate(decideUpdate, { args: [{ decisionId: OK }] })).resolves.toBe('approve');
    await expect(handle.result()).resolves.toEqual({ crm: 'applied' });
    expect(seen.closed).toEqual(['applied']);
  });
});

test('a vendor that is away for days is waited for; nothing is given up by count', async () => {
  const { fakes, seen } = activities({ goneAfterLooks: 500 }, await world.env.currentTimeMs());
  await world.during(fakes, async () => {
    const handle = world.env.client.workflow.getHandle(await start());
    await handle.executeUpdate(decideUpdate, { args: [{ decisionId: OK }] });
    await world.env.sleep('3 days');
    expect(seen.goneAfterLooks).toBeGreaterThan(300);
    expect(seen.closed).toEqual([]);
    await world.env.sleep('1 day');
    await expect(handle.result()).resolves.toEqual({ crm: 'applied' });
    expect(seen.goneAfterLooks).toBe(501);
  });
});

test('a hold is respected until it ends, looked at again each day', async () => {
  const { fakes, seen } = activities({ erasedAfterTries: 5 }, await world.env.currentTimeMs());
  await world.during(fakes, async () => {
    const handle = world.env.client.workflow.getHandle(await start());
    await handle.executeUpdate(decideUpdate, { args: [{ decisionId: OK }] });
    await world.env.sleep('108 hours');
    expect(seen.erasedAfterTries).toBe(5);
    await world.env.sleep('2 days');
    await handle.result();
    expect(seen.erasedAfterTries).toBe(6);
  });
});

test('a decision without a recorded id is refused, from wherever it is typed', async () => {
  const { fakes, seen } = activities({}, await world.env.currentTimeMs());
  await world.during(fakes, async () => {
    const handle = world.env.client.workflow.getHandle(await start());
    for (const decisionId of ['', 'invented']) {
      const refused = await handle
        .executeUpdate(decideUpdate, { args: [{ decisionId }] })
        .then(() => null)
        .catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(WorkflowUpdateFailedError);
      const cause = (refused as WorkflowUpdateFailedError).cause;
      expect(cause instanceof ApplicationFailure ? cause.type : null).toBe('DecisionUnauthenticated');
    }
    expect(seen.erasedAfterTries).toBe(0);
    await handle.executeUpdate(decideUpdate, { args: [{ decisionId: OK }] });
    const second = await handle
      .executeUpdate(decideUpdate, { args: [{ decisionId: OK }] })
      .then(() => null)
      .catch((error: unknown) => error);
    expect(second).not.toBeNull();
    await handle.result();
  });
});
