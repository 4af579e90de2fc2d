/** Reasons to keep data although a rule or a request says otherwise: contracts, claims, tax law (GDPR Art. 17(3)). */
import { DAY_MS, parseDay, parseMoment } from './time.ts';

export interface Hold {
  id: string;
  contactId: string;
  /** Stable short word: `contract`, `legal_claim`, `tax_records` … */
  reason: string;
  /** `YYYY-MM-DD`, the last day of the hold; null where it is open-ended. */
  until: string | null;
  /** `YYYY-MM-DD` at which a person looks again whether it still stands; ends nothing by itself. */
  reviewOn: string | null;
  /** The whole person, or only what certain systems hold. */
  scope: { kind: 'everything' } | { kind: 'systems'; systems: readonly string[] };
}

/** Holds in force at `now` (ISO 8601). The last day counts to its end; a date nobody can read holds. */
export function activeHolds(holds: readonly Hold[], now: string): Hold[] {
  const nowMs = parseMoment(now);
  if (nowMs === null) throw new RangeError('now is not an ISO 8601 moment');
  return holds.filter((hold) => {
    const lastDay = hold.until === null ? null : parseDay(hold.until);
    return lastDay === null || nowMs < lastDay + DAY_MS;
  });
}

/** Holds in force that cover one system. */
export function holdsOn(holds: readonly Hold[], system: string, now: string): Hold[] {
  return activeHolds(holds, now).filter(
    (hold) => hold.scope.kind === 'everything' || hold.scope.systems.includes(system),
  );
}

/** The earliest day on which a hold ends or is looked at again; null where none says one. For outcomes `retained`. */
export function nextReview(holds: readonly Hold[]): string | null {
  const days = holds.flatMap((hold) => [hold.until, hold.reviewOn]).filter((day) => day !== null);
  return days.toSorted()[0] ?? null;
}
