/**
 * The contract between Plumbline and a vendor. A connector speaks one vendor's API through its official SDK and nothing else:
 * it knows no database, no workflow and no other connector. The engine decides what a system should hold (`Want`); the
 * connector makes it so, reads it back, and says of each single item what came of it.
 *
 * Rules that every connector keeps, and that the conformance suite checks:
 *  1. `deliver` and `verify` give one result per item, in the same order, whatever the vendor answered.
 *  2. No exception leaves a connector because of a vendor's answer: each answer becomes an `Outcome` (see faults table of the
 *     vendor). Only a broken programme throws. The one exception is `ConnectorStop`, below, from scans.
 *  3. Every HTTP call goes through `gate.call`, which takes from the account's budget; no retry, no sleep, no limiter of its own. Only
 *     a token endpoint is asked without it (`tokens.ts`).
 *  4. A write whose answer never came (cut, time-out, truncated) is `unknown`, a read in that state is `retry`.
 *  5. An item with `lookFirst` had an attempt of unknown outcome: find the person (by id, our reference, exact address)
 *     before anything is created or written. Never create twice.
 *  6. Consent is written only as `want.consents` says and only when `parts.consent`; a data part never touches it. Before `subscribed` is
 *     written over an existing record, its present state is read: where it is unsubscribed or complained and
 *     `known.consents[target]` is not `unsubscribed`, nothing is written and the consent outcome is `stricter`.
 *     When both parts go and the consent part restricts, the consent goes first; under a new key first of all.
 *     The data part's failure never hides or delays the consent part, and the other way round.
 *  7. Erasing, archiving: only by an id that is known (`externalIds`) or was looked up exactly, after reading it and
 *     checking that it is the person (our reference, or one of `identity.addresses`). Every further copy found is erased too.
 *     Someone else's record: outcome `ambiguous`. Found nothing: `not_held`.
 *  8. One bad item never decides for its batch: per-item errors are mapped, a batch refused whole is halved down to the culprit.
 *  9. Outcome messages carry no personal data: use `masked` of `kit/mask.ts`.
 * 10. A 'retry' has `afterMs` where the vendor said so (Retry-After, rate headers).
 * 11. Where a `deliver` is many calls one after the other, it begins no more of them once `gate.isHurried`: the items that are left
 *     have `LEFT` as both outcomes.
 */
import type { ConsentWant, Want } from '../../domain/want.ts';
import type { Outcome } from '../../domain/outcome.ts';

/** What the vendor's headers said of its limits; absent where it did not say. */
export interface LimitReading {
  /** Calls left in the vendor's short window, and its length. */
  remaining?: number;
  windowMs?: number;
  dayRemaining?: number;
  /** Set by a 429 or 503: nobody may call this account before. */
  blockedForMs?: number;
  reason?: 'rate' | 'day' | 'concurrency';
}

