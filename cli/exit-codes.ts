/** Exit codes of every command, for scripts. */
export const EXIT = {
  /** Done; nothing found wrong. */
  ok: 0,
  /** The command ran and found a problem (an audit log that does not verify, rejects, a mistake in the configuration). */
  problem: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** Something that is needed cannot be reached or is not set up. */
  unavailable: 3,
  /** What was asked for is not there, or not possible as things stand. */
  refused: 4,
} as const;

/** Ends a command with a plain sentence and a code. */
export class CommandProblem extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number = EXIT.refused) {
    super(message);
    this.name = 'CommandProblem';
    this.exitCode = exitCode;
  }
}
