/** Workflows that cannot make progress, as a worker found them last: kept in the database, so that every process can name them. */
import { row, rows } from './db.ts';
import type { Db } from './db.ts';

export interface StuckWorkflow {
  /** Opaque, as all ids of workflows are. */
  id: string;
  type: string;
  /** How often its task was tried. */
  attempt: number;
  /** ISO 8601. */
  foundAt: string;
}

/** What was found last; older findings than this say nothing of now. */
const FRESH_MINUTES = 5;
const KEY = 'stuck_workflows';

export async function noteStuck(db: Db, stuck: readonly StuckWorkflow[]): Promise<void> {
  await rows(db, 'insert into meta (key, value) values (?, ?) on conflict (key) do update set value = excluded.value', [
    KEY,
    JSON.stringify({ at: new Date().toISOString(), stuck }),
  ]);
}

export async function stuckWorkflows(db: Db): Promise<StuckWorkflow[]> {
  const found = await row<{ value: string }>(db, 'select value from meta where key = ?', [KEY]);
  if (found === undefined) return [];
  const { at, stuck } = JSON.parse(found.value) as { at: string; stuck: StuckWorkflow[] };
  return Date.now() - Date.parse(at) > FRESH_MINUTES * 60_000 ? [] : stuck;
}
