/**
 * The scratch of a scan: which records it has seen, and what that says at its end. The table is unlogged, so a crash of PostgreSQL empties it;
 * a row of its own per scan tells that from a scan that has seen nothing.
 */
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';
import { updateRun } from './runs.ts';

/** No record of a vendor has this id. */
const MARK = '';

/** What a scan had seen is gone: it has to begin anew, or everybody would seem to be missing. */
export class ScratchLost extends Error {
  constructor() {
    super('what the scan had seen is lost');
    this.name = 'ScratchLost';
  }
}

/**
 * Begins the scratch of a scan, or goes on with it.
 * @returns true where what an earlier attempt has seen is still there: its cursor can be used
 */
export async function beginScratch(db: Db, runId: string): Promise<boolean> {
  const begun = await rows(
    db,
    'insert into scan_seen (run_id, external_id) values (?, ?) on conflict do nothing returning 1',
    [runId, MARK],
  );
  return begun.length === 0;
}

/** False after a crash of PostgreSQL, and when the scan has ended. */
export async function hasScratch(db: Db | Tx, runId: string): Promise<boolean> {
  return (await row(db, 'select 1 from scan_seen where run_id = ? and external_id = ?', [runId, MARK])) !== undefined;
}

export interface EndedScan {
  runId: string;
  system: string;
  /** ISO 8601. */
  startedAt: string;
  /** Whether who was not seen is noted as missing. */
  notesMissing: boolean;
}

/**
 * Ends a complete scan, once for a run: of two attempts that come here (the first one's heart-beats were late) the second finds it ended.
 * @returns the counts that the run keeps
 * @throws ScratchLost when it is not known any more what was seen; nothing was done then
 */
export async function endScan<C extends { missing: number }>(db: Db, scan: EndedScan, counts: C): Promise<C> {
  const { runId, system, startedAt } = scan;
  return db.transaction(async (tx) => {
    // Whoever else would end it waits here.
    const run = await oneRow<{ counts: Record<string, number> }>(
      tx,
      'select counts from runs where id = ? for no key update',
      [runId],
    );
    const ended = endedScan<C>(run.counts);
    if (ended !== null) return ended;
    if (!(await hasScratch(tx, runId))) throw new ScratchLost();
    // The statistics are of before the run: by them it has seen next to nothing, and a loop over that would take hours.
    await rows(tx, 'set local enable_nestloop = off');
    const missing = scan.notesMissing ? await noteMissing(tx, scan) : 0;
    await forgetUnseen(tx, system, runId, startedAt);
    await rows(tx, 'delete from scan_seen where run_id = ?', [runId]);
    const kept = { ...counts, missing };
    await updateRun(tx, runId, { counts: kept });
    return kept;
  });
}

/** The counts of a run whose scan has ended; null before. */
export function endedScan<C>(counts: Record<string, number> | undefined): C | null {
  return counts !== undefined && 'pages' in counts ? (counts as C) : null;
}

/** Contacts whose record should be there by the ledger, but was not seen by a complete scan that began after it was read back. */
async function noteMissing(tx: Tx, { system, runId, startedAt }: EndedScan): Promise<number> {
  const { n } = await oneRow<{ n: number }>(
    tx,
    `with missing as (
       insert into drifts (run_id, system, kind, contact_id, external_id)
       select ?, ?, 'missing', e.contact_id, min(e.external_id)
       from external_ids e join deliveries d on d.contact_id = e.contact_id and d.system = e.system
       where e.system = ? and not e.former and d.presence = 'present' and d.wanted = d.settled and d.verified_at < ?
         and not exists (select 1 from scan_seen s where s.run_id = ? and s.external_id = e.external_id)
       group by e.contact_id order by e.contact_id returning 1)
     select count(*)::integer as n from missing`,
    [runId, system, system, startedAt, runId],
  );
  return n;
}

/** Forgets records that a complete scan did not see. */
async function forgetUnseen(tx: Tx, system: string, runId: string, startedAt: string): Promise<void> {
  await rows(
    tx,
    `with gone as (
       delete from vendor_records v where system = ? and seen_at < ?
       and not exists (select 1 from scan_seen s where s.run_id = ? and s.external_id = v.external_id) returning external_id)
     delete from vendor_addresses where system = ? and external_id in (select external_id from gone)`,
    [system, startedAt, runId, system],
  );
}
