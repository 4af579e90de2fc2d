/** Who may do what in the database. */
import type { Command } from 'commander';
import { print } from '../ui/text.ts';

export function addDb(program: Command): void {
  program
    .command('db')
    .description('the database')
    .command('grants')
    .description('print the SQL that makes the group roles, for an administrator')
    .action(async () => {
      const { grantsFile } = await import('../../store/roles.ts');
      print(grantsFile().trimEnd());
    });
}
