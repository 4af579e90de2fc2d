/** Migrations without a folder scan; two processes may run them at once. */
import type { Knex } from 'knex';
import { SCHEMA, row } from './db.ts';
import type { Db } from './db.ts';
import { applyRoles } from './roles.ts';
import * as m0001 from './migrations/0001_contacts.ts';
import * as m0002 from './migrations/0002_ledger.ts';
import * as m0003 from './migrations/0003_audit.ts';
import * as m0004 from './migrations/0004_triggers.ts';
import * as m0005 from './migrations/0005_cases.ts';
import * as m0006 from './migrations/0006_audit_order.ts';
import * as m0007 from './migrations/0007_batches.ts';
import * as m0015 from './migrations/0015_changed_fields.ts';
import * as m0016 from './migrations/0016_new_contacts.ts';
import * as m0017 from './migrations/0017_causes.ts';
import * as m0018 from './migrations/0018_idempotency.ts';
import * as m0022 from './migrations/0022_agreed.ts';
import * as m0023 from './migrations/0023_marked_once.ts';
import * as m0024 from './migrations/0024_window.ts';
import * as m0025 from './migrations/0025_rereading.ts';

const all: Record<string, { up: string; down: string }> = {
  '0001_contacts': m0001,
  '0002_ledger': m0002,
  '0003_audit': m0003,
  '0004_triggers': m0004,
  '0005_cases': m0005,
  '0006_audit_order': m0006,
  '0007_batches': m0007,
  '0015_changed_fields': m0015,
  '0016_new_contacts': m0016,
  '0017_causes': m0017,
  '0018_idempotency': m0018,
  '0022_agreed': m0022,
  '0023_marked_once': m0023,
  '0024_window': m0024,
  '0025_rereading': m0025,
};

const source: Knex.MigrationSource<string> = {
  getMigrations: () => Promise.resolve(Object.keys(all)),
  getMigrationName: (name) => name,
  getMigration: (name) => {
    const migration = all[name];
    if (migration === undefined) return Promise.reject(new Error(`no migration ${name}`));
    return Promise.resolve({
      // Raw text with question marks in it must not be read as bindings: run it on the driver.
      up: (trx) => runSql(trx, migration.up),
      down: (trx) => runSql(trx, migration.down),
    });
  },
};

async function runSql(trx: Knex, sql: string): Promise<void> {
  await trx.raw(sql.replaceAll('?', '\\?'));
}

const config: Knex.MigratorConfig = { migrationSource: source, schemaName: SCHEMA, tableName: 'migrations' };
const MIGRATION_LOCK = 7_235_001;

/** Runs `fn` while no other process migrates this database; a lock row left by a killed process is freed. */
async function underLock<T>(db: Db, fn: () => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await tx.raw('select pg_advisory_xact_lock(?)', [MIGRATION_LOCK]);
    await db.raw(`create schema if not exists ${SCHEMA}`);
    await db.migrate.forceFreeMigrationsLock(config);
    return fn();
  });
}

/**
 * Brings the schema up to date, and the rights in it. Returns the names of the migrations that ran. The pool needs two connections.
 * @param notice hears, as a sentence, what this account may not do
 */
export async function migrate(db: Db, notice: (sentence: string) => void = () => {}): Promise<string[]> {
  return underLock(db, async () => {
    const [, names] = (await db.migrate.latest(config)) as [number, string[]];
    const refused = await applyRoles(db);
    if (refused !== null) notice(refused);
    return names;
  });
}

/** Undoes all migrations (data are lost). For tests and for leaving. */
export async function migrateDown(db: Db): Promise<string[]> {
  return underLock(db, async () => {
    const [, names] = (await db.migrate.rollback(config, true)) as [number, string[]];
    return names;
  });
}

/** What is wrong with the schema for this programme, or null: it refuses to start on an older or newer one. */
export async function schemaProblem(db: Db): Promise<string | null> {
  const there = await row<{ there: boolean }>(db, `select to_regclass('${SCHEMA}.migrations') is not null as there`);
  if (there?.there !== true) return 'The database has no Plumbline schema yet. Run: plumbline migrate';
  const known = Object.keys(all);
  const done = await db.withSchema(SCHEMA).table('migrations').orderBy('id').pluck<string[]>('name');
  const newer = done.filter((name) => !known.includes(name));
  if (newer.length > 0) {
    return `The database is newer than this programme (it has ${newer.join(', ')}). Start the newer release.`;
  }
  const missing = known.filter((name) => !done.includes(name));
  if (missing.length > 0) return `The database misses ${missing.join(', ')}. Run: plumbline migrate`;
  return null;
}
