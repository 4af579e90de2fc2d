/** Databases for tests: each test file has one of its own, made from a template in some tens of milliseconds. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { inject } from 'vitest';

/** A database that no other test file knows. */
export interface TestDatabase {
  url: string;
  name: string;
  /** Drops it, ending connections that are still open. Tests need not: the whole server goes with the run. */
  drop(): Promise<void>;
}

/** What a template holds: `prepare` fills an empty database once a run, for instance with all migrations. */
export interface Template {
  name: string;
  prepare(url: string): Promise<void>;
}

/**
 * Makes a fresh database on the run's PostgreSQL: empty, or a copy of the template. `adminUrl` is for callers outside
 * vitest's `pg` and `temporal` projects, which have no address given to them.
 */
export async function createDatabase(template?: Template, adminUrl = inject('postgresUrl')): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await withClient(adminUrl, async (client) => {
    if (template !== undefined) await ensureTemplate(client, template, adminUrl);
    const from = template === undefined ? '' : ` template ${client.escapeIdentifier(template.name)}`;
    await client.query(`create database ${name}${from}`);
  });
  return {
    url: databaseUrl(adminUrl, name),
    name,
    drop: async () => {
      await withClient(adminUrl, (client) => client.query(`drop database if exists ${name} with (force)`));
    },
  };
}

async function ensureTemplate(client: Client, template: Template, adminUrl: string): Promise<void> {
  // Two processes of the run may come here at once; the second waits until the first has filled it.
  await client.query('select pg_advisory_lock(hashtext($1))', [template.name]);
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [template.name]);
    if (rowCount === 1) return;
    const unfinished = `${template.name}_unfinished`;
    await client.query(`drop database if exists ${client.escapeIdentifier(unfinished)} with (force)`);
    await client.query(`create database ${client.escapeIdentifier(unfinished)}`);
    await template.prepare(databaseUrl(adminUrl, unfinished));
    // A pool that `prepare` closed may take a moment to leave, and a database in use can be neither renamed nor copied.
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [unfinished]);
    await client.query(
      `alter database ${client.escapeIdentifier(unfinished)} rename to ${client.escapeIdentifier(template.name)}`,
    );
  } finally {
    await client.query('select pg_advisory_unlock(hashtext($1))', [template.name]);
  }
}

function databaseUrl(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
