/** A database of its own and made-up rows for the tests of the import. */
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { importCsv } from '../../import/import-csv.ts';
import type { ImportOptions, ImportSummary } from '../../import/import-csv.ts';
import { openDb, oneRow, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { keyringFrom } from '../../store/keyring.ts';
import { migrate } from '../../store/migrate.ts';
import { createDatabase } from '../rig/database.ts';

export const keyring = keyringFrom(Buffer.alloc(32, 9));

export async function openRecord(): Promise<Db> {
  const database = await createDatabase({
    name: 'import_template',
    async prepare(url) {
      const db = openDb({ url, applicationName: 'template', poolMax: 3 });
      await migrate(db);
      await db.destroy();
    },
  });
  const db = openDb({ url: database.url, applicationName: 'import-test', poolMax: 4 });
  await rows(
    db,
    `insert into systems (name, connector, account, rules, rules_hash) values ('crm', 'x', 'crm', '{}', 'h')`,
  );
  return db;
}

export interface Run {
  summary: ImportSummary;
  rejects: Record<string, string>[];
  rejectsPath: string;
}

/** Imports the text; `options` go before the usual ones. */
export async function run(db: Db, text: string | Uint8Array, options: Partial<ImportOptions> = {}): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'plumbline-import-'));
  const rejectsPath = join(folder, 'rejects.csv');
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  const summary = await importCsv({
    db,
    keyring,
    // Small pieces, so that they end within characters, quotes and line ends.
    input: pieces(bytes, 7),
    attributes: { vip: { type: 'boolean' } },
    purposes: ['newsletter'],
    rejectsPath,
    actor: 'test-import',
    ...options,
  });
  const written = await readFile(rejectsPath, 'utf8').catch(() => '');
  return { summary, rejectsPath, rejects: parse(written, { columns: true }) };
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

/** What is in the record: everything that an import could have written. */
export async function footprint(db: Db): Promise<Record<string, number>> {
  return oneRow(
    db,
    `select (select count(*) from contacts) as contacts, (select count(*) from contact_versions) as versions,
       (select count(*) from contact_aliases) as aliases, (select count(*) from consent_events) as events,
       (select count(*) from audit) as audit, (select coalesce(sum(wanted), 0)::bigint from deliveries) as wanted`,
  );
}
