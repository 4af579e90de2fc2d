/** One start at a time in a data folder: a file with the pid of the process that holds it. */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PlainError, errorCode, toPlainError } from './errors.ts';
import { recordedProcess } from './pid-files.ts';
import { startMark } from './processes.ts';

/** Lets go of the folder. */
export type Release = () => void;

/**
 * Takes the data folder for this process, making it when it is not there. Throws a `PlainError` when another start that
 * still runs holds it; a lock whose process is gone is taken over.
 */
export function lockDataDir(dataDir: string): Release {
  const path = join(dataDir, 'lock');
  const mine = `${path}.${process.pid}`;
  try {
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(mine, JSON.stringify({ pid: process.pid, startMark: startMark(process.pid) }));
  } catch (error) {
    throw toPlainError(error, { doing: 'taking the data folder', path: dataDir });
  }
  try {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      try {
        // A link is made whole or not at all, so nobody ever reads a lock without its pid.
        linkSync(mine, path);
        return () => releaseIfMine(path);
      } catch (error) {
        if (errorCode(error) !== 'EEXIST')
          throw toPlainError(error, { doing: 'taking the data folder', path: dataDir });
      }
      const holder = recordedProcess(path);
      if (holder !== undefined) {
        throw new PlainError(
          `Plumbline is already running in ${dataDir} (process ${holder.pid}). Stop it with Ctrl-C or "kill ${holder.pid}", or give this one a data folder of its own.`,
        );
      }
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
  throw new PlainError(`Several starts want ${dataDir} at the same moment. Start one of them again.`);
}

function releaseIfMine(path: string): void {
  try {
    if ((JSON.parse(readFileSync(path, 'utf8')) as { pid?: number }).pid === process.pid) rmSync(path);
  } catch {
    // It is gone already, and that is all that was wanted.
  }
}
