/** What operators do with systems: pause, resume, retry, see problems, apply a changed mapping. */
import { NO_METER } from '../../telemetry/metrics.ts';
import type { Command } from 'commander';
import { activityDeps, buildSystems } from '../../app.ts';
import { applyMapping, planMapping } from '../../activities/mapping.ts';
import { problemGroups } from '../../store/delivery-views.ts';
import { listSystems } from '../../store/systems.ts';
import { CommandProblem, EXIT } from '../exit-codes.ts';
import { adviceFor } from '../../domain/advice.ts';
import { print, printJson } from '../ui/text.ts';
import { actor, asked, withApp } from '../with-app.ts';

export function addSystems(program: Command): void {
  for (const verb of ['pause', 'resume'] as const) {
    const command = program
      .command(verb)
      .argument('[system]')
      .description(verb === 'pause' ? 'stop calling a system; due work is kept' : 'go on after a pause')
      .option('--all', 'every system');
    if (verb === 'resume') command.option('--accept-restore', 'accept that the database was restored from a backup');
    command.action(async (system: string | undefined, options: { all?: boolean; acceptRestore?: boolean }) => {
      await withApp(async ({ db, operations }) => {
        const names = options.all === true ? (await listSystems(db)).map((s) => s.name) : [system ?? ''];
        if (names.includes('')) throw new CommandProblem('Name a system, or say --all.', EXIT.usage);
        for (const name of names) {
          if (verb === 'pause') await asked(operations.pause(name, actor(), 'by_operator'));
          else await asked(operations.resume(name, actor(), options.acceptRestore ?? false));
          print(`${name}: ${verb === 'pause' ? 'paused' : 'resumed'}`);
        }
      });
    });
  }

  program
    .command('retry')
    .description('try again what has a problem: one contact, one system, or all')
    .option('--contact <id>', 'one contact in every system')
    .option('--system <name>', 'one system')
    .option('--all', 'everything that is open')
    .action(async (options: { contact?: string; system?: string; all?: boolean }) => {
      if (options.contact === undefined && options.system === undefined && options.all !== true) {
        throw new CommandProblem('Say --contact, --system or --all.', EXIT.usage);
      }
      await withApp(async ({ operations }) => {
        const marked = await asked(
          operations.retry(
            {
              ...(options.contact === undefined ? {} : { contactId: options.contact }),
              ...(options.system === undefined ? {} : { system: options.system }),
            },
            actor(),
          ),
        );
        print(`${marked} deliveries are tried again.`);
      });
    });

  program
    .command('problems')
    .argument('[system]')
    .description('what needs a person, grouped by cause, with what to do')
    .option('--json', 'as JSON')
    .action(async (system: string | undefined, options: { json?: boolean }) => {
      await withApp(async ({ db }) => {
        const groups = await problemGroups(db, system);
        if (options.json === true) {
          printJson(groups.map((g) => ({ ...g, advice: adviceFor(g.kind, g.code) })));
          return;
        }
        if (groups.length === 0) print('Nothing needs a person.');
        for (const group of groups) {
          print(
            `${group.system}: ${group.count} × ${group.kind}${group.code === null ? '' : ` ${group.code}`}${group.field === null ? '' : ` (${group.field})`}, ${group.part}`,
          );
          print(`  ${adviceFor(group.kind, group.code)}`);
          print(`  for example ${group.contactIds.slice(0, 2).join(', ')}`);
        }
      });
    });

  program
    .command('plan')
    .argument('[system]')
    .description('what a changed mapping would change: counts and samples')
    .option('--apply', 'put it in force')
    .option('--json', 'as JSON')
    .action(async (system: string | undefined, options: { apply?: boolean; json?: boolean }) => {
      await withApp(async (app) => {
        const systems = await buildSystems(app);
        const deps = activityDeps(app, systems, new AbortController().signal, { meter: NO_METER });
        const stored = new Map((await listSystems(app.db)).map((s) => [s.name, s.rulesHash]));
        try {
          for (const [name, runtime] of systems) {
            if (system !== undefined && name !== system) continue;
            const plan = await planMapping(deps, name);
            const changed = stored.get(name) !== runtime.rulesHash;
            if (options.json === true) printJson({ ...plan, changed });
            else {
              print(
                `${name}: ${changed ? 'the mapping changed' : 'the mapping is in force'}; ${plan.wouldChange} of ${plan.looked} contacts would change`,
              );
              for (const id of plan.samples) print(`  for example ${id}`);
            }
            if (options.apply === true)
              print(`  applied; ${await applyMapping(deps, name, actor())} are looked at again. Restart the workers.`);
          }
        } finally {
          for (const { connector } of systems.values()) connector.close();
        }
      });
    });
}
