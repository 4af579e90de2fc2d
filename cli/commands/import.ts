/** CSV into the record, by stream. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { CommandProblem, EXIT } from '../exit-codes.ts';
import { print, printJson } from '../ui/text.ts';
import { actor, withApp } from '../with-app.ts';

export function addImport(program: Command): void {
  program
    .command('import')
    .argument('<file>', 'CSV in UTF-8 with a header')
    .description('bring contacts into the record, by external reference or address')
    .option('--dry-run', 'say what would come of it; write nothing but the rejects')
    .option('--map <column=field>', 'a column under another name; repeat it', collect, {})
    .option('--ignore <column>', 'a column that is not for us; repeat it', append, [])
    .option('--rejects <file>', 'where rejected rows go, with line, column and reason')
    .option('--empty-clears', 'an empty cell empties the field')
    .option('--reason <text>', 'why; kept with the versions')
    .option('--json', 'the summary as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  plumbline import people.csv --dry-run --rejects bad.csv\n  plumbline import people.csv --map "E-Mail=emails.0" --map Surname=familyName',
    )
    .action(async (file: string, options: Options) => {
      const { importCsv } = await import('../../import/import-csv.ts');
      const info = await stat(file).catch(() => undefined);
      if (info?.isFile() !== true) throw new CommandProblem('There is no such file.', EXIT.usage);
      // Rows are short-lived: a heap that grows by a third before it is collected needs half the memory at little cost.
      setFlagsFromString('--heap-growing-percent=30');
      const bar = process.stderr.isTTY && options.json !== true;
      await withApp(async ({ db, keyring, config }) => {
        const summary = await importCsv({
          db,
          keyring,
          input: createReadStream(file),
          mapping: { columns: options.map, ignore: options.ignore },
          attributes: config.attributes,
          purposes: Object.keys(config.purposes),
          emptyClears: options.emptyClears ?? false,
          dryRun: options.dryRun ?? false,
          rejectsPath: options.rejects ?? null,
          actor: actor(),
          ...(options.reason === undefined ? {} : { reason: options.reason }),
          ...(bar
            ? { onProgress: (now: { read: number }) => void process.stderr.write(`\r${now.read} rows read …`) }
            : {}),
        });
        if (bar) process.stderr.write('\r\u001b[K');
        if (options.json === true) printJson(summary);
        else {
          if (options.dryRun === true) print('Dry run: nothing was written.');
          for (const [name, count] of Object.entries(summary))
            if (typeof count === 'number') print(`  ${name.padEnd(14)} ${count}`);
          for (const [code, count] of Object.entries(summary.reasons)) print(`  rejected: ${code.padEnd(24)} ${count}`);
          for (const [code, count] of Object.entries(summary.warnings))
            print(`  remark:   ${code.padEnd(24)} ${count}`);
          if (summary.rejected > 0 && options.rejects === undefined)
            print('Say --rejects FILE to keep the rejected rows with their reasons.');
        }
        if (summary.rejected > 0) process.exitCode = EXIT.problem;
      });
    });
}

interface Options {
  dryRun?: boolean;
  map: Record<string, string>;
  ignore: string[];
  rejects?: string;
  emptyClears?: boolean;
  reason?: string;
  json?: boolean;
}

function collect(pair: string, so: Record<string, string>): Record<string, string> {
  const at = pair.lastIndexOf('=');
  if (at < 1) throw new CommandProblem('A mapping is written column=field.', EXIT.usage);
  return { ...so, [pair.slice(0, at)]: pair.slice(at + 1) };
}

function append(value: string, so: string[]): string[] {
  return [...so, value];
}
