/** Figures of the standing while PostgreSQL is slow or away: nothing waits without end, nothing piles up, and what is missing is said. */
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { migrate } from '../../store/migrate.ts';
import { addStanding, openStandingDb } from '../../telemetry/standing.ts';
import { createDatabase } from '../rig/database.ts';

const STATEMENT_MS = 400;
let url: string;
let db: Db;
let figures: Db;
let registry: Registry;
let refresh: () => Promise<void>;

beforeAll(async () => {
  ({ url } = await createDatabase());
  db = openDb({ url, applicationName: 'standing-test', poolMax: 6 });
  await migrate(db);
  await rows(
    db,
    `insert into systems (name, connector, account, rules_hash, rules) values ('crm', 'c', 'a', 'h', '{}')`,
  );
  figures = openStandingDb(url, STATEMENT_MS);
  registry = new Registry();
  refresh = addStanding(registry, figures);
});
afterAll(async () => {
  await figures.destroy();
  await db.destroy();
});

async function told(name: string): Promise<{ value: number }[]> {
  const metric = registry.getSingleMetric(name);
  if (metric === undefined) throw new Error(`nobody tells ${name}`);
  return ((await metric.get()) as { values: { value: number }[] }).values;
}

const value = async (name: string): Promise<number | undefined> => (await told(name))[0]?.value;

/** What a scrape later than the remembered one would read. */
async function freshly(): Promise<void> {
  registry = new Registry();
  refresh = addStanding(registry, figures);
  await refresh();
}

test('all is told while all answers', async () => {
  await refresh();
  expect(await value('plumbline_due')).toBe(0);
  expect(await value('plumbline_lane_state')).toBe(1);
  expect(await value('plumbline_cases_open')).toBe(0);
  expect(await value('plumbline_figures_missing')).toBe(0);
  expect(await value('plumbline_database_up')).toBe(1);
});

test('a reading that is too slow is ended and missing, the others are told, and many scrapes are one reading', async () => {
  const lock = await db.transaction();
  try {
    await lock.raw('lock table plumbline.deliveries in access exclusive mode');
    registry = new Registry();
    refresh = addStanding(registry, figures);
    const started = performance.now();
    const scrapes = Promise.all(Array.from({ length: 50 }, async () => refresh()));
    await new Promise((later) => setTimeout(later, STATEMENT_MS / 2));
    const busy = await rows<{ n: number }>(
      db,
      `select count(*)::integer as n from pg_stat_activity where application_name = 'plumbline-figures' and datname = current_database() and state = 'active'`,
    );
    expect(busy[0]?.n).toBeGreaterThan(0);
    expect(busy[0]?.n).toBeLessThanOrEqual(2);
    await scrapes;
    expect(performance.now() - started).toBeLessThan(10 * STATEMENT_MS);
    expect(await told('plumbline_due')).toEqual([]);
    expect(await told('plumbline_problems')).toEqual([]);
    expect(await value('plumbline_lane_state')).toBe(1);
    expect(await value('plumbline_cases_open')).toBe(0);
    expect(await value('plumbline_figures_missing')).toBe(1);
    expect(await value('plumbline_database_up')).toBe(1);
  } finally {
    await lock.rollback();
  }
  await freshly();
  expect(await value('plumbline_due')).toBe(0);
  expect(await value('plumbline_figures_missing')).toBe(0);
});

test('without PostgreSQL nothing is told but that it is away', async () => {
  const nowhere = openStandingDb('postgres://nobody@127.0.0.1:1/none', STATEMENT_MS);
  registry = new Registry();
  await addStanding(registry, nowhere)();
  expect(await value('plumbline_database_up')).toBe(0);
  for (const name of ['plumbline_due', 'plumbline_lane_state', 'plumbline_cases_open', 'plumbline_stuck_workflows'])
    expect(await told(name), name).toEqual([]);
  expect(await value('plumbline_figures_missing')).toBe(6);
  await nowhere.destroy();
});
