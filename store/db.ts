/** The PostgreSQL pool. Everything of ours lives in the schema `plumbline`. */
import knexPkg from 'knex';
import type { Knex } from 'knex';
import pg from 'pg';

const { knex } = knexPkg;

export const SCHEMA = 'plumbline';
export type Db = Knex;
export type Tx = Knex.Transaction;

const INT8 = 20;
const DATE = 1082;
const TIMESTAMPTZ = 1184;

/** bigint as number (ours stay far below 2^53), date as `YYYY-MM-DD`, timestamptz as ISO 8601 in UTC. */
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
    if (oid === INT8) return (value) => Number(value);
    if (oid === DATE) return (value) => value;
    if (oid === TIMESTAMPTZ) return isoOf;
    return pg.types.getTypeParser(oid, format ?? 'text') as (value: string) => unknown;
  },
};

/** `2026-11-25 09:30:00.123456+00`, as PostgreSQL writes it in UTC, to milliseconds: by hand, since a batch of contacts has thousands. */
function isoOf(value: string): string {
  if (value[10] !== ' ' || !value.endsWith('+00')) return new Date(value).toISOString();
  const milliseconds = value.slice(20, -3).slice(0, 3).padEnd(3, '0');
  return `${value.slice(0, 10)}T${value.slice(11, 19)}.${milliseconds}Z`;
}

export interface DbOptions {
  url: string;
  /** Connections at most. */
  poolMax?: number;
  applicationName: string;
  /** Longest time of a statement; none when left out. The server ends it, or we do where the server is not heard. */
  statementMs?: number;
}

const UNHEARD_MS = 1_000;

/**
 * Our statements are many and small, but by its estimates PostgreSQL takes a batch of a thousand among a million for dear enough to start
 * helper processes and to compile: both take longer than the statement. Set once connected, since a pooler in between may refuse it before.
 */
const SETTINGS = 'set jit = off; set max_parallel_workers_per_gather = 0';

/** Opens a pool; no connection is made before the first query. */
export function openDb(options: DbOptions): Db {
  return knex({
    client: 'pg',
    connection: {
      connectionString: options.url,
      application_name: options.applicationName,
      types,
      keepAlive: true,
      // A mere day, or a cast of one, means the same whatever the server's own time zone is.
      options: '-c timezone=UTC',
      connectionTimeoutMillis: 10_000,
      ...(options.statementMs === undefined
        ? {}
        : { statement_timeout: options.statementMs, query_timeout: options.statementMs + UNHEARD_MS }),
    } as Knex.PgConnectionConfig,
    searchPath: [SCHEMA, 'public'],
    pool: {
      min: 0,
      max: options.poolMax ?? 10,
      idleTimeoutMillis: 30_000,
      afterCreate: (connection: pg.Client, done: (error: Error | null, connection: pg.Client) => void) =>
        connection.query(SETTINGS, (error: Error | null) => done(error, connection)),
    },
    acquireConnectionTimeout: 20_000,
    // knex writes lost connections to standard output by itself; whoever asked gets the error and says so in its own way.
    log: { warn: () => {}, error: () => {}, deprecate: () => {}, debug: () => {} },
  });
}

/** Rows of a raw query, typed by the caller. Placeholders are `?`; a literal question mark is `\\?`. */
export async function rows<T>(db: Db | Tx, sql: string, bindings: readonly unknown[] = []): Promise<T[]> {
  const result = await db.raw<{ rows: T[] }>(sql, bindings as Knex.RawBinding[]);
  return result.rows;
}

/** The first row or undefined. */
export async function row<T>(db: Db | Tx, sql: string, bindings: readonly unknown[] = []): Promise<T | undefined> {
  return (await rows<T>(db, sql, bindings))[0];
}

/** Like `row`, for queries that always give one. @throws Error when they do not. */
export async function oneRow<T>(db: Db | Tx, sql: string, bindings: readonly unknown[] = []): Promise<T> {
  const found = await row<T>(db, sql, bindings);
  if (found === undefined) throw new Error('the database gave no row where there is always one');
  return found;
}

/** Through which door and by whom a change comes; kept with the version and the audit entry. */
export interface Writer {
  /** Opaque name of a key, a process or an operator account; never a person's address. */
  actor: string;
  door: 'api' | 'csv' | 'vendor' | 'operator' | 'engine' | 'preference_centre';
  /** Free text; kept with the version (erasable), never in the audit log. */
  reason?: string;
}

const DEADLOCK = '40P01';
const SERIALISATION = '40001';

/** The SQLSTATE of a PostgreSQL error, or undefined. */
export function sqlState(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/**
 * One transaction in a writer's name. A deadlock (40P01) of our own batch with somebody else's is retried a few times: the other
 * side must never notice us.
 */
export async function asWriter<T>(db: Db, writer: Writer, fn: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.transaction(async (tx) => {
        await tx.raw(
          `select set_config('plumbline.actor', ?, true), set_config('plumbline.door', ?, true), set_config('plumbline.reason', ?, true)`,
          [writer.actor, writer.door, writer.reason ?? ''],
        );
        return fn(tx);
      });
    } catch (error) {
      const state = sqlState(error);
      if ((state !== DEADLOCK && state !== SERIALISATION) || attempt >= 5) throw error;
    }
  }
}
