/** What a vendor's folder offers to the rest of the programme. */
import type { z } from 'zod';
import type { Capabilities, Connector, ConnectorSetup } from './connector.ts';

/** What `connectors/<vendor>/index.ts` exports. */
export interface ConnectorModule {
  /** Facts that hold for every account, known without a call. */
  capabilities: Capabilities;
  /** Schema of `settings` of a system with this connector (`z.strictObject`). */
  settingsSchema: z.ZodType<Record<string, unknown>>;
  /** Names of the secrets that `credentials` must give. */
  secrets: readonly string[];
  /** Those of `secrets` that these settings need; all where left out. */
  neededSecrets?(settings: Record<string, unknown>): readonly string[];
  /** The vendor's own limits of an account, which the configuration may lower. */
  limits: AccountLimits;
  create(setup: ConnectorSetup): Connector;
}

/** Limits of one vendor account; absent means the vendor states none. */
export interface AccountLimits {
  /** Calls allowed in any window of `windowMs`. */
  calls?: number;
  windowMs?: number;
  perDay?: number;
  /** Calls in flight at once. */
  concurrency: number;
}
