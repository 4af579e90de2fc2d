/**
 * Processes that outlive a Ctrl-C and are recognised after a crash of ours.
 *
 * Each server runs in a process group of its own: a terminal sends SIGINT to the whole foreground group, and PostgreSQL
 * must not stop before the worker has drained. Output goes to a file, never a pipe: a pipe dies with us, and the next
 * write would kill a server that was to be found again.
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { toPlainError } from './errors.ts';

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Something that runs as a process of ours and can be stopped: what the supervisor holds. */
export interface RunningPart {
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<Exit>;
  /** Ends it in order, however long its grace is; harmless when it has ended. */
  stop(): Promise<void>;
  /** Ends it at once, losing nothing that it had made durable. */
  stopNow(): Promise<void>;
}

/** What to run and where its output goes. */
export interface SpawnOptions {
  command: string;
  args: readonly string[];
  logFile: string;
  /** Added to the environment of this process. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** The sentence for a program that is not there. */
  ifMissing?: string;
}

/** A spawned process with its identity. */
export interface Spawned {
  pid: number;
  exited: Promise<Exit>;
  /** Tells this process from a later one with the same pid. */
  startMark: string | undefined;
}

/** Starts a process in its own group. Rejects with a `PlainError` when the program is missing or may not be run. */
export async function spawnDetached(options: SpawnOptions): Promise<Spawned> {
  const { command, args, logFile } = options;
  const log = openLog(logFile);
  try {
    const child = spawn(command, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    const exited = new Promise<Exit>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const pid = child.pid as number;
    return { pid, exited, startMark: startMark(pid) };
  } catch (error) {
    throw toPlainError(error, {
      doing: `starting ${command}`,
      path: command,
      ...(options.ifMissing === undefined ? {} : { ifMissing: options.ifMissing }),
    });
  } finally {
    closeSync(log);
  }
}

const LOG_LIMIT_BYTES = 20_000_000;

/** Opens a log for appending; one over 20 MB is set aside as `….1` first, so that a rig of months fills no disk. */
export function openLog(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`);
    return openSync(path, 'a', 0o600);
  } catch (error) {
    throw toPlainError(error, { doing: 'opening a log file', path });
  }
}

/** The end of a log, from `fromByte` on when that is known, at most `maxBytes`; empty when there is none. */
export function logTail(path: string, fromByte = 0, maxBytes = 4_000): string {
  try {
    const bytes = readFileSync(path);
    return bytes.subarray(Math.max(fromByte, bytes.length - maxBytes, 0)).toString('utf8');
  } catch {
    return '';
  }
}

/** Size of a file in bytes, 0 when there is none. */
export function fileSize(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * A text that is the same for one process all its life and differs for any later process with its pid: the boot and
 * the start time in it (proc(5), field 22). Undefined when there is no such process, or only a zombie is left of it.
 */
export function startMark(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The command name is in parentheses and may itself hold spaces and parentheses, so count from the last one.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      return `${boot}:${fields[19]}`;
    } catch {
      return undefined;
    }
  }
  const line = ps(pid, 'stat=,lstart=');
  if (line === undefined || line.startsWith('Z')) return undefined;
  return line.slice(line.indexOf(' ')).trim();
}

/** The command line of a process, arguments joined by spaces; undefined when there is no such process. */
export function commandOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return ps(pid, 'command=');
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return undefined;
  }
}

function ps(pid: number, columns: string): string | undefined {
  const answer = spawnSync('ps', ['-o', columns, '-p', String(pid)], { encoding: 'utf8' });
  const line = (answer.stdout ?? '').trim();
  return answer.status === 0 && line !== '' ? line : undefined;
}

/** A signal and how long to wait for its effect. */
export interface StopStep {
  signal: NodeJS.Signals;
  graceMs: number;
}

/**
 * Ends a process by the given signals, each with its grace, and by SIGKILL to its group when none was enough. The mark
 * guards a stranger that has got the pid since. Resolves when the process is gone.
 */
export async function stopProcess(pid: number, mark: string | undefined, steps: readonly StopStep[]): Promise<void> {
  if (mark === undefined) return;
  for (const step of [...steps, { signal: 'SIGKILL' as const, graceMs: 5_000 }]) {
    if (startMark(pid) !== mark) return;
    send(pid, step.signal);
    const deadline = Date.now() + step.graceMs;
    while (Date.now() < deadline) {
      if (startMark(pid) !== mark) return;
      await sleep(20);
    }
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    // What a killed server started must go with it; an orderly stop is the server's own business.
    process.kill(signal === 'SIGKILL' ? -pid : pid, signal);
  } catch {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended between the look and the signal: just what was wanted.
    }
  }
}
