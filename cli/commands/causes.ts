/** What stops deliveries: one thing to do, however many contacts it concerns. */
import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { adviceFor } from '../../domain/advice.ts';
import { SHORT_WORD } from '../../domain/short-word.ts';
import { contactsOfCause, getCause, listCauses } from '../../store/causes.ts';
import type { Cause } from '../../store/causes.ts';
import { CommandProblem, EXIT } from '../exit-codes.ts';
import { moment, print, printJson, table } from '../ui/text.ts';
import { actor, asked, withApp } from '../with-app.ts';

const SAMPLES = 5;

export function addCauses(program: Command): void {
  program
    .command('causes')
    .argument('[system]')
    .description('what stops deliveries, grouped by what there is to do')
    .option('--closed', 'those that were closed last instead')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  plumbline causes hubspot-main')
    .action(async (system: string | undefined, options: { closed?: boolean; json?: boolean }) => {
      await withApp(async ({ db }) => {
        const found = await listCauses(db, {
          closed: options.closed === true,
          ...(system === undefined ? {} : { system }),
        });
        if (options.json === true) printJson(found.map((c) => ({ ...c, advice: adviceFor(c.kind, c.code) })));
        else showAll(found);
        if (options.closed !== true && found.length > 0) process.exitCode = EXIT.problem;
      });
    });

  const cause = program.command('cause').description('one cause: read it, and do something about it');
  cause
    .command('show')
    .argument('<id>')
    .description('what is wrong, how many it stops, what to do')
    .option('--json', 'as JSON')
    .action(async (id: string, options: { json?: boolean }) => {
      await withApp(async (app) => {
        const one = await known(app, id);
        const contactIds = one.closedAt === null ? await contactsOfCause(app.db, one, null, SAMPLES) : [];
        if (options.json === true) printJson({ ...one, advice: adviceFor(one.kind, one.code), contactIds });
        else showOne(one, contactIds, app.operations.temporalUi({ kind: 'cause', id }));
      });
    });
  cause
    .command('retry')
    .argument('<id>')
    .description('try all of its deliveries again')
    .action(async (id: string) => resolve(id, { action: 'retry' }));
  cause
    .command('skip')
    .argument('<id>')
    .description('accept its deliveries as they are, until the contacts change')
    .requiredOption('--reason <word>', 'why, in one short word: vendor_keeps_it, agreed_with_lead …')
    .action(async (id: string, { reason }: { reason: string }) =>
      resolve(id, { action: 'skip', reason: word('--reason', reason) }),
    );
  cause
    .command('hand-over')
    .argument('<id>')
    .description('say who sees to it')
    .requiredOption('--to <name>', 'a team or an account, in one short word')
    .action(async (id: string, { to }: { to: string }) => resolve(id, { action: 'hand_over', to: word('--to', to) }));
}

function word(option: string, text: string): string {
  if (SHORT_WORD.test(text)) return text;
  throw new CommandProblem(`${option} is one short word of a-z, 0-9, _ . and -.`, EXIT.usage);
}

async function known({ db }: App, id: string): Promise<Cause> {
  const found = await getCause(db, id);
  if (found === undefined) throw new CommandProblem('There is no such cause.', EXIT.refused);
  return found;
}

async function resolve(
  id: string,
  what: { action: Cause['action'] & string; reason?: string; to?: string },
): Promise<void> {
  await withApp(async ({ operations }) => {
    print(await asked(operations.resolveCause(id, { ...what, by: actor() })));
  });
}

function showAll(causes: readonly Cause[]): void {
  if (causes.length === 0) {
    print('Nothing stops a delivery.');
    return;
  }
  for (const cause of causes) {
    print(
      `${cause.system}: ${cause.contacts} × ${wrong(cause)}${cause.assignedTo === null ? '' : `, with ${cause.assignedTo}`}`,
    );
    print(`  ${cause.resolution ?? adviceFor(cause.kind, cause.code)}`);
    print(`  ${cause.id}`);
  }
}

function wrong({ kind, code, field }: Cause): string {
  return [kind, code, field === null ? null : `(${field})`].filter((part) => part !== null).join(' ');
}

function showOne(cause: Cause, contactIds: readonly string[], ui: string | null): void {
  print(`${cause.system}: ${wrong(cause)}`);
  print(adviceFor(cause.kind, cause.code));
  print();
  table(
    ['stops', 'part', 'since', 'state', 'with'],
    [[cause.contacts, cause.part, moment(cause.openedAt), cause.resolution ?? 'open', cause.assignedTo]],
  );
  if (cause.action !== null)
    print(`last done: ${cause.action}${cause.reason === null ? '' : ` (${cause.reason})`} by ${cause.actedBy}`);
  for (const id of contactIds) print(`for example ${id}`);
  if (ui !== null) print(ui);
}
