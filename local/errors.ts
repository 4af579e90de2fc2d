/**
 * Errors that a person can act on. Everything that starts things on one machine throws a `PlainError`: one sentence on
 * what happened, one on what to do. Entry points print its message alone; any other error is a defect and keeps its stack.
 */
export class PlainError extends Error {
  override readonly name = 'PlainError';
}

/** What was being done, in words that fit after "while", and where. */
export interface ErrorContext {
  /** For example `writing the data folder`. */
  doing: string;
  /** The file or folder concerned, if there is one. */
  path?: string;
  /** The port concerned and the setting that moves it. */
  port?: { number: number; setting?: string };
  /** What to do when a program is missing (ENOENT of a spawn). */
  ifMissing?: string;
}

/** The sentence for a port that something else listens on, or that is wanted twice (`by` names the other). */
export function portInUse(port: number, what: string, setting?: string, by = 'another program'): PlainError {
  const remedy =
    setting === undefined ? 'Stop that program, or choose another port' : `Stop it, or set ${setting} to a free port`;
  return new PlainError(`Port ${port}, wanted for ${what}, is used by ${by}. ${remedy}.`);
}

/** The sentence for a full disk. */
export function diskFull(path: string): PlainError {
  return new PlainError(
    `The disk that holds ${path} is full. Free some space (Plumbline wants about 1 GB) and start again; nothing stored is lost.`,
  );
}

/**
 * Turns the errors of the operating system that a user can cause into sentences. A `PlainError` passes through, an
 * error that is none of these comes back unchanged, because hiding the stack of a defect helps nobody.
 */
export function toPlainError(error: unknown, context: ErrorContext): unknown {
  if (error instanceof PlainError) return error;
  const where = context.path ?? 'the data folder';
  switch (errorCode(error) ?? '') {
    case 'EADDRINUSE':
      return portInUse(context.port?.number ?? 0, context.doing, context.port?.setting);
    case 'ENOSPC':
    case 'EDQUOT':
      return diskFull(where);
    case 'EACCES':
    case 'EPERM':
      return new PlainError(
        `No permission while ${context.doing}: ${where}. It may belong to another user; start Plumbline as that user, or give it to yourself with chown.`,
      );
    case 'EROFS':
      return new PlainError(
        `${where} is on a read-only file system (while ${context.doing}). Choose a folder that can be written.`,
      );
    case 'ENOENT':
      return context.ifMissing === undefined ? error : new PlainError(context.ifMissing);
    default:
      return error;
  }
}

/** The `code` of a Node error (`ENOENT` and so on), or undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
