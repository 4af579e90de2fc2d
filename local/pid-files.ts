/** Small files that say which process is ours, so that the next start finds what a killed one left running. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { toPlainError } from './errors.ts';
import { startMark, stopProcess } from './processes.ts';
import type { StopStep } from './processes.ts';

/** A process with the mark that tells it from a later one of the same pid. */
export interface ProcessRecord {
  pid: number;
  startMark: string;
}

/** Writes a small JSON file so that a reader sees the old or the new one, never half of it. */
export function writeJsonFile(path: string, value: unknown): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.new`, `${JSON.stringify(value)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw toPlainError(error, { doing: 'writing the data folder', path });
  }
}

/** Reads such a file; undefined when it is missing or not JSON (a torn file of a crashed machine says nothing). */
export function readJsonFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The process that a pid file names, if it still runs. */
export function recordedProcess(path: string): ProcessRecord | undefined {
  const value = readJsonFile(path);
  if (typeof value !== 'object' || value === null || !('pid' in value) || !('startMark' in value)) return undefined;
  const { pid, startMark: mark } = value;
  if (typeof pid !== 'number' || typeof mark !== 'string') return undefined;
  return startMark(pid) === mark ? { pid, startMark: mark } : undefined;
}

/** Stops the process that a pid file names and removes the file. True when there was one to stop. */
export async function stopRecorded(path: string, steps: readonly StopStep[]): Promise<boolean> {
  const found = recordedProcess(path);
  if (found !== undefined) await stopProcess(found.pid, found.startMark, steps);
  rmSync(path, { force: true });
  return found !== undefined;
}
