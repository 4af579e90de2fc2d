/**
 * Consent as a lattice, derived from append-only evidence: withdrawn = refused > unknown > given. Going up (stricter) needs no proof.
 * Going down needs fresh evidence from the person. GDPR Art. 7(1) and 7(3): the controller proves consent; withdrawing is as easy as giving.
 */
import { CLOCK_TOLERANCE_MS, DAY_MS, isDayOnly, parseMoment } from './time.ts';

export const CONSENT_KINDS = ['given', 'refused', 'withdrawn', 'expired', 'reset'] as const;
export type ConsentKind = (typeof CONSENT_KINDS)[number];

export const CONSENT_DOORS = ['api', 'csv', 'sql', 'vendor', 'preference_centre', 'operator', 'engine'] as const;
export type ConsentDoor = (typeof CONSENT_DOORS)[number];

export const CONSENT_STATES = ['given', 'unknown', 'refused', 'withdrawn'] as const;
export type ConsentState = (typeof CONSENT_STATES)[number];

/** One piece of evidence. Append-only; nothing in it is ever changed. */
export interface ConsentEvent {
  /** The central sequence: the order in which evidence was recorded. */
  id: number;
  purpose: string;
  kind: ConsentKind;
  /** When it is stated to have happened, ISO 8601 with offset (or a day); null where nobody knows. */
  happenedAt: string | null;
  /** The database's clock at recording, ISO 8601. */
  recordedAt: string;
  /** How: `web_form`, `paper` …; null where nobody knows. */
  channel: string | null;
  /** Version id of the exact wording shown; null where nobody knows. */
  statement: string | null;
  recordedBy: string;
  door: ConsentDoor;
  /** True where the evidence comes from the person themselves, as against somebody speaking for them. */
  byPerson: boolean;
}

/** Why an event did or did not count. */
export type ConsentNote =
  | 'counted'
  /** A given that confirms what was given already. */
  | 'confirmed'
  | 'no_proof_when'
  | 'no_proof_how'
  | 'no_proof_wording'
  | 'future_stated'
  /** Came through a door that can never permit anything: a vendor's or the engine's own word. */
  | 'door_never_permits'
  /** Came through a door that never lifts a withdrawal: only the person's own word does. */
  | 'door_never_lifts'
  | 'not_by_person'
  | 'not_later_than_withdrawal'
  | 'not_later_than_reset'
  | 'already_restricted'
  /** Expired or reset: leads from given to unknown only. */
  | 'nothing_to_end';

export interface ConsentResult {
  state: ConsentState;
  /** When this state began: as stated where that is known, else as recorded. Null where nothing was ever recorded. */
  since: string | null;
  /** The event that led to this state. */
  because: number | null;
  /** With `given`: the newest event that proves it. A projection permits nothing without it. */
  evidence: number | null;
  reasons: { eventId: number; note: ConsentNote }[];
}

/** Doors through which the person's own fresh word can lift a withdrawal. */
const LIFTING_DOORS: ReadonlySet<ConsentDoor> = new Set(['api', 'preference_centre']);
/** What a vendor shows, or we conclude, is no evidence of a consent. */
const NEVER_PERMITTING_DOORS: ReadonlySet<ConsentDoor> = new Set(['vendor', 'engine']);

const RANK: Record<ConsentState, number> = { given: 0, unknown: 1, refused: 2, withdrawn: 2 };

/**
 * Folds the evidence of one person for one purpose, in the order of recording whatever the order given.
 * `knownStatements` are the version ids of wordings on file; where passed, a consent to any other wording has no proof.
 */
export function consentState(events: readonly ConsentEvent[], knownStatements?: ReadonlySet<string>): ConsentResult {
  const fold = new Fold(knownStatements);
  for (const event of events.toSorted((a, b) => a.id - b.id)) fold.take(event);
  return fold.result();
}