/** The account's budget, seen by a connector. */
export interface Gate {
  /**
   * Takes one call from the account's budget (waits for it), runs it, gives the slot back. `signal` fires at the call's
   * time limit or at shutdown. Rejects with `GateClosed` (see below) when no call may be made now; let it pass through.
   * `name` is a stable word such as `contacts.batch_update`.
   */
  call<T>(name: string, fn: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Tells the budget what the vendor's headers said. */
  observe(reading: LimitReading): void;
  /** Calls that may be in flight at once for this account, for connectors that fan out single calls. */
  readonly concurrency: number;
  /** Something urgent waits for one of the items that are being delivered. May become true at any time. */
  readonly isHurried: boolean;
}

/** Of an item that was not begun because the batch is hurried: nothing was written for it, and it stays due as it was. */
export const LEFT: Outcome = Object.freeze({ kind: 'retry', code: 'left_for_urgent', afterMs: 0 });

export function leftOut({ externalIds }: Item): ItemResult {
  return { data: LEFT, consent: LEFT, externalIds };
}

/** Thrown by the gate: no call was made. Connectors let it pass; the engine turns it into a retry. `cause`: the budget could not be read. */
export class GateClosed extends Error {
  readonly afterMs: number;
  constructor(afterMs: number, options?: { cause: unknown }) {
    super('no call may be made now', options);
    this.name = 'GateClosed';
    this.afterMs = afterMs;
  }
}

/** Thrown by `scan`, `changedSince`, `collect`, `check`: the page could not be had. Carries the classified outcome. */
export class ConnectorStop extends Error {
  readonly outcome: Outcome;
  constructor(outcome: Outcome) {
    super(`vendor call stopped: ${outcome.kind}${'code' in outcome ? ` ${outcome.code}` : ''}`);
    this.name = 'ConnectorStop';
    this.outcome = outcome;
  }
}

export interface Capabilities {
  /** Items a `deliver` may carry; the engine makes batches of this size. */
  deliverBatch: number;
  /** Items a `verify` may carry. */
  verifyBatch: number;
  /** True where two records cannot have one address (HubSpot, Mailchimp): several contacts with one address share one record. */
  addressIsKey: boolean;
  /** True where there is no record without an address (Mailchimp). */
  addressRequired: boolean;
  /** What erasure really does at this vendor. */
  erase: 'privacy_delete' | 'scrub_and_archive' | 'not_supported';
  purge: 'scrub_and_archive' | 'archive' | 'not_supported';
  /** True where consent is held there. */
  consents: boolean;
  /** True where `changedSince` is offered. */
  changes: boolean;
}

/**
 * A state of consent as the vendor shows it. `undeliverable`: bounced or cleaned: of the address, not of the person's will. `off`: a switch that
 * is not on, from the start or again: a statement only where it was on before.
 */
export type ObservedConsent =
  | 'subscribed'
  | 'unsubscribed'
  | 'complained'
  | 'pending'
  | 'undeliverable'
  | 'off'
  | 'none';

/** What a vendor holds of one record, as read. */
export interface Observation {
  externalId: string;
  /** Our reference if the record carries one. */
  reference: string | null;
  presence: 'present' | 'archived' | 'gone';
  /** Every address the record is known by, as the vendor gives it. */
  addresses: string[];
  /** Mapped properties only; absent and null are the empty string. */
  fields: Record<string, string>;
  consents: Record<string, ObservedConsent>;
  /** True where the record also holds other people (Xero contact persons): never archived for one of them. */
  shared?: boolean;
  /** When the vendor last changed it, ISO 8601, if it says so. */
  changedAt?: string;
}

/** What the engine last read back for this contact in this system. */
export interface Known {
  key: string | null;
  consents: Record<string, ObservedConsent>;
}

/** One contact's part of a batch. */
export interface Item {
  /** Our reference at the vendor: the contact's opaque id. */
  reference: string;
  /** Ids at the vendor, newest first; empty when it was never there as far as is known. */
  externalIds: string[];
  want: Want;
  known: Known | null;
  parts: { data: boolean; consent: boolean };
  lookFirst: boolean;
  /**
   * Who it is, to check before anything irreversible, and to look by: every address and name the record has or had (from the
   * sealed ticket when it is being erased or purged). Never logged.
   */
  identity: { addresses: string[]; names: string[] };
}

export interface ItemResult {
  data: Outcome;
  consent: Outcome;
  /** Current ids at the vendor after this attempt, newest first (several where copies were found). */
  externalIds: string[];
  /** What was read on the way, if anything was: used to record stricter consents. */
  observation?: Observation;
}

export interface Page {
  observations: Observation[];
  /** Opaque; absent on the last page. Survives a restart of the process. */
  cursor?: string;
}

export interface Connector {
  readonly capabilities: Capabilities;
  /** Makes the vendor hold what each item wants. At most `capabilities.deliverBatch` items; same length, same order. */
  deliver(items: Item[], gate: Gate): Promise<ItemResult[]>;
  /**
   * Reads back, by the vendor's cheapest true means (never by a lagging search). Null: nothing is there under the item's ids (or,
   * for an item without ids, under its reference or address). An archived record is an observation with `archived`.
   * A string-coded outcome instead of an observation: it could not be read now (`retry`, `unauthorised` …).
   */
  verify(items: Item[], gate: Gate): Promise<(Observation | null | { unread: Outcome })[]>;
  /** Everything the system holds (archived included where the vendor lists them), page by page. */
  scan(cursor: string | undefined, gate: Gate): Promise<Page>;
  /** Records changed at or after `since` (ISO 8601). Only with `capabilities.changes`. */
  changedSince?(since: string, cursor: string | undefined, gate: Gate): Promise<Page>;
  /** All that the vendor holds under one id, for a subject access request (GDPR Art. 15); null when gone. */
  collect(externalId: string, gate: Gate): Promise<Record<string, unknown> | null>;
  /**
   * Looks that credentials, scopes, properties, lists and consent targets are as the configuration says, and creates what is ours
   * to create (the reference property). Returns problems as sentences for an operator; empty when all is well.
   */
  check(gate: Gate): Promise<string[]>;
  /** Closes sockets. */
  close(): void;
}

/** What a connector is built from; secrets come as functions so that rotation needs no restart. */
export interface ConnectorSetup {
  system: string;
  /** Base URL of the vendor or of a sandbox, without a trailing slash; undefined means the vendor's own. */
  baseUrl?: string;
  /** True where the base URL may lead inside a network; addresses given as numbers and `localhost` may anyhow. */
  privateAddresses?: boolean;
  /** Connector-specific settings of the configuration, validated by the connector's own zod schema (`settingsSchema`). */
  settings: Record<string, unknown>;
  /** Named secrets (`token`, `apiKey`, `clientId`, `clientSecret`, `refreshToken`). */
  secret: (name: string) => Promise<string>;
  /** Mapped properties and consent targets, so that only they are read and written. */
  fields: { target: string; kind: string }[];
  consentTargets: string[];
  callTimeoutMs: number;
  tokens: TokenStore;
}

/** The saved OAuth tokens of one vendor account. `previousRefreshToken` still works for the vendor's grace period. */
export interface SavedTokens {
  accessToken: string | null;
  /** ISO 8601. */
  accessExpiresAt: string | null;
  refreshToken: string;
  previousRefreshToken: string | null;
}

/** Keeps rotating OAuth tokens across processes; encrypted at rest by the implementation. */
export interface TokenStore {
  load(account: string): Promise<SavedTokens | null>;
  /** Runs `fn` while no other process does for this account; `fn` gets the newest saved tokens and what it returns is saved. */
  exclusively(account: string, fn: (saved: SavedTokens | null) => Promise<SavedTokens>): Promise<SavedTokens>;
}

export type { ConsentWant };
