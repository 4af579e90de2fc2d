/** Erasure cases (GDPR Art. 17). The command line is a door that records who decided; whoever may use it is the machine's business. */
import type { Command } from 'commander';
import { SHORT_WORD } from '../../domain/short-word.ts';
import { getCase, listCases, openErasureCase, recordDecision } from '../../store/cases.ts';
import { getContact } from '../../store/contacts.ts';
import { asWriter } from '../../store/db.ts';
import { CommandProblem, EXIT } from '../exit-codes.ts';
import { moment, print, printJson, table } from '../ui/text.ts';
import { actor, asked, withApp } from '../with-app.ts';
import { daysLeft } from './status.ts';

export function addErasure(program: Command): void {
  const erasure = program.command('erasure').description('requests to be erased, decisions, progress');

  erasure
    .command('request')
    .argument('<contact>')
    .description('open a case; nothing is erased before it is approved')
    .action(async (contactId: string) => {
      await withApp(async ({ db, config, operations }) => {
        const contact = await getContact(db, contactId).catch(() => undefined);
        if (contact === undefined) throw new CommandProblem('There is no such contact.');
        if (contact.state === 'erased') throw new CommandProblem('This contact was erased before.');
        const opened = await asWriter(db, { actor: actor(), door: 'operator' }, (tx) =>
          openErasureCase(tx, { contactId, requestedBy: actor(), deadlineDays: config.erasure.deadlineDays }),
        );
        await asked(operations.openErasure(opened.id)).catch(() =>
          print('Temporal does not answer; the case starts when it is back.'),
        );
        print(`${opened.opened ? 'Opened' : 'Was open before'}: ${opened.id}`);
      });
    });

  erasure
    .command('list')
    .description('open cases, the nearest deadline first')
    .option('--closed', 'closed ones instead')
    .option('--json', 'as JSON')
    .action(async (options: { closed?: boolean; json?: boolean }) => {
      await withApp(async ({ db }) => {
        const cases = await listCases(db, { open: options.closed !== true });
        if (options.json === true) printJson(cases);
        else {
          table(
            ['case', 'state', 'deadline', 'days', 'asked by'],
            cases.map((c) => [
              c.id,
              c.state,
              c.deadline.slice(0, 10),
              c.closedAt === null ? daysLeft(c.deadline) : '–',
              c.requestedBy,
            ]),
          );
        }
      });
    });

  erasure
    .command('show')
    .argument('<case>')
    .description('steps, decision, what came of it in each system')
    .option('--json', 'as JSON')
    .action(async (id: string, options: { json?: boolean }) => {
      await withApp(async ({ db }) => {
        const found = await getCase(db, id).catch(() => undefined);
        if (found === undefined) throw new CommandProblem('There is no such case.');
        if (options.json === true) {
          printJson(found);
          return;
        }
        print(`Case ${found.id}: ${found.state}`);
        print(`  contact   ${found.contactId}`);
        print(`  asked     ${moment(found.requestedAt)} by ${found.requestedBy}`);
        print(`  deadline  ${moment(found.deadline)}`);
        if (found.decision !== null) {
          print(
            `  decision  ${found.decision} by ${found.decidedBy ?? ''}, ${moment(found.decidedAt)}${found.decisionGround === null ? '' : ` (${found.decisionGround})`}`,
          );
        }
        print();
        table(
          ['system', 'outcome', 'code', 'read back', 'look again'],
          Object.entries(found.summary ?? {}).map(([system, s]) => [
            system,
            s.outcome,
            s.code ?? null,
            moment(s.at ?? null),
            s.reviewOn ?? null,
          ]),
        );
      });
    });

  erasure
    .command('decide')
    .argument('<case>')
    .description('approve or refuse')
    .option('--approve', 'erase')
    .option('--refuse', 'do not erase; needs a ground')
    .option('--ground <word>', 'art17_1_b, legal_claim, identity_not_proven …')
    .addHelpText('after', '\nExample:\n  plumbline erasure decide 4f0c… --approve --ground art17_1_b')
    .action(async (id: string, options: { approve?: boolean; refuse?: boolean; ground?: string }) => {
      const verdict = verdictOf(options);
      await withApp(async ({ db, operations }) => {
        const found = await getCase(db, id).catch(() => undefined);
        if (found === undefined) throw new CommandProblem('There is no such case.');
        if (found.state !== 'open') throw new CommandProblem(`The case is decided: ${found.state}.`);
        const decisionId = await decide(db, `case:${id}`, verdict, options.ground);
        await asked(operations.decideErasure(id, decisionId));
        print(verdict === 'approve' ? 'Approved. `plumbline erasure show` tells how far it is.' : 'Refused.');
      });
    });
}

/** Which of the two flags was given. @throws CommandProblem when not exactly one, or a refusal has no ground */
export function verdictOf(options: { approve?: boolean; refuse?: boolean; ground?: string }): 'approve' | 'refuse' {
  if ((options.approve === true) === (options.refuse === true)) {
    throw new CommandProblem('Say --approve or --refuse.', EXIT.usage);
  }
  if (options.refuse === true && options.ground === undefined) {
    throw new CommandProblem('A refusal needs a --ground.', EXIT.usage);
  }
  if (options.ground !== undefined && !SHORT_WORD.test(options.ground)) {
    throw new CommandProblem(
      'The ground is a short word of small letters, digits, points, underscores and hyphens; it names no person.',
      EXIT.usage,
    );
  }
  return options.approve === true ? 'approve' : 'refuse';
}

type DbOf = Parameters<Parameters<typeof withApp>[0]>[0]['db'];

/** Records a decision in the operator's name. @returns the one-time id for the workflow */
export function decide(db: DbOf, subject: string, verdict: 'approve' | 'refuse', ground?: string): Promise<string> {
  return asWriter(db, { actor: actor(), door: 'operator' }, (tx) =>
    recordDecision(tx, { subject, verdict, decidedBy: actor(), ...(ground === undefined ? {} : { ground }) }),
  );
}
