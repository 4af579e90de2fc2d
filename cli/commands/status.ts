/** How it stands: systems, cases by deadline, audit. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { listCases } from '../../store/cases.ts';
import { oneRow } from '../../store/db.ts';
import { listCauses } from '../../store/causes.ts';
import { stuckWorkflows } from '../../store/stuck.ts';
import { backlog, budgetUse, listSystems, readBackPerMinute } from '../../store/systems.ts';
import { duration, paint, print, printJson, table } from '../ui/text.ts';
import { withApp } from '../with-app.ts';

const WATCH_MS = 1_000;

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('systems, backlog, problems, cases with deadlines')
    .option('--watch', 'again every second, with the share of each limit used')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  plumbline status --watch')
    .action(async (options: { watch?: boolean; json?: boolean }) => {
      await withApp(async (app) => {
        let before: Status | null = null;
        for (;;) {
          const now = await read(app);
          if (options.json === true) printJson(now);
          else show(now, before, options.watch === true);
          if (options.watch !== true) return;
          before = now;
          await sleep(WATCH_MS);
        }
      });
    });
}

type Status = Awaited<ReturnType<typeof read>>;

async function read({ db }: App) {
  const rates = await readBackPerMinute(db);
  const systems = await Promise.all(
    (await listSystems(db)).map(async (system) => ({
      name: system.name,
      state: system.state,
      code: system.stateCode,
      lastError: system.lastError,
      ...(await backlog(db, system.name)),
      perMinute: rates.get(system.name) ?? 0,
      budget: (await budgetUse(db, system.account)) ?? null,
    })),
  );
  const cases = await listCases(db, { open: true, limit: 20 });
  const counts = await oneRow<{ contacts: number; unsealed: number }>(
    db,
    `select (select count(*) from contacts where state = 'active')::integer as contacts,
       (select count(*) from audit a where not exists (select 1 from audit_chain c where c.entry_id = a.id)
         and a.id > coalesce((select max(entry_id) from audit_chain), 0))::integer as unsealed`,
  );
  return {
    ...counts,
    at: performance.now(),
    systems,
    causes: await listCauses(db, { limit: 5 }),
    cases,
    stuck: await stuckWorkflows(db),
  };
}

/** Of the calls that the rate allows, those that were made since the last look; null before there is one, or without a limit of that kind. */
function limitUsed(system: Status['systems'][number], now: Status, before: Status | null): string {
  const was = before?.systems.find((s) => s.name === system.name)?.budget ?? null;
  const perSecond = system.budget?.perSecond ?? null;
  if (before === null || was === null || perSecond === null || system.budget === null) return '–';
  const { dayUsed } = system.budget;
  // The vendor's day has begun anew.
  if (dayUsed < was.dayUsed) return '–';
  const seconds = (now.at - before.at) / 1000;
  return `${Math.round((100 * (dayUsed - was.dayUsed)) / seconds / perSecond)} %`;
}

function show(now: Status, before: Status | null, clear: boolean): void {
  if (clear && process.stdout.isTTY) process.stdout.write('\u001b[2J\u001b[H');
  print(`${now.contacts} contacts; ${now.unsealed} audit entries wait for their seal`);
  print();
  table(
    ['system', 'state', 'due', 'urgent', 'oldest', 'a minute', 'limit', 'day', 'problems'],
    now.systems.map((s) => [
      s.name,
      s.code === null ? s.state : `${s.state} (${s.code})`,
      s.due,
      s.urgent,
      duration(s.oldestSeconds),
      s.perMinute,
      limitUsed(s, now, before),
      s.budget === null || s.budget.perDay === null
        ? '–'
        : `${Math.round((100 * s.budget.dayUsed) / s.budget.perDay)} %`,
      s.problems,
    ]),
  );
  for (const { name, lastError } of now.systems)
    if (lastError !== null) print(paint('yellow', `${name}: ${lastError}`));
  for (const c of now.causes)
    print(
      paint(
        'yellow',
        `cause ${c.id}: ${c.system}, ${c.contacts} × ${[c.kind, c.code, c.field].filter(Boolean).join(' ')}`,
      ),
    );
  for (const { id, type, attempt } of now.stuck)
    print(paint('red', `stuck: ${type} ${id}, its task failed ${attempt} times (docs/runbooks/WorkflowStuck.md)`));
  if (now.cases.length === 0) return;
  print();
  table(
    ['open case', 'state', 'deadline', 'days left'],
    now.cases.map((c) => [c.id, c.state, c.deadline.slice(0, 10), daysLeft(c.deadline)]),
  );
}

export function daysLeft(deadline: string): number {
  return Math.floor((Date.parse(deadline) - Date.now()) / 86_400_000);
}
