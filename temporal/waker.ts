/**
 * Carries NOTIFY to the lanes: straight to a drain that runs in this process, by signal where no drain runs at all. Only a wake;
 * what it misses, the sweeps find.
 */
import pg from 'pg';
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { Wakes } from '../activities/wakes.ts';
import type { Db } from '../store/db.ts';
import { isDrained } from '../store/leases.ts';
import { wakeLane } from './starters.ts';

const CHANNEL = 'plumbline_due';
const RECONNECT_MS = 1_000;
/** At most one signal a system in this time. */
const SIGNAL_EVERY_MS = 200;

export interface Waker {
  stop(): Promise<void>;
}

export function startWaker(options: { url: string; db: Db; client: Client; wakes: Wakes; log: Logger }): Waker {
  const { db, client, wakes, log } = options;
  let stopped = false;
  let connection: pg.Client | null = null;
  let retry: NodeJS.Timeout | null = null;
  const pending = new Map<string, NodeJS.Timeout>();

  function wake(system: string): void {
    if (wakes.notify(system) || pending.has(system)) return;
    void signal(system);
    pending.set(
      system,
      setTimeout(() => {
        pending.delete(system);
        if (!stopped && !wakes.notify(system)) void signal(system);
      }, SIGNAL_EVERY_MS),
    );
  }

  async function signal(system: string): Promise<void> {
    try {
      if (!(await isDrained(db, system))) await wakeLane(client, system);
    } catch {
      // The sweep of the lane finds the work.
    }
  }

  async function listen(): Promise<void> {
    const next = new pg.Client({ connectionString: options.url, application_name: 'plumbline-waker', keepAlive: true });
    next.on('notification', (message) => wake(message.payload ?? ''));
    next.on('error', () => again(next));
    next.on('end', () => again(next));
    try {
      await next.connect();
      await next.query(`listen ${CHANNEL}`);
      connection = next;
    } catch {
      again(next);
    }
  }

  function again(lost: pg.Client): void {
    if (stopped || retry !== null) return;
    if (connection === lost) {
      connection = null;
      log.warn('The connection that listens for changes was lost; lanes go on by their sweeps until it is back');
    }
    lost.end().catch(() => undefined);
    retry = setTimeout(() => {
      retry = null;
      void listen();
    }, RECONNECT_MS);
  }

  void listen();
  return {
    async stop() {
      stopped = true;
      if (retry !== null) clearTimeout(retry);
      for (const timer of pending.values()) clearTimeout(timer);
      await connection?.end().catch(() => undefined);
    },
  };
}
