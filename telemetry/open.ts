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

/**
 * @param role a worker cannot work without Temporal; the API takes changes all the same, and they wait
 * @param refresh awaited before each scrape
 * @returns null where no port is configured
 */
export async function openTelemetry(
  { config, db, operations }: Observed,
  registry: Registry,
  role: 'worker' | 'api',
  refresh?: () => Promise<void>,
): Promise<TelemetryServer | null> {
  const { host, port } = config.telemetry;
  if (port === null) return null;
  return serveTelemetry({
    registry,
    host,
    port,
    ...(refresh === undefined ? {} : { refresh }),
    notReady: async () => {
      const answered = await row(db, 'select 1').catch(() => undefined);
      if (answered === undefined) return 'The database cannot be reached.';
      return role === 'worker' ? operations.problem() : null;
    },
  });
}
