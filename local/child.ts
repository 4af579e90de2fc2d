/** A process of ours (worker, API, a sandbox): started with a log file, waited for, found again after a crash of the rig. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlainError } from './errors.ts';
import { stopRecorded, writeJsonFile } from './pid-files.ts';
import { fileSize, logTail, spawnDetached, stopProcess } from './processes.ts';
import type { RunningPart, Spawned } from './processes.ts';
import type { Say } from './say.ts';

/** When a process counts as ready: a line of its log matches, or a URL answers 2xx. */
export type Ready = { line: RegExp } | { url: string };

/** What to run. Output goes to `<dataDir>/logs/<name>.log`, its identity to `<dataDir>/run/<name>.pid`. */
export interface ChildOptions {
  name: string;
  dataDir: string;
  /** Arguments of this Node: flags, the file, its arguments. */
  args: readonly string[];
  /** Another program than this Node. */
  command?: string;
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  ready: Ready;
  /** Default 60,000. */
  readyWithinMs?: number;
  /** How long it may take to end after SIGTERM before it is killed. Default 10,000; a worker drains within 30,000. */
  graceMs?: number;
  /** Gives up waiting when aborted. */
  stopping?: AbortSignal;
}

const defaultGraceMs = 10_000;

/** Starts it and waits until it is ready. Throws a `PlainError` with the end of its log when it ends or stays silent. */
export async function startChild(options: ChildOptions): Promise<RunningPart> {
  const { name, dataDir } = options;
  const logFile = join(dataDir, 'logs', `${name}.log`);
  const logStart = fileSize(logFile);
  const child = await spawnDetached({
    command: options.command ?? process.execPath,
    args: options.args,
    logFile,
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  if (child.startMark !== undefined) {
    try {
      writeJsonFile(pidFile(dataDir, name), { pid: child.pid, startMark: child.startMark });
    } catch (error) {
      // Nobody could find it again, so it must not go on.
      await stopProcess(child.pid, child.startMark, []);
      throw error;
    }
  }
  const failure = await whyNotReady(child, options, logFile, logStart);
  if (failure !== undefined) {
    await stopProcess(child.pid, child.startMark, [{ signal: 'SIGTERM', graceMs: 1_000 }]);
    throw new PlainError(`${name} ${failure}. ${lastLines(logTail(logFile, logStart))}The whole log is ${logFile}.`);
  }
  const graceMs = options.graceMs ?? defaultGraceMs;
  return {
    pid: child.pid,
    exited: child.exited,
    stop: () => stopProcess(child.pid, child.startMark, [{ signal: 'SIGTERM', graceMs }]),
    stopNow: () => stopProcess(child.pid, child.startMark, []),
  };
}

async function whyNotReady(
  child: Spawned,
  { ready, readyWithinMs = 60_000, stopping }: ChildOptions,
  logFile: string,
  logStart: number,
): Promise<string | undefined> {
  let ended: string | undefined;
  void child.exited.then(({ code, signal }) => (ended = signal === null ? `with exit code ${code}` : `by ${signal}`));
  const deadline = Date.now() + readyWithinMs;
  while (Date.now() < deadline) {
    const isReady = 'line' in ready ? ready.line.test(logTail(logFile, logStart, 1_000_000)) : await answers(ready.url);
    // A URL may be answered by somebody else on the port while our process has ended.
    if (ended !== undefined) return `ended while starting, ${ended}`;
    if (isReady) return undefined;
    if (stopping?.aborted === true) return 'was not waited for, as Plumbline is stopping';
    await sleep(50);
  }
  return `was not ready within ${readyWithinMs / 1_000} s`;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

function lastLines(log: string): string {
  const lines = log.trimEnd().split('\n').filter(Boolean).slice(-5);
  return lines.length === 0 ? 'It wrote nothing. ' : `Its last lines were:\n${lines.join('\n')}\n`;
}

function pidFile(dataDir: string, name: string): string {
  return join(dataDir, 'run', `${name}.pid`);
}

/**
 * Stops processes of ours that a killed or half-finished start left running in this data folder. The start mark in each
 * pid file keeps a stranger with the same pid unharmed. PostgreSQL and Temporal are looked after by their own start.
 */
export async function stopLeftOverChildren(dataDir: string, say: Say): Promise<void> {
  const folder = join(dataDir, 'run');
  let files: string[];
  try {
    files = readdirSync(folder).filter((name) => name.endsWith('.pid'));
  } catch {
    return;
  }
  const stopped = await Promise.all(
    files.map(async (file) => {
      const steps = [{ signal: 'SIGTERM' as const, graceMs: defaultGraceMs }];
      return (await stopRecorded(join(folder, file), steps)) ? file.slice(0, -'.pid'.length) : undefined;
    }),
  );
  const names = stopped.filter((name) => name !== undefined);
  if (names.length > 0) say(`Stopped what an earlier start had left running: ${names.sort().join(', ')}.`);
}
