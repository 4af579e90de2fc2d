/**
 * Temporal's development server on this machine: one process, its store one SQLite file. Beside the file lie
 * `temporal.log` and `temporal.pid`. Good for one machine; more than that is a Temporal cluster by TEMPORAL_ADDRESS.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { PlainError, diskFull, portInUse, toPlainError } from './errors.ts';
import { stopRecorded, writeJsonFile } from './pid-files.ts';
import { fileSize, logTail, spawnDetached, stopProcess } from './processes.ts';
import type { RunningPart, Spawned, StopStep } from './processes.ts';
import type { Say } from './say.ts';
import { portIsFree } from './tcp.ts';

/** What to start and where. */
export interface TemporalOptions {
  /** The program, from `findTemporal`. */
  path: string;
  /** The SQLite file; its folder is made. */
  dataFile: string;
  /** gRPC, on 127.0.0.1. */
  port: number;
  /** Web UI, on 127.0.0.1; none without it. */
  uiPort?: number;
  namespace: string;
  /** Name to type: `{PlumblineSystem: 'Keyword'}`. They survive a restart, and naming them again does no harm. */
  searchAttributes: Readonly<Record<string, string>>;
  say: Say;
  /** Named in the sentence about a port in use. */
  portSetting?: string;
  uiPortSetting?: string;
  /** More arguments of `temporal server start-dev`. */
  extraArgs?: readonly string[];
  /** Gives up waiting when aborted. */
  stopping?: AbortSignal;
}

/** A server whose namespace and search attributes are there. */
export interface RunningTemporal extends RunningPart {
  /** `127.0.0.1:port`. */
  address: string;
  /** Web UI of the namespace; undefined when it has none. */
  uiUrl: string | undefined;
  namespace: string;
}

const orderly: StopStep[] = [{ signal: 'SIGINT', graceMs: 10_000 }];
const readyWithinMs = 60_000;

/**
 * Starts the server and waits until it can be used. One that a killed start left running on the same file is stopped
 * first. Throws a `PlainError` for what a user can mend.
 */
export async function startTemporal(options: TemporalOptions): Promise<RunningTemporal> {
  const { path, port, uiPort, namespace, say } = options;
  const dataFile = resolve(options.dataFile);
  const folder = dirname(dataFile);
  const pidFile = join(folder, 'temporal.pid');
  const logFile = join(folder, 'temporal.log');
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw toPlainError(error, { doing: 'making the folder of Temporal', path: folder });
  }
  if (await stopLeftOverTemporal(folder)) say('Stopped a Temporal server that an earlier start had left running.');
  if (!(await portIsFree(port))) throw portInUse(port, 'Temporal', options.portSetting);
  if (uiPort !== undefined && !(await portIsFree(uiPort))) {
    throw portInUse(uiPort, "Temporal's Web UI", options.uiPortSetting);
  }

  const logStart = fileSize(logFile);
  const server = await spawnDetached({
    command: path,
    args: serverArguments({ ...options, dataFile }),
    logFile,
    ifMissing: `The Temporal program ${path} is not there any more. Start again to get it anew.`,
  });
  const stop = async (steps: StopStep[]) => await stopProcess(server.pid, server.startMark, steps);
  void server.exited.then(() => rmSync(pidFile, { force: true }));
  try {
    if (server.startMark !== undefined) writeJsonFile(pidFile, { pid: server.pid, startMark: server.startMark });
  } catch (error) {
    // Nobody could find it again, so it must not go on.
    await stop([]);
    throw error;
  }
  const answer = await untilReady(server, options);
  if (answer !== 'ready') {
    await stop(orderly);
    const log = logTail(logFile, logStart);
    if (/no space left|disk is full/i.test(log)) throw diskFull(folder);
    if (/address already in use/i.test(log)) throw portInUse(port, 'Temporal', options.portSetting);
    throw new PlainError(`Temporal did not start: ${answer}. ${firstError(log)}The whole log is ${logFile}.`);
  }
  return {
    pid: server.pid,
    exited: server.exited,
    address: `127.0.0.1:${port}`,
    uiUrl: uiPort === undefined ? undefined : `http://127.0.0.1:${uiPort}/namespaces/${namespace}`,
    namespace,
    stop: () => stop(orderly),
    // SQLite's journal makes a kill harmless, and the server takes two seconds to stop by itself.
    stopNow: () => stop([]),
  };
}

/** Stops a server that still runs on a store in this folder. True if one did. */
export async function stopLeftOverTemporal(folder: string): Promise<boolean> {
  return await stopRecorded(join(resolve(folder), 'temporal.pid'), orderly);
}

function serverArguments(options: TemporalOptions): string[] {
  const { path, port, uiPort, namespace, searchAttributes } = options;
  const ui = uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)];
  // The news are fetched from the vendor's site; a `temporal` of the user's may be too old to know the flag.
  if (uiPort !== undefined && knowsFlag(path, '--ui-disable-news-fetch')) ui.push('--ui-disable-news-fetch');
  const attributes = Object.entries(searchAttributes).flatMap(([name, type]) => [
    '--search-attribute',
    `${name}=${type}`,
  ]);
  const store = ['--db-filename', options.dataFile, '--namespace', namespace, '--log-level', 'error'];
  const start = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port)];
  return [...start, ...ui, ...store, ...attributes, ...(options.extraArgs ?? [])];
}

function knowsFlag(path: string, flag: string): boolean {
  const help = spawnSync(path, ['server', 'start-dev', '--help'], { encoding: 'utf8', timeout: 10_000 });
  return (help.stdout ?? '').includes(flag);
}

/** Ready means more than an open port: the namespace and the search attributes are made a moment after it. */
async function untilReady(server: Spawned, options: TemporalOptions): Promise<string> {
  let ended = false;
  void server.exited.then(() => (ended = true));
  const deadline = Date.now() + readyWithinMs;
  let last = 'no answer';
  while (Date.now() < deadline) {
    if (ended) return 'it ended while starting';
    if (options.stopping?.aborted === true) return 'Plumbline is stopping';
    // A port that nobody listens on yet answers at once, while gRPC's own retry would wait a second.
    if (!(await portIsFree(options.port))) {
      try {
        await lookUp(`127.0.0.1:${options.port}`, options);
        return 'ready';
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
    }
    await sleep(40);
  }
  return `it was not ready within ${readyWithinMs / 1_000} s (${last})`;
}

async function lookUp(address: string, options: TemporalOptions): Promise<void> {
  const { namespace, searchAttributes } = options;
  const connection = await Connection.connect({ address, connectTimeout: 2_000 });
  try {
    await connection.withDeadline(Date.now() + 2_000, async () => {
      await connection.workflowService.describeNamespace({ namespace });
      const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
      const missing = Object.keys(searchAttributes).filter((name) => customAttributes?.[name] === undefined);
      if (missing.length > 0) throw new Error(`search attributes are not there yet: ${missing.join(', ')}`);
    });
  } finally {
    await connection.close();
  }
}

function firstError(log: string): string {
  const line = log.split('\n').find((text) => /error/i.test(text));
  return line === undefined ? '' : `It said: ${line.trim().slice(0, 300)}. `;
}
