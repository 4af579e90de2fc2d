/**
 * How the whole installation stands, read from PostgreSQL when somebody scrapes: backlog, lanes, problems, cases, budgets, audit. Any process
 * may tell it, and says the same; the API does, so that it is told when no worker runs.
 */
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { unsealedSeconds } from '../store/audit.ts';
import { openCaseFigures } from '../store/cases.ts';
import { openDb, rows } from '../store/db.ts';
import type { Db } from '../store/db.ts';
import { reconciledSecondsAgo } from '../store/runs.ts';
import { stuckWorkflows } from '../store/stuck.ts';
import { backlog, budgetUse, listSystems } from '../store/systems.ts';
import type { Backlog } from '../store/systems.ts';
import type { Backlogs, LaneState } from './labels.ts';

/** A scrape within this time gets what the last one got: a dashboard that is open twice must not cost twice. */
const REMEMBER_MS = 5_000;
const STATEMENT_MS = 3_000;

/** Connections of its own, whose statements end by themselves: figures never take a place from the work, nor wait without end. */
export function openStandingDb(url: string, statementMs = STATEMENT_MS): Db {
  return openDb({ url, poolMax: 2, applicationName: 'plumbline-figures', statementMs });
}

/** Figures that are read together; what comes back writes them down. */
interface Part {
  gauges: readonly Gauge[];
  read(): Promise<() => void>;
}

/**
 * Adds the gauges to `registry`. What cannot be read in time is absent and counted as missing; while the database does not answer at all,
 * `plumbline_database_up` is 0.
 * @param db of `openStandingDb`
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

  const missing = gauge(
    'plumbline_figures_missing',
    'Groups of figures that could not be read in time for this scrape; what is missing raises no alert.',
  );

  const parts: Part[] = [
    {
      gauges: [state, day],
      async read() {
        const systems = await listSystems(db);
        const budgets = await Promise.all(systems.map(async ({ account }) => budgetUse(db, account)));
        return () => {
          for (const [at, one] of systems.entries()) {
            state.set({ system: one.name, state: one.state satisfies LaneState }, 1);
            const budget = budgets[at];
            if (budget !== undefined && budget.perDay !== null)
              day.set({ system: one.name }, budget.dayUsed / budget.perDay);
          }
        };
      },
    },
    {
      gauges: [due, oldest, problems],
      async read() {
        const waiting: (Backlog & { name: string })[] = [];
        // One by one: the first that takes too long ends them all.
        for (const { name } of await listSystems(db)) waiting.push({ name, ...(await backlog(db, name)) });
        return () => {
          for (const one of waiting) {
            const of = (priority: Backlogs): { system: string; priority: Backlogs } => ({ system: one.name, priority });
            due.set(of('urgent'), one.urgent);
            due.set(of('any'), one.due);
            oldest.set(of('urgent'), one.oldestUrgentSeconds ?? 0);
            oldest.set(of('any'), one.oldestSeconds ?? 0);
            problems.set({ system: one.name }, one.problems);
          }
        };
      },
    },
    {
      gauges: [reconciled],
      async read() {
        const ago = await reconciledSecondsAgo(db);
        return () => ago.forEach((seconds, system) => reconciled.set({ system }, seconds));
      },
    },
    {
      gauges: [cases, deadline],
      async read() {
        const open = await openCaseFigures(db);
        return () => {
          cases.set(open.count);
          if (open.nearestDeadlineSeconds !== null) deadline.set(open.nearestDeadlineSeconds);
        };
      },
    },
    {
      gauges: [stuck],
      async read() {
        const found = await stuckWorkflows(db);
        return () => found.forEach(({ type }) => stuck.inc({ workflow: type }));
      },
    },
    {
      gauges: [unsealed],
      async read() {
        const seconds = await unsealedSeconds(db);
        return () => unsealed.set(seconds);
      },
    },
  ];

  const read = async (): Promise<void> => {
    const isUp = await rows(db, 'select 1').then(
      () => true,
      () => false,
    );
    const found = await Promise.allSettled(parts.map(async (part) => (isUp ? part.read() : Promise.reject(AWAY))));
    for (const [at, part] of parts.entries()) {
      for (const one of part.gauges) forget(one);
      const result = found[at];
      if (result?.status === 'fulfilled') result.value();
    }
    up.set(isUp ? 1 : 0);
    missing.set(found.filter(({ status }) => status === 'rejected').length);
  };

  let last: { untilMs: number; reading: Promise<void> } | null = null;
  let isReading = false;
  return async () => {
    // One reading at a time: while PostgreSQL is slow, scrapes wait for the one that runs and begin none.
    if (!isReading && (last === null || last.untilMs < performance.now())) {
      isReading = true;
      const reading = read().finally(() => {
        isReading = false;
      });
      last = { untilMs: performance.now() + REMEMBER_MS, reading };
    }
    await last?.reading;
  };
}

const AWAY = new Error('PostgreSQL does not answer');

function forget(gauge: Gauge): void {
  gauge.reset();
  // A gauge without labels is set to 0 by that, which would be told as a fact.
  gauge.remove({});
}
