/**
 * Holds the processes of one machine. How to compose a rig (order matters: parts stop in the reverse of their start):
 *
 *   const say = sayTo(process.stdout);
 *   const supervisor = await supervise({ dataDir, say });      // lock, left-overs of a killed start stopped
 *   const release = stopOnSignals(supervisor, say);            // Ctrl-C: in order; twice: at once
 *   try {
 *     const ports = await choosePorts(dataDir, overrides);
 *     const postgres = await supervisor.run('PostgreSQL', (stopping) =>
 *       startPostgres({ dataDir: join(dataDir, 'postgres'), port: ports.postgres, say, stopping }));
 *     const temporal = await supervisor.run('Temporal', (stopping) => startTemporal({ …, stopping }));
 *     await migrate(postgres.url);
 *     await supervisor.run('hubspot', (stopping) => startChild({ name: 'hubspot', …, stopping }));
 *     await supervisor.run('api', (stopping) => startChild({ … }));
 *     await supervisor.run('worker', (stopping) => startChild({ …, graceMs: 30_000 }));
 *     …                                                        // the demonstration; supervisor.stopping tells it to end
 *     await supervisor.stopped;                                // until a signal
 *   } finally {
 *     await supervisor.stop();                                 // worker, api, sandboxes, Temporal, PostgreSQL; the lock
 *     release();
 *   }
 *
 * What takes long outside `run` (a download, the demonstration) should be raced with `supervisor.stopped`, so that Ctrl-C
 * need not wait for it. A `PlainError` out of any of these is for the user as it is: print its message and exit with 1.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stopLeftOverChildren } from './child.ts';
import { PlainError } from './errors.ts';
import { lockDataDir } from './lock.ts';
import { stopLeftOverPostgres } from './postgres.ts';
import type { Exit, RunningPart } from './processes.ts';
import type { Say } from './say.ts';
import { stopLeftOverTemporal } from './temporal-server.ts';
import { onStopSignals } from './stop-signals.ts';

/** Where the rig keeps its data, and how it speaks. */
export interface SuperviseOptions {
  /** PostgreSQL lives in `postgres/` of it and Temporal in `temporal/`. */
  dataDir: string;
  say: Say;
  /** Wait before the first restart of a part; doubled for each further one, up to a minute. Default 1,000. */
  restartAfterMs?: number;
}

/** The processes of one machine. */
export interface Supervisor {
  /**
   * Starts a part, returns it, and from then on starts it again when it ends unasked, after a wait that doubles each time
   * and begins anew when it has held for a minute. Rejects when the first start fails or the rig is stopping. The signal is
   * `stopping`: a start that takes long should give up when it is aborted.
   */
  run<P extends RunningPart>(name: string, start: (stopping: AbortSignal) => Promise<P>): Promise<P>;
  /** Aborted when stopping begins. */
  readonly stopping: AbortSignal;
  /** Resolves when everything has been stopped. */
  readonly stopped: Promise<void>;
  /** Stops all parts, the last one started first, and lets go of the data folder. May be called often. */
  stop(): Promise<void>;
  /** The same without grace, also while an orderly stop is under way. */
  stopNow(): Promise<void>;
}

interface Held {
  name: string;
  part: RunningPart;
  /** Resolves when nothing watches or restarts it any more. */
  watched: Promise<void>;
}

const longestWaitMs = 60_000;
const steadyAfterMs = 60_000;

