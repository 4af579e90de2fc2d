/** The audit log: does it stand, and what does it say of a contact. */
import type { Command } from 'commander';
import { auditOf, verifyAudit } from '../../store/audit.ts';
import { EXIT } from '../exit-codes.ts';
import { moment, paint, print, printJson, table } from '../ui/text.ts';
import { withApp } from '../with-app.ts';

export function addAudit(program: Command): void {
  const audit = program.command('audit').description('the append-only log of what was done');
  audit
    .command('verify')
    .description('recompute the whole chain; exit code 1 when an entry was changed, removed or inserted')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nKeep the head that it prints elsewhere: a rewritten log has another one.')
    .action(async (options: { json?: boolean }) => {
      await withApp(async ({ db }) => {
        const verdict = await verifyAudit(db);
        if (options.json === true) printJson(verdict);
        else {
          print(
            verdict.ok
              ? paint('green', `The audit log stands: ${verdict.sealed} entries.`)
              : paint('red', 'The audit log does NOT stand.'),
          );
          if (verdict.problem !== null) {
            const { kind, seq, entryId } = verdict.problem;
            print(`  first problem: ${kind}, at position ${seq ?? '–'}, entry ${entryId ?? '–'}`);
          }
          print(`  not sealed yet: ${verdict.unsealed}`);
          print(`  head: ${verdict.head ?? '–'}`);
        }
        if (!verdict.ok) process.exitCode = EXIT.problem;
      });
    });
  audit
    .command('show')
    .description('entries of one contact, the newest first')
    .requiredOption('--contact <id>')
    .option('--json', 'as JSON')
    .action(async (options: { contact: string; json?: boolean }) => {
      await withApp(async ({ db }) => {
        const entries = await auditOf(db, options.contact);
        if (options.json === true) printJson(entries);
        else
          table(
            ['entry', 'when', 'what', 'who', 'system'],
            entries.map((a) => [a.id, moment(a.at), a.kind, a.actor, a.system]),
          );
      });
    });
}