/** `consentState` for each purpose; purposes without an event are `unknown`. */
export function consentStates(
  events: readonly ConsentEvent[],
  purposes: readonly string[],
  knownStatements?: ReadonlySet<string>,
): Record<string, ConsentResult> {
  const states: Record<string, ConsentResult> = {};
  for (const purpose of purposes) {
    states[purpose] = consentState(
      events.filter((event) => event.purpose === purpose),
      knownStatements,
    );
  }
  return states;
}

class Fold {
  readonly #knownStatements: ReadonlySet<string> | undefined;
  #state: ConsentState = 'unknown';
  #since: string | null = null;
  #because: number | null = null;
  #evidence: { id: number; happened: number } | null = null;
  /** The latest time that any restriction so far is stated to have; a given must be later to lift one. */
  #restrictedUntil = Number.NEGATIVE_INFINITY;
  /** The same for expiry and reset. */
  #endedUntil = Number.NEGATIVE_INFINITY;
  readonly #reasons: ConsentResult['reasons'] = [];

  constructor(knownStatements: ReadonlySet<string> | undefined) {
    this.#knownStatements = knownStatements;
  }

  take(event: ConsentEvent): void {
    switch (event.kind) {
      case 'refused':
      case 'withdrawn':
        this.#restrict(event, event.kind);
        return;
      case 'expired':
      case 'reset':
        this.#end(event);
        return;
      case 'given':
        this.#give(event);
        return;
    }
  }

  result(): ConsentResult {
    return {
      state: this.#state,
      since: this.#since,
      because: this.#because,
      evidence: this.#state === 'given' ? (this.#evidence?.id ?? null) : null,
      reasons: this.#reasons,
    };
  }

