/** Connections to Temporal from the SDK's standard environment configuration (`TEMPORAL_ADDRESS`, profiles, TLS, API key). */
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection } from '@temporalio/worker';

export interface TemporalPlace {
  namespace: string;
  client: Client;
  close(): Promise<void>;
}

const DEFAULT_ADDRESS = '127.0.0.1:7233';

function place(): { namespace: string; options: Record<string, unknown> } {
  const found = loadClientConnectConfig();
  const options = { ...found.connectionOptions };
  return { namespace: found.namespace ?? 'default', options: { address: DEFAULT_ADDRESS, ...options } };
}

/** A client for starting, signalling and asking workflows. Connects at its first call. */
export async function connectClient(): Promise<TemporalPlace> {
  const { namespace, options } = place();
  const connection = Connection.lazy(options);
  return { namespace, client: new Client({ connection, namespace }), close: () => connection.close() };
}

/** A connection for workers. @throws where the server cannot be reached */
export async function connectWorker(): Promise<{ connection: NativeConnection; namespace: string }> {
  const { namespace, options } = place();
  // Native code of forty megabytes, which neither API nor CLI has a use for.
  const { NativeConnection } = await import('@temporalio/worker');
  return { connection: await NativeConnection.connect(options), namespace };
}
