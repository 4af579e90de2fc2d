/** Connections to Temporal from the SDK's standard environment configuration (`TEMPORAL_ADDRESS`, profiles, TLS, API key). */
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import type { DataConverter, PayloadCodec } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection } from '@temporalio/worker';

export interface TemporalPlace {
  namespace: string;
  client: Client;
  close(): Promise<void>;
}

const DEFAULT_ADDRESS = '127.0.0.1:7233';
/** Built into the workflows' bundle too (temporal/bundle.ts). */
export const FAILURE_CONVERTER = fileURLToPath(new URL('../workflows/failure-converter.ts', import.meta.url));

function place(): { namespace: string; options: Record<string, unknown> } {
  const found = loadClientConnectConfig();
  const options = { ...found.connectionOptions };
  return { namespace: found.namespace ?? 'default', options: { address: DEFAULT_ADDRESS, ...options } };
}

/** How everything that talks to Temporal turns values into what is stored there. */
export function converterOf(codec: PayloadCodec): DataConverter {
  return { failureConverterPath: FAILURE_CONVERTER, payloadCodecs: [codec] };
}

/** A client over a connection that is the caller's. */
export function clientOver(connection: Connection, namespace: string, codec: PayloadCodec): Client {
  return new Client({ connection, namespace, dataConverter: converterOf(codec) });
}

/** A client for starting, signalling and asking workflows. Connects at its first call. */
export async function connectClient(codec: PayloadCodec): Promise<TemporalPlace> {
  const { namespace, options } = place();
  const connection = Connection.lazy(options);
  return { namespace, client: clientOver(connection, namespace, codec), close: () => connection.close() };
}

/** A connection for workers. @throws where the server cannot be reached */
export async function connectWorker(): Promise<{ connection: NativeConnection; namespace: string }> {
  const { namespace, options } = place();
  // Native code of forty megabytes, which neither API nor CLI has a use for.
  const { NativeConnection } = await import('@temporalio/worker');
  return { connection: await NativeConnection.connect(options), namespace };
}
