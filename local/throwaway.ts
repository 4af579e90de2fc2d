/**
 * Servers that are thrown away with the process that started them: one PostgreSQL, one Temporal, in a temporary folder, on ports
 * nobody uses. For tests, measurements and fault campaigns.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordedProcess, stopRecorded, writeJsonFile } from './pid-files.ts';
import { startPostgres, stopLeftOverPostgres } from './postgres.ts';
import { startMark } from './processes.ts';
import type { RunningPart } from './processes.ts';
import type { Say } from './say.ts';
import { anyFreePort } from './tcp.ts';
import { findTemporal, userCacheDir } from './temporal-binary.ts';
import { startTemporal } from './temporal-server.ts';

/** The search attributes that Plumbline registers. */
export const searchAttributes = {
  PlumblineSystem: 'Keyword',
  PlumblineState: 'Keyword',
  PlumblineCase: 'Keyword',
} as const;

/** A server of this process. `address` is a PostgreSQL URL (database `postgres`, superuser), or Temporal's `host:port`. */
export interface ThrowawayServer {
  address: string;
  pid: number;
  stop(): Promise<void>;
}

const prefix = 'plumbline-throwaway-';

/** Where downloaded servers are kept between runs. */
export function serverCacheDir(): string {
  return userCacheDir(process.env['XDG_CACHE_HOME']);
}

/** Starts a PostgreSQL in a new temporary folder, with fsync on as in real life. */
export async function startThrowawayPostgres(say: Say): Promise<ThrowawayServer> {
  const folder = await temporaryFolder();
  const server = await again(async () =>
    startPostgres({ dataDir: join(folder, 'postgres'), port: await anyFreePort(), say: quietly(say) }),
  );
  endWithUs(server.pid, 'SIGQUIT');
  return { address: server.adminUrl, pid: server.pid, stop: () => stopAndRemove(server, folder) };
}

/** Starts a Temporal development server in a new temporary folder. */
export async function startThrowawayTemporal(say: Say): Promise<ThrowawayServer> {
  const path = await findTemporal({ cacheDir: serverCacheDir(), say });
  const folder = await temporaryFolder();
  const dataFile = join(folder, 'temporal', 'temporal.db');
  const server = await again(async () =>
    startTemporal({ path, dataFile, port: await anyFreePort(), namespace: 'default', searchAttributes, say }),
  );
  endWithUs(server.pid, 'SIGKILL');
  return { address: server.address, pid: server.pid, stop: () => stopAndRemove(server, folder) };
}

async function stopAndRemove(server: RunningPart, folder: string): Promise<void> {
  endings.delete(server.pid);
  await server.stopNow();
  rmSync(folder, { recursive: true, force: true });
}

async function temporaryFolder(): Promise<string> {
  await clearAbandoned();
  const folder = mkdtempSync(join(tmpdir(), prefix));
  const mark = startMark(process.pid);
  if (mark !== undefined) writeJsonFile(join(folder, 'owner.pid'), { pid: process.pid, startMark: mark });
  return folder;
}

/** Another process may take the port between the choice and the start; then a new one is chosen, once. */
async function again<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch {
    return await start();
  }
}

/** Making the cluster once a run is no news in a test. */
function quietly(say: Say): Say {
  return (line, kind) => {
    if (!line.startsWith('Making the database')) say(line, kind);
  };
}

const endings = new Map<number, NodeJS.Signals>();

/** Vitest leaves at once on Ctrl-C, without its tear-down, and the servers are in process groups of their own. */
function endWithUs(pid: number, signal: NodeJS.Signals): void {
  if (endings.size === 0) {
    process.once('exit', () => {
      for (const [server, how] of endings) {
        try {
          process.kill(server, how);
        } catch {
          // It has ended already.
        }
      }
    });
  }
  endings.set(pid, signal);
}

/** What a run that was killed has left: its servers and its folders. */
async function clearAbandoned(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const folder = join(tmpdir(), name);
    if (!name.startsWith(prefix) || recordedProcess(join(folder, 'owner.pid')) !== undefined) continue;
    await stopLeftOverPostgres(join(folder, 'postgres'));
    await stopRecorded(join(folder, 'temporal', 'temporal.pid'), []);
    rmSync(folder, { recursive: true, force: true });
  }
}
