/** Recording what came of a batch: ledger, external ids, audit and the closing of the call, in one transaction under the lease. */
import type { ContactId } from '../domain/contact.ts';
import { planRechecks } from './claims.ts';
import { assertLease } from './leases.ts';
import { rows } from './db.ts';
import type { Db, Tx } from './db.ts';

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
  /** An attempt of unknown outcome: read again later. */
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

const APPLY = `
  update deliveries d set
    settled = greatest(d.settled, r."startedWanted" - case when r.settled then 0 else 1 end),
    not_before = case when r."notBeforeMs" is null then null else clock_timestamp() + r."notBeforeMs" * interval '1 millisecond' end,
    look_first = r."lookFirst",
    distrust = r.distrust,
    contact_version = case when r.settled then r."contactVersion" else d.contact_version end,
    data_hash = case when r.verified is null then (case when r.distrust then null else d.data_hash end) else r.verified ->> 'dataHash' end,
    consent_hash = case when r.verified is null then (case when r.distrust then null else d.consent_hash end) else r.verified ->> 'consentHash' end,
    known_key = case when r.verified is null then d.known_key else r.verified ->> 'key' end,
    known_consents = case when r.verified is null then d.known_consents else r.verified -> 'consents' end,
    presence = case when r.verified is null then d.presence else r.verified ->> 'presence' end,
    verified_at = case when r.verified is null then d.verified_at else clock_timestamp() end,
    data_outcome = r."dataOutcome", data_code = r."dataCode", data_field = r."dataField",
    consent_outcome = r."consentOutcome", consent_code = r."consentCode",
    message = r.message, review_on = r."reviewOn", outcome_at = clock_timestamp(), mismatches = r.mismatches
  from jsonb_to_recordset(?::jsonb) as r (
    "contactId" uuid, "startedWanted" bigint, "contactVersion" integer, settled boolean, "notBeforeMs" bigint, verified jsonb,
    "dataOutcome" text, "dataCode" text, "dataField" text, "consentOutcome" text, "consentCode" text, message text,
    "reviewOn" date, "lookFirst" boolean, distrust boolean, mismatches smallint)
  where d.system = ? and d.contact_id = r."contactId" and d.contact_id in (
    select contact_id from deliveries where system = ? and contact_id = any (?::uuid[])
    order by contact_id for no key update skip locked)
  returning d.contact_id`;

async function apply(tx: Tx, system: string, results: Recorded[]): Promise<Set<ContactId>> {
  const applied = await rows<{ contact_id: ContactId }>(tx, APPLY, [
    JSON.stringify(results),
    system,
    system,
    results.map((r) => r.contactId),
  ]);
  return new Set(applied.map((a) => a.contact_id));
}

async function writeExternalIds(tx: Tx, system: string, results: Recorded[]): Promise<void> {
  const changed = results.filter((r) => r.externalIds !== null);
  if (changed.length === 0) return;
  const pairs = changed.flatMap((r) => (r.externalIds ?? []).map((id) => [r.contactId, id] as const));
  await rows(
    tx,
    `update external_ids e set former = true where system = ? and not former and contact_id = any (?::uuid[])
     and not exists (select 1 from unnest(?::uuid[], ?::text[]) as now (contact_id, external_id)
                     where now.contact_id = e.contact_id and now.external_id = e.external_id)`,
    [system, changed.map((r) => r.contactId), pairs.map((p) => p[0]), pairs.map((p) => p[1])],
  );
  await rows(
    tx,
    `insert into external_ids (contact_id, system, external_id)
     select now.contact_id, ?, now.external_id from unnest(?::uuid[], ?::text[]) as now (contact_id, external_id)
     on conflict (contact_id, system, external_id) do update set former = false where external_ids.former`,
    [system, pairs.map((p) => p[0]), pairs.map((p) => p[1])],
  );
}

async function writeAudit(tx: Tx, system: string, results: Recorded[]): Promise<void> {
  const touched = results.filter((r) => r.touched);
  if (touched.length === 0) return;
  await rows(
    tx,
    `insert into audit (kind, actor, door, contact_id, version, system, detail)
     select case when r.done then 'delivery.verified' else 'delivery.' || r.outcome end, 'lane', 'engine', r.contact_id, r.version, ?, r.detail
     from unnest(?::uuid[], ?::integer[], ?::boolean[], ?::text[], ?::jsonb[]) as r (contact_id, version, done, outcome, detail)`,
    [
      system,
      touched.map((r) => r.contactId),
      touched.map((r) => r.contactVersion),
      touched.map((r) => r.verified !== null && r.settled && r.mismatches === 0),
      touched.map((r) => r.dataOutcome),
      touched.map((r) =>
        JSON.stringify({
          data: r.dataOutcome,
          dataCode: r.dataCode ?? undefined,
          consent: r.consentOutcome,
          consentCode: r.consentCode ?? undefined,
          presence: r.verified?.presence,
        }),
      ),
    ],
  );
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
  return db.transaction(async (tx) => {
    await assertLease(tx, system, token);
    let late: Recorded[] = [];
    if (results.length > 0) {
      const applied = await apply(tx, system, results);
      late = results.filter((r) => !applied.has(r.contactId));
      if (late.length > 0) {
        await rows(tx, 'insert into late_outcomes (system, outcome) select ?, o from unnest(?::jsonb[]) o', [
          system,
          late.map((r) => JSON.stringify(r)),
        ]);
      }
      await writeExternalIds(tx, system, results);
      await writeAudit(tx, system, results);
      await planRechecks(
        tx,
        system,
        results.filter((r) => r.recheck).map((r) => r.contactId),
      );
    }
    if (callId !== null) await rows(tx, 'delete from calls where id = ?', [callId]);
    return late.map((r) => r.contactId);
  });
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
    const applied = await apply(tx, system, [...newest.values()]);
    const done = late.filter((l) => applied.has(l.outcome.contactId)).map((l) => l.id);
    await rows(tx, 'delete from late_outcomes where id = any (?::bigint[])', [done]);
    return late.filter((l) => !applied.has(l.outcome.contactId)).map((l) => l.outcome.contactId);
  });
}
