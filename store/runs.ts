/** Runs of the night and of scans: what was compared, found and done, as counts and lists of ids. */
import type { ContactId } from '../domain/contact.ts';
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

export type RunKind = 'retention' | 'reconciliation' | 'first_scan' | 'changes';
export type RunState = 'running' | 'asking' | 'approved' | 'refused' | 'done' | 'failed';

export interface RunRow {
  id: string;
  kind: RunKind;
  system: string | null;
  state: RunState;
  counts: Record<string, number>;
  startedAt: string;
  endedAt: string | null;
  decidedBy: string | null;
}

const SELECT = `select id, kind, system, state, counts, started_at as "startedAt", ended_at as "endedAt", decided_by as "decidedBy" from runs`;

export async function startRun(db: Db | Tx, kind: RunKind, system: string | null, id?: string): Promise<string> {
  const made = await oneRow<{ id: string }>(
    db,
    `insert into runs (id, kind, system) values (coalesce(?::uuid, gen_random_uuid()), ?, ?)
     on conflict (id) do update set kind = excluded.kind returning id`,
    [id ?? null, kind, system],
  );
  return made.id;
}

export async function getRun(db: Db | Tx, id: string): Promise<RunRow | undefined> {
  return row<RunRow>(db, `${SELECT} where id = ?`, [id]);
}

export async function listRuns(
  db: Db | Tx,
  filter: { kind?: RunKind; system?: string; limit?: number } = {},
): Promise<RunRow[]> {
  return rows<RunRow>(
    db,
    `${SELECT} where (?::text is null or kind = ?) and (?::text is null or system = ?) order by started_at desc limit ?`,
    [filter.kind ?? null, filter.kind ?? null, filter.system ?? null, filter.system ?? null, filter.limit ?? 50],
  );
}

/** Moves a run on; an end state closes it and writes its audit entry. */
export async function updateRun(
  db: Db | Tx,
  id: string,
  change: { state?: RunState; counts?: Record<string, number>; decidedBy?: string },
): Promise<void> {
  const ends = change.state === 'done' || change.state === 'failed' || change.state === 'refused';
  const updated = await row<{ kind: string; system: string | null; counts: Record<string, number> }>(
    db,
    `update runs set state = coalesce(?, state), counts = coalesce(?::jsonb, counts), decided_by = coalesce(?, decided_by),
       ended_at = case when ? then clock_timestamp() else ended_at end
     where id = ? returning kind, system, counts`,
    [
      change.state ?? null,
      change.counts === undefined ? null : JSON.stringify(change.counts),
      change.decidedBy ?? null,
      ends,
      id,
    ],
  );
  if (ends && updated !== undefined) {
    await rows(
      db,
      `insert into audit (kind, actor, door, system, detail) values (?, coalesce(?, 'engine'), 'engine', ?, ?)`,
      [
        `run.${change.state ?? ''}`,
        change.decidedBy ?? null,
        updated.system,
        JSON.stringify({ run: id, kind: updated.kind, counts: updated.counts }),
      ],
    );
  }
}

export interface RunItem {
  contactId: ContactId;
  action: string;
  reasons: string[];
  doneAt: string | null;
}

export async function addRunItems(
  db: Db | Tx,
  runId: string,
  items: { contactId: ContactId; action: string; reasons: string[] }[],
): Promise<void> {
  if (items.length === 0) return;
  await rows(
    db,
    `insert into run_items (run_id, contact_id, action, reasons)
     select ?, (i ->> 'contactId')::uuid, i ->> 'action', array(select jsonb_array_elements_text(i -> 'reasons'))
     from (select jsonb_array_elements(?::jsonb) i) x on conflict do nothing`,
    [runId, JSON.stringify(items)],
  );
}

/** Items of a run by contact id, paged. */
export async function runItems(
  db: Db | Tx,
  runId: string,
  options: { after?: string; limit?: number; open?: boolean } = {},
): Promise<RunItem[]> {
  return rows<RunItem>(
    db,
    `select contact_id as "contactId", action, reasons, done_at as "doneAt" from run_items
     where run_id = ? and (?::uuid is null or contact_id > ?::uuid) and (not ?::boolean or done_at is null)
     order by contact_id limit ?`,
    [runId, options.after ?? null, options.after ?? null, options.open ?? false, options.limit ?? 500],
  );
}

export type DriftKind =
  | 'older_value'
  | 'missing'
  | 'extra'
  | 'erased_but_present'
  | 'purged_but_present'
  | 'withdrawn_but_subscribed'
  | 'stricter_at_vendor';

export interface Drift {
  kind: DriftKind;
  contactId: ContactId | null;
  externalId: string | null;
  /** Vendor properties that differ. */
  fields: string[];
}

/** Notes what a run found. A record of the vendor that nobody here knows is reported once, not every night. */
export async function addDrifts(db: Db | Tx, runId: string, system: string, found: Drift[]): Promise<void> {
  if (found.length === 0) return;
  await rows(
    db,
    `insert into drifts (run_id, system, kind, contact_id, external_id, fields)
     select ?, ?, d ->> 'kind', (d ->> 'contactId')::uuid, d ->> 'externalId', array(select jsonb_array_elements_text(d -> 'fields'))
     from (select jsonb_array_elements(?::jsonb) d) x
     where d ->> 'kind' <> 'extra' or not exists (
       select 1 from drifts k where k.system = ? and k.external_id = d ->> 'externalId' and k.kind = 'extra')`,
    [runId, system, JSON.stringify(found), system],
  );
}

export async function listDrifts(
  db: Db | Tx,
  runId: string,
  options: { after?: number; limit?: number } = {},
): Promise<(Drift & { id: number; foundAt: string })[]> {
  return rows(
    db,
    `select id, kind, contact_id as "contactId", external_id as "externalId", fields, found_at as "foundAt"
     from drifts where run_id = ? and id > ? order by id limit ?`,
    [runId, options.after ?? 0, options.limit ?? 200],
  );
}

/** System → seconds since its last reconciliation ended well. */
export async function reconciledSecondsAgo(db: Db): Promise<Map<string, number>> {
  const found = await rows<{ system: string; seconds: number }>(
    db,
    `select system, extract(epoch from clock_timestamp() - max(ended_at))::double precision as seconds
     from runs where kind = 'reconciliation' and state = 'done' and system is not null group by system`,
  );
  return new Map(found.map((f) => [f.system, f.seconds]));
}
