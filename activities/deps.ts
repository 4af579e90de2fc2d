/** What activities are built from. Only the composition root makes these. */
import type { Logger } from 'pino';
import type { Capabilities, Connector } from '../connectors/kit/connector.ts';
import type { SystemRules } from '../domain/want.ts';
import type { RetentionRule } from '../domain/retention.ts';
import type { Db } from '../store/db.ts';
import type { Keyring } from '../store/keyring.ts';
import type { KnownStatements } from '../store/statements.ts';
import type { Meter } from '../telemetry/metrics.ts';
import type { Traces } from '../telemetry/spans.ts';
import type { Wakes } from './wakes.ts';

/** One configured system, ready to work. */
export interface SystemRuntime {
  name: string;
  rules: SystemRules;
  rulesHash: string;
  account: string;
  connector: Connector;
  capabilities: Capabilities;
  /** Calls in flight that the account allows. */
  concurrency: number;
  /** Calls a second that the account allows; null where it has no such limit. */
  callsPerSecond: number | null;
  callTimeoutMs: number;
}

export interface Timing {
  /** How long a drain stays without work. */
  lingerMs: number;
  /** Bound of one drain. */
  drainMs: number;
  /** How often a drain looks for what no wake told it of. */
  sweepMs: number;
  leaseMs: number;
}

export interface Deps {
  db: Db;
  keyring: Keyring;
  systems: ReadonlyMap<string, SystemRuntime>;
  purposes: readonly string[];
  statements: KnownStatements;
  /** Opaque name of this process. */
  owner: string;
  timing: Timing;
  wakes: Wakes;
  /** Fires when the process is asked to end: drains end at their next step instead of at the end of the grace time. */
  stopping: AbortSignal;
  log: Logger;
  meter: Meter;
  /** Null where no traces are sent. */
  traces: Traces | null;
  brake: { maxShare: number; minimum: number };
  retention: { rules: readonly RetentionRule[]; maxShare: number };
  erasure: { remindDaysBefore: readonly number[] };
  /** The hour, as ISO 8601; injected so that tests can move it. */
  now: () => string;
}

/** The system's runtime. @throws Error where the configuration has none of that name */
export function runtimeOf(deps: Deps, system: string): SystemRuntime {
  const runtime = deps.systems.get(system);
  if (runtime === undefined) throw new Error(`no system '${system}' in this worker's configuration`);
  return runtime;
}
