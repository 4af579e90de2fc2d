/** Who may be written to, and why the others may not. */
import type { Command } from 'commander';
import { consentState } from '../../domain/consent.ts';
import { csvLine } from '../../domain/csv-line.ts';
import { appendAudit } from '../../store/audit.ts';
import { consentEventsOf, knownStatements } from '../../store/consents.ts';
import { rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { recipients } from '../../store/recipients.ts';
import { CommandProblem } from '../exit-codes.ts';
import { print, printJson, table } from '../ui/text.ts';
import { actor, withApp } from '../with-app.ts';

const PAGE = 1_000;

export function addConsent(program: Command): void {
  const consent = program.command('consent').description('evidence of consent and what follows from it');
  consent
    .command('recipients')
    .description('who may be written to for a purpose: a count, or the list as CSV')
    .requiredOption('--purpose <name>', 'a purpose of the configuration')
    .option('--csv', 'the list, to standard output')
    .option('--json', 'the counts as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  plumbline consent recipients --purpose newsletter\n  plumbline consent recipients --purpose newsletter --csv > list.csv',
    )
    .action(async (options: { purpose: string; csv?: boolean; json?: boolean }) => {
      await withApp(async ({ db, keyring, config }) => {
        if (!Object.hasOwn(config.purposes, options.purpose)) {
          throw new CommandProblem(
            `There is no purpose '${options.purpose}'; there are: ${Object.keys(config.purposes).join(', ')}.`,
          );
        }
        let permitted = 0;
        if (options.csv === true)
          process.stdout.write(
            csvLine(['contact', 'email', 'given_name', 'family_name', 'organisation', 'since', 'evidence']),
          );
        for await (const page of recipients(db, keyring, options.purpose)) {
          permitted += page.length;
          if (options.csv !== true) continue;
          for (const r of page) {
            process.stdout.write(
              csvLine([r.contactId, r.email, r.givenName, r.familyName, r.organisation, r.since, r.evidence]),
            );
          }
        }
        if (options.csv === true) {
          await appendAudit(db, {
            kind: 'recipients.exported',
            actor: actor(),
            door: 'operator',
            detail: { purpose: options.purpose, count: permitted },
          });
          return;
        }
        const states = await countStates(db, options.purpose);
        if (options.json === true) printJson({ purpose: options.purpose, permitted, states });
        else {
          print(`${permitted} addresses may be written to for ${options.purpose}.`);
          print();
          table(['state', 'contacts'], Object.entries(states));
        }
      });
    });
}

/** Active contacts by state of consent, page by page. */
async function countStates(db: Db, purpose: string): Promise<Record<string, number>> {
  const statements = await knownStatements(db);
  const counts: Record<string, number> = { given: 0, unknown: 0, refused: 0, withdrawn: 0 };
  for (let after = 0; ;) {
    const page = await rows<{ id: string; seq: number }>(
      db,
      `select id, seq from contacts where state = 'active' and seq > ? order by seq limit ?`,
      [after, PAGE],
    );
    const events = await consentEventsOf(
      db,
      page.map((p) => p.id),
    );
    for (const { id } of page) {
      const own = (events.get(id) ?? []).filter((e) => e.purpose === purpose);
      const { state } = consentState(own, statements);
      counts[state] = (counts[state] ?? 0) + 1;
    }
    after = page.at(-1)?.seq ?? after;
    if (page.length < PAGE) return counts;
  }
}
