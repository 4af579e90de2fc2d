/** The page of all commands, from their own help: `node cli/page.ts > docs/cli.md`. */
import type { Command } from 'commander';
import { buildProgram } from './program.ts';

/** Markdown, one section a command. */
export async function commandPage(): Promise<string> {
  const program = await buildProgram();
  const parts = [
    '# The plumbline command',
    '',
    'Beside a running `npm start` it finds the installation by itself: `npm run -s plumbline -- status`. Elsewhere it reads `DATABASE_URL`,',
    '`PLUMBLINE_CONFIG`, `PLUMBLINE_KEY` and Temporal’s variables (see [configuration](configuration.md)). Addresses are asked for or read from standard',
    'input, never taken as arguments, which other users of the machine could see.',
    '',
    '```',
    shown(program),
    '```',
    '',
  ];
  for (const command of program.commands) parts.push(...section(command, 2));
  return `${parts.join('\n').trimEnd()}\n`;
}

function section(command: Command, depth: number): string[] {
  const name = nameOf(command);
  const own = [`${'#'.repeat(Math.min(depth, 4))} ${name}`, '', '```', shown(command), '```', ''];
  return [...own, ...command.commands.flatMap((sub) => section(sub, depth + 1))];
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

/** The help with the texts after it. */
function shown(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => void (text += part) });
  command.outputHelp();
  return text.trimEnd();
}

if (process.argv[1] === import.meta.filename) process.stdout.write(await commandPage());