  #restrict(event: ConsentEvent, to: 'refused' | 'withdrawn'): void {
    this.#restrictedUntil = Math.max(this.#restrictedUntil, endingTime(event));
    if (RANK[this.#state] === RANK[to]) return this.#note(event, 'already_restricted');
    this.#enter(to, event);
  }

  #end(event: ConsentEvent): void {
    this.#endedUntil = Math.max(this.#endedUntil, endingTime(event));
    if (this.#state !== 'given') return this.#note(event, 'nothing_to_end');
    this.#enter('unknown', event);
  }

  #give(event: ConsentEvent): void {
    const faults = this.#faultsOf(event);
    if (faults.length > 0) {
      for (const fault of faults) this.#note(event, fault);
      return;
    }
    const happened = parseMoment(event.happenedAt ?? '') ?? Number.NEGATIVE_INFINITY;
    if (this.#state === 'given') {
      if (this.#evidence === null || happened >= this.#evidence.happened) this.#evidence = { id: event.id, happened };
      return this.#note(event, 'confirmed');
    }
    this.#evidence = { id: event.id, happened };
    this.#enter('given', event);
  }

  /** Everything that keeps a given from permitting; empty where it counts. */
  #faultsOf(event: ConsentEvent): ConsentNote[] {
    const faults: ConsentNote[] = [];
    const happened = event.happenedAt === null ? null : parseMoment(event.happenedAt);
    const recorded = parseMoment(event.recordedAt) ?? Number.NEGATIVE_INFINITY;
    if (happened === null) faults.push('no_proof_when');
    if (isBlank(event.channel)) faults.push('no_proof_how');
    if (isBlank(event.statement) || !this.#isKnownStatement(event.statement)) faults.push('no_proof_wording');
    if (happened !== null && happened > recorded + CLOCK_TOLERANCE_MS) faults.push('future_stated');
    if (NEVER_PERMITTING_DOORS.has(event.door)) faults.push('door_never_permits');
    if (happened !== null && happened <= this.#endedUntil) faults.push('not_later_than_reset');

    if (RANK[this.#state] === RANK.withdrawn) {
      if (!event.byPerson) faults.push('not_by_person');
      if (!LIFTING_DOORS.has(event.door)) faults.push('door_never_lifts');
      if (happened !== null && happened <= this.#restrictedUntil) faults.push('not_later_than_withdrawal');
    }
    return faults;
  }

  #isKnownStatement(statement: string | null): boolean {
    return this.#knownStatements === undefined || (statement !== null && this.#knownStatements.has(statement));
  }

  #enter(state: ConsentState, event: ConsentEvent): void {
    this.#state = state;
    this.#since =
      event.happenedAt !== null && parseMoment(event.happenedAt) !== null ? event.happenedAt : event.recordedAt;
    this.#because = event.id;
    if (state !== 'given') this.#evidence = null;
    this.#note(event, 'counted');
  }

  #note(event: ConsentEvent, note: ConsentNote): void {
    this.#reasons.push({ eventId: event.id, note });
  }
}

/**
 * When a restriction, expiry or reset counts as having happened: as stated, but never later than it was recorded (a date in the
 * future must not bar a person's later consent for ever). Of a mere day its end counts, because a consent of the same
 * day cannot be shown to be the later one.
 */
function endingTime(event: ConsentEvent): number {
  const recorded = parseMoment(event.recordedAt) ?? Number.POSITIVE_INFINITY;
  const stated = event.happenedAt === null ? null : parseMoment(event.happenedAt);
  if (stated === null) return recorded;
  const end = isDayOnly(event.happenedAt ?? '') ? stated + DAY_MS - 1 : stated;
  return Math.min(end, recorded);
}

function isBlank(text: string | null): boolean {
  return text === null || text.trim() === '';
}

/** True where `a` permits less than `b`. Withdrawn and refused are equal. */
export function stricterThan(a: ConsentState, b: ConsentState): boolean {
  return RANK[a] > RANK[b];
}

/** What stands for an address that several people share: the strictest of all; `unknown` of nobody. */
export function strictest(states: readonly ConsentState[]): ConsentState {
  let found: ConsentState | null = null;
  for (const state of states) if (found === null || stricterThan(state, found)) found = state;
  return found ?? 'unknown';
}

/** True where nothing may be sent and no import, vendor or operator can change that. */
export function isRestricted(state: ConsentState): boolean {
  return RANK[state] === RANK.withdrawn;
}

/**
 * True where what a vendor shows must be recorded as the person's withdrawal before anything is repaired.
 *
 * `observed` and `lastVerified` are a vendor's states (`subscribed`, `unsubscribed`, `complained`, `pending`, `undeliverable`, `none`);
 * `lastVerified` is null where the target was never read. A complaint always counts. `unsubscribed` counts unless it is our own doing: it was
 * so at the last verified reading, or `writtenByUs` says that we set it since then. Bounced addresses and unfinished sign-ups
 * are no statement of a person's will.
 */
export function isStricterReading(
  observed: string,
  state: ConsentState,
  lastVerified: string | null,
  writtenByUs = false,
): boolean {
  if (isRestricted(state)) return false;
  if (observed === 'complained') return true;
  // A switch that was on and is off now was turned off by somebody.
  if (observed === 'off') return lastVerified === 'subscribed' && !writtenByUs;
  return observed === 'unsubscribed' && lastVerified !== 'unsubscribed' && !writtenByUs;
}

/** What makes two records of evidence the same one. */
export type EvidenceFacts = Pick<ConsentEvent, 'purpose' | 'kind' | 'happenedAt' | 'channel' | 'statement'>;

/** True where an event already says exactly this, so that importing a file twice records nothing twice. */
export function isKnownEvidence(events: readonly EvidenceFacts[], candidate: EvidenceFacts): boolean {
  return events.some(
    (event) =>
      event.purpose === candidate.purpose &&
      event.kind === candidate.kind &&
      sameMoment(event.happenedAt, candidate.happenedAt) &&
      event.channel === candidate.channel &&
      event.statement === candidate.statement,
  );
}

function sameMoment(a: string | null, b: string | null): boolean {
  if (a === null || b === null) return a === b;
  return a === b || (parseMoment(a) !== null && parseMoment(a) === parseMoment(b));
}
