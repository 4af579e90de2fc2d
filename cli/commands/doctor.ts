/** Looks at everything an installation leans on, and says of each what to do. Each look is by itself: what is away hides nothing else. */
import type { Command } from 'commander';
import { keyringFrom } from '../../store/keyring.ts';
import type { Keyring } from '../../store/keyring.ts';
import { EXIT } from '../exit-codes.ts';
import { paint, print, printJson } from '../ui/text.ts';
import { openedDatabase, looksAtDatabase } from '../doctor/database.ts';
import { looksAtConfiguration } from '../doctor/configuration.ts';
import { looksAtSystems } from '../doctor/systems.ts';
import { looksAtTemporal } from '../doctor/temporal.ts';
import type { Finding } from '../doctor/finding.ts';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check configuration, database, Temporal, clock and every vendor')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExit code 1 where something fails; what is only a warning does not count.\n\nExample:\n  plumbline doctor',
    )
    .action(async (options: { json?: boolean }) => {
      const findings = await examine((finding) => {
        if (options.json !== true) show(finding);
      });
      if (options.json === true) printJson(findings);
      if (findings.some(({ state }) => state === 'fail')) process.exitCode = EXIT.problem;
    });
}

async function examine(tell: (finding: Finding) => void): Promise<Finding[]> {
  const all: Finding[] = [];
  const take = (found: readonly Finding[]): void => {
    for (const one of found) tell(one);
    all.push(...found);
  };
  const { findings, config, keys } = await looksAtConfiguration();
  take(findings);
  const keyring: Keyring | null = keys === null ? null : keyringFrom(keys);
  const db = config === null ? null : openedDatabase(config);
  try {
    take(await looksAtDatabase(db, keyring));
    take(await looksAtTemporal());
    if (config !== null) take(await looksAtSystems(config, db, keyring));
  } finally {
    await db?.destroy();
  }
  return all;
}

const COLOUR = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

function show({ state, what, found, advice }: Finding): void {
  print(`${paint(COLOUR[state], state.padEnd(5))} ${what.padEnd(16)} ${found}`);
  if (advice !== undefined) print(`      ${''.padEnd(16)} ${advice}`);
}
