/** The ledger as people read it: the deliveries of a contact, whether they are done, and what needs a person. */
import type { ContactId } from '../domain/contact.ts';
import { row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

/** Outcomes that only a person, or a new change of the record, can bring forward. */
export const NEEDS_PERSON = `('rejected', 'refused', 'ambiguous', 'not_supported', 'unclassified', 'mismatch', 'suppressed')`;

export interface DeliveryView {
  system: string;
  /**
   * `verified`: as wanted, and read back where there was something to read; `retained`: lawfully kept (GDPR Art. 17(3)); `skipped`: not as
   * wanted, and accepted so by a person until the contact changes.
   */
  state: 'verified' | 'due' | 'problem' | 'retained' | 'skipped';
  dueSince: string | null;
  notBefore: string | null;
  contactVersion: number | null;
  verifiedAt: string | null;
  presence: string | null;
  data: { outcome: string | null; code: string | null; field: string | null };
  consent: { outcome: string | null; code: string | null };
  message: string | null;
  outcomeAt: string | null;
  reviewOn: string | null;
  externalIds: string[];
}

/** One per system that is in use, by name. */
export async function deliveriesOf(db: Db | Tx, contactId: ContactId): Promise<DeliveryView[]> {
  return rows<DeliveryView>(
    db,
    `select d.system,
       case when d.wanted > d.settled then 'due'
            when d.data_outcome in ${NEEDS_PERSON} or d.consent_outcome in ${NEEDS_PERSON} then 'problem'
            when 'skipped' in (d.data_outcome, d.consent_outcome) then 'skipped'
            when d.data_outcome = 'retained' then 'retained' else 'verified' end as state,
       case when d.wanted > d.settled then d.due_since end as "dueSince",
       case when d.wanted > d.settled then d.not_before end as "notBefore",
       d.contact_version as "contactVersion", d.verified_at as "verifiedAt", d.presence,
       jsonb_build_object('outcome', d.data_outcome, 'code', d.data_code, 'field', d.data_field) as data,
       jsonb_build_object('outcome', d.consent_outcome, 'code', d.consent_code) as consent,
       d.message, d.outcome_at as "outcomeAt", d.review_on as "reviewOn",
       array(select e.external_id from external_ids e where e.contact_id = d.contact_id and e.system = d.system and not e.former
             order by e.since desc) as "externalIds"
     from deliveries d join systems s on s.name = d.system and not s.removed
     where d.contact_id = ? order by d.system`,
    [contactId],
  );
}

/** What is to be settled, as of now: `wanted` of each system in use. */
export async function wantedNow(db: Db | Tx, contactId: ContactId): Promise<Map<string, number>> {
  const found = await rows<{ system: string; wanted: number }>(
    db,
    `select d.system, d.wanted from deliveries d join systems s on s.name = d.system and not s.removed where d.contact_id = ?`,
    [contactId],
  );
  return new Map(found.map((d) => [d.system, d.wanted]));
}

/** True when each system has settled at least what was wanted at that time, whatever came after. */
export async function settledSince(db: Db, contactId: ContactId, wanted: Map<string, number>): Promise<boolean> {
  const open = await row(
    db,
    `select 1 from unnest(?::text[], ?::bigint[]) as w (system, wanted)
     join deliveries d on d.contact_id = ? and d.system = w.system
     join systems s on s.name = d.system and not s.removed
     where d.settled < w.wanted limit 1`,
    [[...wanted.keys()], [...wanted.values()], contactId],
  );
  return open === undefined;
}

export interface ProblemGroup {
  system: string;
  part: 'data' | 'consent';
  /** Kind of outcome: `rejected`, `refused`, `ambiguous` … */
  kind: string;
  code: string | null;
  /** The vendor's property, where it named one. */
  field: string | null;
  count: number;
  oldestAt: string | null;
  /** Some of the contacts concerned. */
  contactIds: ContactId[];
}

/** Open problems of all systems, or of one, grouped by what a person would do about them; the most frequent first. */
export async function problemGroups(db: Db, system?: string): Promise<ProblemGroup[]> {
  return rows<ProblemGroup>(
    db,
    `with open as (
       select d.system, p.part, p.kind, p.code, p.field, d.contact_id, d.outcome_at
       from deliveries d join systems s on s.name = d.system and not s.removed
       cross join lateral (values ('data', d.data_outcome, d.data_code, d.data_field), ('consent', d.consent_outcome, d.consent_code, null))
         as p (part, kind, code, field)
       where (d.data_outcome in ${NEEDS_PERSON} or d.consent_outcome in ${NEEDS_PERSON})
         and p.kind in ${NEEDS_PERSON} and (?::text is null or d.system = ?))
     select system, part, kind, code, field, count(*)::integer as count, min(outcome_at) as "oldestAt",
       (array_agg(contact_id order by outcome_at))[1:5] as "contactIds"
     from open group by system, part, kind, code, field order by count(*) desc, system, part, kind, code, field`,
    [system ?? null, system ?? null],
  );
}

export type ListedState = 'due' | 'problem' | 'skipped';

export interface ListedDelivery {
  contactId: ContactId;
  system: string;
  /** When it became due, or when the outcome came. */
  since: string | null;
  code: string | null;
}

const LISTED: Record<ListedState, { where: string; since: string; order: string }> = {
  due: { where: 'd.wanted > d.settled', since: 'd.due_since', order: 'd.priority, d.due_since' },
  problem: {
    where: `(d.data_outcome in ${NEEDS_PERSON} or d.consent_outcome in ${NEEDS_PERSON})`,
    since: 'd.outcome_at',
    order: 'd.outcome_at',
  },
  skipped: {
    where: `'skipped' in (d.data_outcome, d.consent_outcome)`,
    since: 'd.outcome_at',
    order: 'd.outcome_at',
  },
};

/** Deliveries in one state, those that wait longest first. */
export async function listDeliveries(
  db: Db,
  { state, system, limit }: { state: ListedState; system?: string; limit: number },
): Promise<ListedDelivery[]> {
  const { where, since, order } = LISTED[state];
  return rows<ListedDelivery>(
    db,
    `select d.contact_id as "contactId", d.system, ${since} as since, coalesce(d.data_code, d.consent_code) as code
     from deliveries d join systems s on s.name = d.system and not s.removed
     where ${where} and (?::text is null or d.system = ?) order by ${order} limit ?`,
    [system ?? null, system ?? null, limit],
  );
}
