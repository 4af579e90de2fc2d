/** Opens the listener of a role, where the configuration has a port for it. */
import type { Registry } from 'prom-client';
import { row } from '../store/db.ts';
import type { Db } from '../store/db.ts';
import { serveTelemetry } from './server.ts';
import type { TelemetryServer } from './server.ts';

export interface Observed {
  config: { telemetry: { host: string; port: number | null } };
  db: Db;
  /** Why Temporal cannot be used now; null when it can. */
  operations: { problem(): Promise<string | null> };
}

/** @returns null where no port is configured */
export async function openTelemetry(
  { config, db, operations }: Observed,
  registry: Registry,
): Promise<TelemetryServer | null> {
  const { host, port } = config.telemetry;
  if (port === null) return null;
  return serveTelemetry({
    registry,
    host,
    port,
    notReady: async () => {
      const answered = await row(db, 'select 1').catch(() => undefined);
      return answered === undefined ? 'The database cannot be reached.' : operations.problem();
    },
  });
}
