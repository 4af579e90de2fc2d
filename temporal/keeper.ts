/**
 * Rebuilds open work from PostgreSQL: lanes that are missing or were terminated, cases whose workflow is gone, the schedules. Runs at
 * the start and every few seconds after it, so that an emptied Temporal costs time and never a change.
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { sealAudit } from '../store/audit.ts';
import { listCases } from '../store/cases.ts';
import { listCauses, syncCauses } from '../store/causes.ts';
import type { Db } from '../store/db.ts';
import { closeTickets } from '../store/erasure.ts';
import { pruneReceipts } from '../store/idempotency.ts';
import { addMissingPairs } from '../store/marks.ts';
import { listSystems } from '../store/systems.ts';
import type { LaneTiming } from '../workflows/contracts/index.ts';
import { StuckFinder } from './stuck.ts';
import { syncSchedules } from './schedules.ts';
import type { ScheduleSettings } from './schedules.ts';
import { startErasure, startLane, tellCause } from './starters.ts';

export interface KeeperOptions {
  db: Db;
  client: Client;
  log: Logger;
  timing: LaneTiming;
  schedules: ScheduleSettings;
  /** Systems this installation works on, and whether changes of late can be read from them. */
  systems: { name: string; changes: boolean }[];
  /** How long receipts of idempotency keys are kept. */
  idempotencyHours: number;
  everyMs: number;
}

export interface Keeper {
  stop(): Promise<void>;
}

const SEAL_EVERY_MS = 1_000;
const STUCK_EVERY_MS = 30_000;
const CAUSES_EVERY_MS = 3_000;
/** Causes are few: systems times codes. */
const CAUSES_AT_MOST = 1_000;
/** Rounds of causes after which all of their workflows are told, not only those that changed. */
const CAUSES_ALL = 100;
const PAIRS_EVERY_MS = 10 * 60_000;
const PRUNE_EVERY_MS = 5 * 60_000;

/** One round: everything that should run, runs. */
export async function keepOnce(options: KeeperOptions): Promise<void> {
  const { db, client, timing } = options;
  const known = new Set(options.systems.map((s) => s.name));
  for (const { name } of await listSystems(db)) if (known.has(name)) await startLane(client, name, timing);
  for (const open of await listCases(db, { open: true, limit: 1000 })) await startErasure(client, open.id);
  await closeTickets(db);
}

/** Opens, counts and closes causes by the ledger, and tells their workflows; those of an emptied Temporal are started anew. */
export async function keepCauses({ db, client }: Pick<KeeperOptions, 'db' | 'client'>, all: boolean): Promise<void> {
  const changed = await syncCauses(db);
  const ids = new Set(changed.map(({ id }) => id));
  if (all) for (const { id } of await listCauses(db, { limit: CAUSES_AT_MOST })) ids.add(id);
  for (const id of ids) await tellCause(client, id);
}

export function startKeeper(options: KeeperOptions): Keeper {
  const { db, log } = options;
  let stopped = false;
  let scheduled = false;
  let pairsAt = 0;
  const running = new Set<Promise<void>>();
  const timers = new Map<string, NodeJS.Timeout>();

  const loop = (everyMs: number, what: string, round: () => Promise<void>): void => {
    if (stopped) return;
    const promise = round()
      .catch((error: unknown) => {
        log.warn({ fault: error instanceof Error ? error.name : 'unknown' }, `${what} failed and is tried again`);
      })
      .finally(() => {
        running.delete(promise);
        // A round that was under way at the stop is the last: its timer would keep the process for minutes.
        if (!stopped)
          timers.set(
            what,
            setTimeout(() => loop(everyMs, what, round), everyMs),
          );
      });
    running.add(promise);
  };

  loop(options.everyMs, 'Keeping lanes and cases running', async () => {
    await keepOnce(options);
    if (!scheduled) {
      await syncSchedules(options.client, options.schedules, options.systems);
      scheduled = true;
    }
    if (Date.now() - pairsAt > PAIRS_EVERY_MS) {
      while (!stopped && (await addMissingPairs(db)) > 0);
      pairsAt = Date.now();
    }
  });
  loop(SEAL_EVERY_MS, 'Sealing the audit log', async () => {
    while (!stopped && (await sealAudit(db)) > 0);
  });

  loop(PRUNE_EVERY_MS, 'Deleting receipts of idempotency keys', async () => {
    while (!stopped && (await pruneReceipts(db, options.idempotencyHours)) > 0);
  });

  let rounds = 0;
  loop(CAUSES_EVERY_MS, 'Keeping causes', async () => {
    await keepCauses(options, rounds % CAUSES_ALL === 0);
    rounds += 1;
  });
  const stuck = new StuckFinder(options.client);
  loop(STUCK_EVERY_MS, 'Looking for stuck workflows', async () => {
    await stuck.round(db, log);
  });

  return {
    async stop() {
      stopped = true;
      stuck.close();
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all(running);
    },
  };
}
