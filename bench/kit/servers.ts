/** The servers of a run: started when the first part asks for them. */
import { randomBytes } from 'node:crypto';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { Client } from 'pg';
import { searchAttributes, startThrowawayPostgres, startThrowawayTemporal } from '../../local/throwaway.ts';
import type { ThrowawayServer } from '../../local/throwaway.ts';

/** `INDEXED_VALUE_TYPE_KEYWORD` of temporal.api.enums.v1. */
const KEYWORD = 2;

export interface Servers {
  database(): Promise<string>;
  postgresPid(): Promise<number>;
  namespace(): Promise<{ address: string; namespace: string }>;
  stop(): Promise<void>;
}

export function createServers(say: (line: string) => void): Promise<Servers> {
  let postgres: Promise<ThrowawayServer> | null = null;
  let temporal: Promise<ThrowawayServer> | null = null;
  return Promise.resolve({
    async database() {
      postgres ??= startThrowawayPostgres(say);
      const { address } = await postgres;
      const name = `bench_${randomBytes(4).toString('hex')}`;
      const client = new Client({ connectionString: address });
      await client.connect();
      await client.query(`create database ${client.escapeIdentifier(name)}`);
      await client.end();
      const url = new URL(address);
      url.pathname = `/${name}`;
      return url.href;
    },
    async postgresPid() {
      postgres ??= startThrowawayPostgres(say);
      return (await postgres).pid;
    },
    async namespace() {
      temporal ??= startThrowawayTemporal(say);
      const { address } = await temporal;
      const namespace = `bench-${randomBytes(4).toString('hex')}`;
      const connection = await Connection.connect({ address });
      await connection.workflowService.registerNamespace({
        namespace,
        workflowExecutionRetentionPeriod: msToTs('1 day'),
      });
      await connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(Object.keys(searchAttributes).map((name) => [name, KEYWORD])),
      });
      await connection.close();
      return { address, namespace };
    },
    async stop() {
      await Promise.all([postgres, temporal].map(async (server) => (await server)?.stop()));
    },
  });
}