/** Takes the data folder, stops what an earlier start left running there, and is ready to hold parts. */
export async function supervise({ dataDir, say, restartAfterMs = 1_000 }: SuperviseOptions): Promise<Supervisor> {
  const release = lockDataDir(dataDir);
  try {
    // Those that need a server go before it. The servers go too: their ports would look like a stranger's otherwise.
    await stopLeftOverChildren(dataDir, say);
    const servers = [
      (await stopLeftOverTemporal(join(dataDir, 'temporal'))) ? 'Temporal' : undefined,
      (await stopLeftOverPostgres(join(dataDir, 'postgres'))) ? 'PostgreSQL' : undefined,
    ].filter((name) => name !== undefined);
    if (servers.length > 0) say(`Stopped what an earlier start had left running: ${servers.join(', ')}.`);
  } catch (error) {
    release();
    throw error;
  }

  const held: Held[] = [];
  const stopping = new AbortController();
  const starting = new Set<Promise<unknown>>();
  let resolveStopped: () => void = () => {};
  const stopped = new Promise<void>((resolve) => (resolveStopped = resolve));
  let stop: Promise<void> | undefined;
  let hurry = false;

  /** Starts it and keeps it; one that comes up while the rig stops is stopped at once, or nobody would. */
  async function startPart<P extends RunningPart>(
    name: string,
    start: (stopping: AbortSignal) => Promise<P>,
    keep: (part: P) => void,
  ): Promise<void> {
    if (stopping.signal.aborted) throw new PlainError(`${name} was not started, as Plumbline is stopping.`);
    const attempt = start(stopping.signal);
    starting.add(attempt);
    try {
      const part = await attempt;
      if (!stopping.signal.aborted) return keep(part);
      await part.stopNow();
      throw new PlainError(`${name} was stopped again, as Plumbline is stopping.`);
    } finally {
      starting.delete(attempt);
    }
  }

  async function watch(entry: Held, start: (stopping: AbortSignal) => Promise<RunningPart>): Promise<void> {
    let waitMs = restartAfterMs;
    let since = Date.now();
    for (;;) {
      const exit = await entry.part.exited;
      if (stopping.signal.aborted) return;
      if (Date.now() - since > steadyAfterMs) waitMs = restartAfterMs;
      say(`${entry.name} ended ${describe(exit)}; starting it again in ${waitMs / 1_000} s.`);
      for (let up = false; !up;) {
        await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => {});
        if (stopping.signal.aborted) return;
        waitMs = Math.min(waitMs * 2, longestWaitMs);
        try {
          await startPart(entry.name, start, (part) => (entry.part = part));
          up = true;
        } catch (error) {
          if (stopping.signal.aborted) return;
          say(`${error instanceof Error ? error.message : String(error)} Trying again in ${waitMs / 1_000} s.`);
        }
      }
      since = Date.now();
      say(`${entry.name} runs again.`);
    }
  }

  async function stopAll(): Promise<void> {
    stopping.abort();
    await Promise.allSettled(starting);
    for (const entry of held.toReversed()) {
      if (!hurry) say(`Stopping ${entry.name} …`, 'progress');
      await (hurry ? entry.part.stopNow() : entry.part.stop());
      await entry.watched;
    }
    release();
    resolveStopped();
  }

  return {
    stopping: stopping.signal,
    stopped,
    run: async (name, start) => {
      return await new Promise((resolve, reject) => {
        startPart(name, start, (part) => {
          const entry: Held = { name, part, watched: Promise.resolve() };
          entry.watched = watch(entry, start);
          held.push(entry);
          resolve(part);
        }).catch(reject);
      });
    },
    stop: async () => await (stop ??= stopAll()),
    stopNow: async () => {
      hurry = true;
      stop ??= stopAll();
      // Whoever is being waited for with grace loses it now, and so do those whose turn would come later.
      for (const entry of held.toReversed()) await entry.part.stopNow();
      await stop;
    },
  };
}

function describe({ code, signal }: Exit): string {
  return signal === null ? `with exit code ${code}` : `by ${signal}`;
}

/**
 * Stops everything in order on the first SIGINT, SIGTERM or SIGHUP, and at once on the second. Returns a function that
 * takes the handlers away. The process then ends by itself, with the exit code that its entry sets.
 */
export function stopOnSignals(supervisor: Supervisor, say: Say): () => void {
  return onStopSignals(say, {
    first: () => void supervisor.stop(),
    again: () => {
      say('Stopping at once.');
      void supervisor.stopNow();
    },
  });
}
