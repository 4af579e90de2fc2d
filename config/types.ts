/** The configuration as the programme sees it: checked, defaults filled in, references resolved. No secret is ever in it. */
import type { AccountLimits } from '../connectors/kit/module.ts';
import type { AttributeDeclaration } from '../domain/attributes.ts';
import type { RetentionRule } from '../domain/retention.ts';
import type { FieldRule, SystemRules, Who } from '../domain/want.ts';

/** Where a secret is kept; read anew at each use, so that rotation needs no restart. Relative files start at the configuration's folder. */
export type SecretRef = { env: string } | { file: string };

export interface PurposeConfig {
  title: string;
  /** Version id → exact wording shown to people. */
  statements: Record<string, string>;
  /** A consent older than this counts as expired; null where it does not age. */
  validityMonths: number | null;
}

export interface SystemConfig {
  name: string;
  connector: string;
  /** Key of the vendor account: systems with the same one share its limits. */
  account: string;
  /** Without trailing slash; null means the vendor's own. */
  baseUrl: string | null;
  /** Its name may lead to addresses inside a network. */
  privateAddresses: boolean;
  credentials: Record<string, SecretRef>;
  /** The vendor's limits as far as the file does not say otherwise. */
  limits: AccountLimits;
  /** As the connector's own schema gave them back. */
  settings: Record<string, unknown>;
  who: Who;
  outsiders: SystemRules['outsiders'];
  fields: FieldRule[];
  consents: { purpose: string; target: string }[];
  /** True where the vendor's key is the address (a fact of the connector). */
  addressIsKey: boolean;
  /** True where the vendor keeps nobody without an address (a fact of the connector). */
  addressRequired: boolean;
}

export interface Schedule {
  /** Five fields: minute, hour, day of month, month, day of week. */
  cron: string;
  /** IANA name. */
  timeZone: string;
}

export interface Config {
  /** Absolute path of the file it was read from. */
  file: string;
  organisation: { name: string; timeZone: string };
  database: { poolMax: number };
  api: {
    host: string;
    port: number;
    publicUrl: string;
    /** How long an idempotency key is remembered. */
    idempotencyHours: number;
    /** How long a request may take to arrive. */
    requestSeconds: number;
    limits: {
      /** Of one API key, in one process. */
      requestsPerMinute: number;
      /** Requests without a good key from one address, in one process. */
      failedKeysPerMinute: number;
    };
    /** Whose `X-Forwarded-For` is believed: addresses or networks of reverse proxies. */
    trustedProxies: string[];
  };
  worker: {
    /** How long a drain waits for more work before it ends. */
    lingerMs: number;
    /** A drain's bound. */
    drainSeconds: number;
    /** How often the sweep looks for what a wake missed. */
    sweepSeconds: number;
    /** How long a lane's lease lasts without renewal. */
    leaseSeconds: number;
    /** Time limit of one call to a vendor. */
    callSeconds: number;
  };
  /** The listener of worker and API for metrics and probes, and where traces are sent, of which share of the changes; null: none. */
  telemetry: { host: string; port: number | null; traces: { url: string; share: number } | null };
  purposes: Record<string, PurposeConfig>;
  attributes: Record<string, AttributeDeclaration>;
  systems: Record<string, SystemConfig>;
  retention: {
    rules: RetentionRule[];
    /** A rule that hits a larger share of all contacts stops and asks. */
    maxShare: number;
  };
  schedules: {
    reconcile: Schedule;
    retention: Schedule;
    /** How often changed members of e-marketing systems are read for withdrawals. */
    changesEverySeconds: number;
  };
  brake: {
    /** A run that would change a larger share of a system's records stops and asks. */
    maxShare: number;
    /** Below this number of records the brake does not apply. */
    minimum: number;
  };
  erasure: {
    /** GDPR Art. 12(3): within one month of receipt. */
    deadlineDays: number;
    remindDaysBefore: number[];
  };
  keys: {
    main: SecretRef;
    /** Seals what Temporal keeps; null: nothing is sealed. */
    codec: SecretRef | null;
  };
}
