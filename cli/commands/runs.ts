/** Retention and reconciliation by hand: start, look, answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { getRun, listDrifts, listRuns, runItems } from '../../store/runs.ts';
import type { RunRow } from '../../store/runs.ts';
import { listSystems } from '../../store/systems.ts';
import { CommandProblem, EXIT } from '../exit-codes.ts';
import { moment, print, printJson, table } from '../ui/text.ts';
import { actor, asked, withApp } from '../with-app.ts';
import { decide, verdictOf } from './erasure.ts';

const LOOK_EVERY_MS = 500;
const ENDED = new Set(['done', 'failed', 'refused', 'asking']);

export function addRuns(program: Command): void {
  const retention = program.command('retention').description('the retention rules: whom they hit, and the purge');
  retention
    .command('run')
    .description('dry run of the rules; asks before anything is purged')
    .option('--wait', 'until it asks or ends')
    .action(async (options: { wait?: boolean }) => {
      await withApp(async (app) => {
        const runId = await asked(app.operations.startRetention(actor()));
        await follow(app, runId, options.wait === true);
      });
    });
  addCommon(retention, 'retention');

  const reconcile = program.command('reconcile').description('compare a system with the record, and repair');
  reconcile
    .command('run')
    .argument('[system]')
    .description('run it now')
    .option('--all', 'every system')
    .option('--wait', 'until it ends or asks')
    .addHelpText('after', '\nExample:\n  plumbline reconcile run hubspot-main --wait')
    .action(async (system: string | undefined, options: { all?: boolean; wait?: boolean }) => {
      await withApp(async (app) => {
        const names = options.all === true ? (await listSystems(app.db)).map((s) => s.name) : [system ?? ''];
        if (names.includes('')) throw new CommandProblem('Name a system, or say --all.', EXIT.usage);
        for (const name of names) {
          const runId = await asked(app.operations.startReconciliation(name, actor()));
          await follow(app, runId, options.wait === true);
        }
      });
    });
  addCommon(reconcile, 'reconciliation');
}

function addCommon(command: Command, kind: 'retention' | 'reconciliation'): void {
  command
    .command('list')
    .description('runs, the newest first')
    .option('--json', 'as JSON')
    .action(async (options: { json?: boolean }) => {
      await withApp(async ({ db }) => {
        const runs = await listRuns(db, { kind, limit: 20 });
        if (options.json === true) printJson(runs);
        else
          table(
            ['run', 'system', 'state', 'started'],
            runs.map((r) => [r.id, r.system, r.state, moment(r.startedAt)]),
          );
      });
    });
  command
    .command('show')
    .argument('<run>')
    .description('counts, and what it found')
    .option('--json', 'as JSON')
    .action(async (id: string, options: { json?: boolean }) => {
      await withApp(async ({ db }) => {
        const run = await found(db, id);
        const items = await runItems(db, id, { limit: 500 });
        const drifts = await listDrifts(db, id, { limit: 500 });
        if (options.json === true) {
          printJson({ ...run, items, drifts });
          return;
        }
        showRun(run);
        if (items.length > 0)
          table(
            ['contact', 'action', 'reasons', 'done'],
            items.map((i) => [i.contactId, i.action, i.reasons.join(', '), moment(i.doneAt)]),
          );
        if (drifts.length > 0)
          table(
            ['kind', 'contact', 'at the vendor', 'fields'],
            drifts.map((d) => [d.kind, d.contactId, d.externalId, d.fields.join(', ')]),
          );
      });
    });
  command
    .command('decide')
    .argument('<run>')
    .description('answer a run that asks')
    .option('--approve')
    .option('--refuse', 'needs a ground')
    .option('--ground <word>')
    .action(async (id: string, options: { approve?: boolean; refuse?: boolean; ground?: string }) => {
      const verdict = verdictOf(options);
      await withApp(async ({ db, operations }) => {
        const run = await found(db, id);
        if (run.state !== 'asking') throw new CommandProblem(`The run asks nothing: it is ${run.state}.`);
        await asked(operations.decideRun(id, await decide(db, `run:${id}`, verdict, options.ground)));
        print(verdict === 'approve' ? 'Approved.' : 'Refused; nothing was changed.');
      });
    });
}

async function found(db: App['db'], id: string): Promise<RunRow> {
  const run = await getRun(db, id).catch(() => undefined);
  if (run === undefined) throw new CommandProblem('There is no such run.');
  return run;
}

function showRun(run: RunRow): void {
  print(`Run ${run.id}${run.system === null ? '' : ` of ${run.system}`}: ${run.state}`);
  for (const [name, count] of Object.entries(run.counts)) print(`  ${name.padEnd(12)} ${count}`);
  print();
}

async function follow(app: App, runId: string, wait: boolean): Promise<void> {
  if (!wait) {
    print(`Started: ${runId}`);
    return;
  }
  for (;;) {
    const run = await getRun(app.db, runId);
    if (run !== undefined && ENDED.has(run.state)) {
      showRun(run);
      if (run.state === 'failed') process.exitCode = EXIT.problem;
      return;
    }
    await sleep(LOOK_EVERY_MS);
  }
}
