/** Recording what came of a batch: ledger, external ids, audit and the closing of the call, in one transaction under the lease. */
import type { ContactId } from '../domain/contact.ts';
import { leaseLostOr } from './leases.ts';
import { oneRow, rows } from './db.ts';
import type { Db } from './db.ts';

/** The result of one attempt for one contact, ready for the ledger. */
export interface Recorded {
  contactId: ContactId;
  /** The `wanted` that the attempt started from. */
  startedWanted: number;
  contactVersion: number;
  /** True when nothing more is to be done until something changes (done, or a person is needed). */
  settled: boolean;
  /** When not settled: not again before this many milliseconds. */
  notBeforeMs: number | null;
  /** What was read back; null where nothing new was proven. */
  verified: Verified | null;
  dataOutcome: string;
  dataCode: string | null;
  dataField: string | null;
  consentOutcome: string;
  consentCode: string | null;
  message: string | null;
  reviewOn: string | null;
  lookFirst: boolean;
  distrust: boolean;
  mismatches: number;
  /** Ids that the vendor now has for the contact; null leaves them as they are. */
  externalIds: string[] | null;
  /** Of unknown outcome, or its effect is not shown: read again later. */
  recheck: boolean;
  /** False where nothing went to the vendor and nothing was read: no audit entry. */
  touched: boolean;
}

export interface Verified {
  /** Null leaves the part as it was. */
  dataHash: string | null;
  consentHash: string | null;
  key: string | null;
  consents: Record<string, string>;
  presence: 'present' | 'archived' | 'gone';
}

/**
 * Records a batch under the lease. A ledger row that a writer holds is never waited for: its outcome is appended and folded later.
 * @param callId the open call to close, or null when none was made
 * @returns contacts whose outcome waits to be folded: not to be claimed again before
 * @throws LeaseLost when a later drain has taken over: nothing was recorded
 */
export async function recordBatch(
  db: Db,
  system: string,
  token: number,
  callId: string | null,
  results: Recorded[],
): Promise<ContactId[]> {
  try {
    const { late } = await oneRow<{ late: ContactId[] }>(db, 'select record_batch(?, ?, ?, ?::jsonb) as late', [
      system,
      token,
      callId,
      JSON.stringify(results),
    ]);
    return late;
  } catch (error) {
    throw leaseLostOr(error, system);
  }
}

/** Brings appended outcomes into the ledger, oldest first. @returns contacts that still wait */
export async function foldLateOutcomes(db: Db, system: string): Promise<ContactId[]> {
  return db.transaction(async (tx) => {
    const late = await rows<{ id: number; outcome: Recorded }>(
      tx,
      'select id, outcome from late_outcomes where system = ? order by id limit 500 for update skip locked',
      [system],
    );
    if (late.length === 0) return [];
    const newest = new Map(late.map((l) => [l.outcome.contactId, l.outcome]));
    const { done: folded } = await oneRow<{ done: ContactId[] }>(
      tx,
      `select apply_outcomes(?, (select array_agg(r) from jsonb_populate_recordset(null::outcome, ?::jsonb) r)) as done`,
      [system, JSON.stringify([...newest.values()])],
    );
    const applied = new Set(folded);
    const done = late.filter((l) => applied.has(l.outcome.contactId)).map((l) => l.id);
    await rows(tx, 'delete from late_outcomes where id = any (?::bigint[])', [done]);
    return late.filter((l) => !applied.has(l.outcome.contactId)).map((l) => l.outcome.contactId);
  });
}
