/**
 * How the whole installation stands, read from PostgreSQL when somebody scrapes: backlog, lanes, problems, cases, budgets, audit. Any process
 * may tell it, and says the same; the API does, so that it is told when no worker runs.
 */
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { unsealedSeconds } from '../store/audit.ts';
import { openCaseFigures } from '../store/cases.ts';
import type { Db } from '../store/db.ts';
import { reconciledSecondsAgo } from '../store/runs.ts';
import { stuckWorkflows } from '../store/stuck.ts';
import { backlog, budgetUse, listSystems } from '../store/systems.ts';

/** A scrape within this time gets what the last one got: a dashboard that is open twice must not cost twice. */
const REMEMBER_MS = 5_000;

/**
 * Adds the gauges to `registry`. While the database does not answer they are absent, and `plumbline_database_up` is 0.
 * @returns reads them anew; awaited before each scrape, because a registry asks all of its metrics at once
 */
export function addStanding(registry: Registry, db: Db): () => Promise<void> {
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[] = []): Gauge =>
    new Gauge({ name, help, labelNames, registers });
  const due = gauge('plumbline_due', 'Deliveries that are due; counted to 100,000.', ['system', 'priority']);
  const oldest = gauge('plumbline_oldest_due_seconds', 'Age of the oldest delivery that is due; 0 when none is.', [
    'system',
    'priority',
  ]);
  const state = gauge('plumbline_lane_state', '1 for the state that a lane is in (scanning, open, paused, guarded).', [
    'system',
    'state',
  ]);
  const problems = gauge('plumbline_problems', 'Deliveries that need a person; counted to 100,000.', ['system']);
  const day = gauge(
    'plumbline_budget_day_used_ratio',
    "Share used of a day's calls, where the vendor has a limit a day.",
    ['system'],
  );
  const reconciled = gauge(
    'plumbline_reconciled_seconds_ago',
    'Since the last reconciliation of a system ended well.',
    ['system'],
  );
  const cases = gauge('plumbline_cases_open', 'Cases that are open.');
  const deadline = gauge(
    'plumbline_case_deadline_seconds',
    'Until the nearest deadline of an open case; negative when it has passed.',
  );
  const unsealed = gauge('plumbline_audit_unsealed_seconds', 'Age of the oldest audit entry that is not sealed yet.');
  const stuck = gauge('plumbline_stuck_workflows', 'Workflows whose tasks fail again and again, by type.', [
    'workflow',
  ]);
  const up = gauge('plumbline_database_up', '1 when PostgreSQL answered for this scrape.');

  const all = [due, oldest, state, problems, day, reconciled, cases, deadline, unsealed, stuck];
  const read = async (): Promise<void> => {
    const systems = await Promise.all(
      (await listSystems(db)).map(async (system) => ({
        ...system,
        ...(await backlog(db, system.name)),
        budget: await budgetUse(db, system.account),
      })),
    );
    const [ago, open, stuckNow, unsealedFor] = await Promise.all([
      reconciledSecondsAgo(db),
      openCaseFigures(db),
      stuckWorkflows(db),
      unsealedSeconds(db),
    ]);
    forget();
    for (const one of systems) {
      const system = one.name;
      due.set({ system, priority: 'urgent' }, one.urgent);
      due.set({ system, priority: 'any' }, one.due);
      oldest.set({ system, priority: 'urgent' }, one.oldestUrgentSeconds ?? 0);
      oldest.set({ system, priority: 'any' }, one.oldestSeconds ?? 0);
      state.set({ system, state: one.state }, 1);
      problems.set({ system }, one.problems);
      const { budget } = one;
      if (budget !== undefined && budget.perDay !== null) day.set({ system }, budget.dayUsed / budget.perDay);
      const seconds = ago.get(system);
      if (seconds !== undefined) reconciled.set({ system }, seconds);
    }
    cases.set(open.count);
    if (open.nearestDeadlineSeconds !== null) deadline.set(open.nearestDeadlineSeconds);
    unsealed.set(unsealedFor);
    for (const { type } of stuckNow) stuck.inc({ workflow: type });
    up.set(1);
  };

  const forget = (): void => {
    for (const one of all) {
      one.reset();
      // A gauge without labels is set to 0 by that, which would be told as a fact.
      one.remove({});
    }
  };
  let last: { untilMs: number; reading: Promise<void> } | null = null;
  return async () => {
    if (last === null || last.untilMs < performance.now())
      last = {
        untilMs: performance.now() + REMEMBER_MS,
        reading: read().catch(() => {
          forget();
          up.set(0);
        }),
      };
    await last.reading;
  };
}
