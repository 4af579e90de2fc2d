/** Storage limitation (GDPR Art. 5(1)(e)): which contacts have been kept long enough. Rules are data; a purge is no erasure. */
import type { ConsentState } from './consent.ts';
import type { Contact, Relationship } from './contact.ts';
import { activeHolds, type Hold } from './holds.ts';
import { addMonths, DAY_MS, parseDay, parseMoment } from './time.ts';

export interface RetentionRule {
  name: string;
  after: { months: number; since: 'obtainedAt' };
  /** What keeps a contact, however old. */
  unless: {
    /** A given consent to any purpose, or to one of these. */
    consentGiven?: 'any' | readonly string[];
    contract?: {
      /** A contract end that is not past. */
      runningEnd: boolean;
      /** Relationships that are a contract without an end as long as no end is stated. */
      relationships: readonly Relationship[];
      /** A transaction not longer ago than this; null where transactions do not count. */
      transactionWithinMonths: number | null;
    };
  };
}

/** As shipped: purged three months after being obtained, without an opt-in and without a contract. */
export const DEFAULT_RETENTION_RULE: RetentionRule = {
  name: 'no-opt-in-no-contract',
  after: { months: 3, since: 'obtainedAt' },
  unless: {
    consentGiven: 'any',
    contract: { runningEnd: true, relationships: ['customer', 'supplier'], transactionWithinMonths: 24 },
  },
};

export type RetentionReason =
  /** Nothing to purge: already purged or erased. */
  | 'not_active'
  | 'not_old_enough'
  | 'consent_given'
  | 'contract_running'
  | 'relationship_open_ended'
  | 'recent_transaction'
  | 'hold'
  /** The three that together purge. */
  | 'old_enough'
  | 'no_consent'
  | 'no_contract';

export interface RetentionVerdict {
  purge: boolean;
  /** With `purge` why it may go, else everything that keeps it. */
  reasons: RetentionReason[];
}

/**
 * Judges one contact by one rule at `now` (ISO 8601). `obtainedAt` falls back to `createdAt`. Months are calendar months in UTC. A date that
 * cannot be read keeps the contact: purging cannot be undone.
 */
export function retentionVerdict(
  contact: Contact,
  consents: Readonly<Record<string, { state: ConsentState }>>,
  holds: readonly Hold[],
  rule: RetentionRule,
  now: string,
): RetentionVerdict {
  const nowMs = parseMoment(now);
  if (nowMs === null) throw new RangeError('now is not an ISO 8601 moment');
  if (contact.state !== 'active') return { purge: false, reasons: ['not_active'] };

  const keeps: RetentionReason[] = [];
  const since = parseMoment(contact.obtainedAt ?? '') ?? parseMoment(contact.createdAt);
  if (since === null || nowMs < addMonths(since, rule.after.months)) keeps.push('not_old_enough');
  if (isConsentGiven(consents, rule.unless.consentGiven)) keeps.push('consent_given');
  keeps.push(...contractReasons(contact, rule.unless.contract, nowMs));
  if (activeHolds(holds, now).length > 0) keeps.push('hold');
  if (keeps.length > 0) return { purge: false, reasons: keeps };

  const reasons: RetentionReason[] = ['old_enough'];
  if (rule.unless.consentGiven !== undefined) reasons.push('no_consent');
  if (rule.unless.contract !== undefined) reasons.push('no_contract');
  return { purge: true, reasons };
}

function isConsentGiven(
  consents: Readonly<Record<string, { state: ConsentState }>>,
  wanted: RetentionRule['unless']['consentGiven'],
): boolean {
  if (wanted === undefined) return false;
  const purposes = wanted === 'any' ? Object.keys(consents) : wanted;
  return purposes.some((purpose) => consents[purpose]?.state === 'given');
}

function contractReasons(
  contact: Contact,
  contract: RetentionRule['unless']['contract'],
  nowMs: number,
): RetentionReason[] {
  if (contract === undefined) return [];
  const reasons: RetentionReason[] = [];
  if (contract.runningEnd && contact.contractEnd !== null && !isPast(contact.contractEnd, nowMs)) {
    reasons.push('contract_running');
  }
  const { relationship } = contact;
  if (relationship !== null && contract.relationships.includes(relationship) && contact.contractEnd === null) {
    reasons.push('relationship_open_ended');
  }
  if (contract.transactionWithinMonths !== null && contact.lastTransactionAt !== null) {
    const last = parseMoment(contact.lastTransactionAt);
    if (last === null || nowMs < addMonths(last, contract.transactionWithinMonths)) reasons.push('recent_transaction');
  }
  return reasons;
}

/** A contract that ends on a day runs to the end of that day. */
function isPast(end: string, nowMs: number): boolean {
  const day = parseDay(end);
  const moment = day === null ? parseMoment(end) : day + DAY_MS;
  return moment !== null && moment <= nowMs;
}
