/** The ledger as an operator reads it: of one contact in every system, or of one system what is due or stopped. */
import type { Command } from 'commander';
import { deliveriesOf, listDeliveries } from '../../store/delivery-views.ts';
import type { ListedState } from '../../store/delivery-views.ts';
import { CommandProblem, EXIT } from '../exit-codes.ts';
import { moment, print, printJson, table } from '../ui/text.ts';
import { withApp } from '../with-app.ts';

const STATES = ['due', 'problem', 'skipped'] as const satisfies readonly ListedState[];
const AT_MOST = 1_000;

export function addDeliveries(program: Command): void {
  program
    .command('deliveries')
    .argument('[contact]', 'id of a contact: where it stands in every system')
    .description('what each system should hold and holds; or what is due or stopped')
    .option('--system <name>', 'of one system')
    .option('--state <state>', 'due, problem or skipped', 'due')
    .option('--limit <n>', 'rows at most', '50')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  plumbline deliveries 0199f0a2-…\n  plumbline deliveries --system xero-uk --state problem',
    )
    .action(async (contact: string | undefined, options: Options) => {
      if (contact === undefined) await ofSystem(options);
      else await ofContact(contact, options.json === true);
    });
}

interface Options {
  system?: string;
  state: string;
  limit: string;
  json?: boolean;
}

async function ofContact(id: string, json: boolean): Promise<void> {
  await withApp(async ({ db }) => {
    const found = await deliveriesOf(db, id);
    if (found.length === 0) throw new CommandProblem('There is no such contact.', EXIT.refused);
    if (json) printJson(found);
    else
      table(
        ['system', 'state', 'data', 'consent', 'version', 'read back'],
        found.map((d) => [
          d.system,
          d.state,
          d.data.code ?? d.data.outcome,
          d.consent.code ?? d.consent.outcome,
          d.contactVersion,
          moment(d.verifiedAt),
        ]),
      );
  });
}

async function ofSystem({ system, state, limit, json }: Options): Promise<void> {
  const wanted = STATES.find((s) => s === state);
  if (wanted === undefined) throw new CommandProblem(`--state is one of ${STATES.join(', ')}.`, EXIT.usage);
  const atMost = Number(limit);
  if (!Number.isInteger(atMost) || atMost < 1 || atMost > AT_MOST)
    throw new CommandProblem(`--limit is a number from 1 to ${AT_MOST}.`, EXIT.usage);
  await withApp(async ({ db }) => {
    const found = await listDeliveries(db, {
      state: wanted,
      ...(system === undefined ? {} : { system }),
      limit: atMost,
    });
    if (json === true) printJson(found);
    else if (found.length === 0) print('There is none.');
    else
      table(
        ['contact', 'system', 'since', 'code'],
        found.map((d) => [d.contactId, d.system, moment(d.since), d.code]),
      );
  });
}
