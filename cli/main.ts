/** The `plumbline` command. */
import { CommanderError } from 'commander';
import { adoptLocalEnvironment } from '../config/environment.ts';
import { CommandProblem, EXIT } from './exit-codes.ts';
import { buildProgram } from './program.ts';

/** What goes wrong, as a plain sentence and an exit code; a defect keeps its stack. */
function explain(error: unknown): { text: string; code: number } {
  if (error instanceof CommanderError) return { text: '', code: error.exitCode === 0 ? EXIT.ok : EXIT.usage };
  if (error instanceof CommandProblem) return { text: error.message, code: error.exitCode };
  if (!(error instanceof Error)) return { text: String(error), code: EXIT.problem };
  const code = 'code' in error ? String(error.code) : '';
  if (['StartProblem', 'ConfigProblem', 'SecretMissing', 'EnvironmentProblem', 'PlainError'].includes(error.name)) {
    return { text: error.message, code: EXIT.unavailable };
  }
  if (['OperationRefused', 'FileProblem', 'KeyRefused', 'ContactRefused'].includes(error.name)) {
    return { text: error.message, code: EXIT.refused };
  }
  if (['ECONNREFUSED', 'ENOTFOUND', 'ETIMEDOUT', 'EHOSTUNREACH'].includes(code)) {
    return {
      text: `The database cannot be reached (${code}). Is it running, and is DATABASE_URL right?`,
      code: EXIT.unavailable,
    };
  }
  if (code === '28P01' || code === '28000')
    return { text: 'The database refuses the sign-in of DATABASE_URL.', code: EXIT.unavailable };
  if (code === '3D000') return { text: 'The database of DATABASE_URL does not exist.', code: EXIT.unavailable };
  if (code === '42501') {
    return {
      text: `The account of DATABASE_URL may not do this (${error.message.replace(/^.* - /s, '')}). Use the one for it: see docs/security.md, Accounts.`,
      code: EXIT.refused,
    };
  }
  if (code === '22P02') return { text: 'That is no id.', code: EXIT.usage };
  if (code === 'EADDRINUSE')
    return { text: 'The port is in use. Choose another one (PLUMBLINE_PORT_API).', code: EXIT.unavailable };
  if (error.name === 'ServiceError' || error.name === 'TransportError') {
    return { text: 'Temporal does not answer. Is it running, and is TEMPORAL_ADDRESS right?', code: EXIT.unavailable };
  }
  return { text: error.stack ?? error.message, code: EXIT.problem };
}

if (process.argv[1] === import.meta.filename) {
  try {
    adoptLocalEnvironment();
    const program = await buildProgram(process.argv[2]);
    await program.parseAsync();
    // A role that ended leaves pooled sockets behind for a while; everything of ours is closed by now.
    process.exit(process.exitCode ?? EXIT.ok);
  } catch (error) {
    const { text, code } = explain(error);
    if (text !== '') process.stderr.write(`${text}\n`);
    process.exit(code);
  }
}
