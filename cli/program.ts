/** The programme as commander knows it. Each group of commands is loaded when it is asked for, so that help is quick. */
import { Command } from 'commander';
import { EXIT } from './exit-codes.ts';

const GROUPS: Record<string, () => Promise<(program: Command) => void>> = {
  'worker api migrate sandbox config': async () => (await import('./commands/roles.ts')).addRoles,
  'key keyring': async () => (await import('./commands/keys.ts')).addKeys,
  db: async () => (await import('./commands/db.ts')).addDb,
  status: async () => (await import('./commands/status.ts')).addStatus,
  contact: async () => (await import('./commands/contact.ts')).addContact,
  consent: async () => (await import('./commands/consent.ts')).addConsent,
  erasure: async () => (await import('./commands/erasure.ts')).addErasure,
  'retention reconcile': async () => (await import('./commands/runs.ts')).addRuns,
  'pause resume retry problems plan': async () => (await import('./commands/systems.ts')).addSystems,
  deliveries: async () => (await import('./commands/deliveries.ts')).addDeliveries,
  doctor: async () => (await import('./commands/doctor.ts')).addDoctor,
  completion: async () => (await import('./commands/completion.ts')).addCompletion,
  'causes cause': async () => (await import('./commands/causes.ts')).addCauses,
  audit: async () => (await import('./commands/audit.ts')).addAudit,
  import: async () => (await import('./commands/import.ts')).addImport,
};

/** The whole programme, or only the group of one command. */
export async function buildProgram(only?: string): Promise<Command> {
  const program = new Command('plumbline')
    .description('One contact record, true everywhere.')
    .showSuggestionAfterError()
    .configureHelp({ helpWidth: 80 })
    .exitOverride()
    .addHelpText(
      'after',
      `\nExit codes: ${EXIT.ok} done, ${EXIT.problem} a problem was found, ${EXIT.usage} the command line makes no sense,\n${EXIT.unavailable} something needed is out of reach, ${EXIT.refused} not there or not possible.`,
    );
  const groups = Object.entries(GROUPS);
  const wanted = groups.filter(([names]) => only === undefined || names.split(' ').includes(only));
  for (const [, load] of wanted.length > 0 ? wanted : groups) (await load())(program);
  return program;
}
