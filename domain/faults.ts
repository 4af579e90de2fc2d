/**
 * The types of failure that workflows and activities speak of: the `type` of an ApplicationFailure, so that what Temporal's UI shows, what
 * a workflow catches and what is not retried have one name. Messages beside them never hold personal data.
 */
export const FaultType = {
  /** The vendor answers with limits or errors for longer than a drain waits; retried, with the vendor's delay where it gave one. */
  VendorUnavailable: 'VendorUnavailable',
  /** Credentials or scopes are refused: the lane pauses itself and says so once. Not retried. */
  Unauthorised: 'Unauthorised',
  /** An operator, or the lane itself, has paused this system. Not retried. */
  LanePaused: 'LanePaused',
  /** The account's call budget cannot be read, so no call is made. Retried. */
  BudgetUnreadable: 'BudgetUnreadable',
  /** Another process drains this lane by now: nothing was recorded. Retried. */
  LeaseLost: 'LeaseLost',
  /** A run would change more than its set share: nothing was written, a person is asked. Not retried. */
  Brake: 'Brake',
  /** A decision without the one-time id that the API or the CLI hands out. The update is refused. */
  DecisionUnauthenticated: 'DecisionUnauthenticated',
  /** A decision that does not fit the case's present step, such as a second one. The update is refused. */
  DecisionNotPossible: 'DecisionNotPossible',
  /** The database shows an older ledger than the lane has seen (a restored backup): nothing opens until somebody answers. */
  RestoredDatabase: 'RestoredDatabase',
  /** A system has not been scanned completely yet, so nothing may be created in it. Retried. */
  NotScanned: 'NotScanned',
  /** PostgreSQL cannot be reached or refuses connections. Retried. */
  StoreUnavailable: 'StoreUnavailable',
  /** The configuration names no such system, rule or purpose. Not retried. */
  NotConfigured: 'NotConfigured',
} as const;
export type FaultType = (typeof FaultType)[keyof typeof FaultType];

/** Types that no retry can cure: for `nonRetryableErrorTypes`. */
export const NOT_RETRYABLE: readonly FaultType[] = [
  FaultType.Unauthorised,
  FaultType.LanePaused,
  FaultType.Brake,
  FaultType.DecisionUnauthenticated,
  FaultType.DecisionNotPossible,
  FaultType.RestoredDatabase,
  FaultType.NotConfigured,
];
