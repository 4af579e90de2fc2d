/** The end of a scan says who is missing: once, and only while it is known what was seen. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { oneRow, openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { migrate } from '../../store/migrate.ts';
import { listDrifts, startRun } from '../../store/runs.ts';
import { beginScratch, endScan, hasScratch, ScratchLost } from '../../store/scan-scratch.ts';
import { createDatabase } from '../rig/database.ts';

const COUNTS = { pages: 1, seen: 1, missing: 0 };
let db: Db;
let runId: string;

beforeAll(async () => {
  const { url } = await createDatabase();
  db = openDb({ url, applicationName: 'scan-test', poolMax: 4 });
  await migrate(db);
  await rows(
    db,
    `insert into systems (name, connector, account, rules, rules_hash) values ('crm', 'x', 'crm', '{}', 'h')`,
  );
  for (const id of ['seen', 'unseen']) {
    const { contact } = await oneRow<{ contact: string }>(
      db,
      `insert into contacts (emails) values (array[?::text]) returning id as contact`,
      [`${id}@example.com`],
    );
    await rows(db, `insert into external_ids (contact_id, system, external_id) values (?, 'crm', ?)`, [contact, id]);
    await rows(
      db,
      `update deliveries set settled = wanted, presence = 'present', verified_at = clock_timestamp() where contact_id = ?`,
      [contact],
    );
    await rows(db, `insert into vendor_records (system, external_id, presence) values ('crm', ?, 'present')`, [id]);
  }
});
afterAll(() => db.destroy());

beforeEach(async () => {
  runId = await startRun(db, 'reconciliation', 'crm', randomUUID());
  await beginScratch(db, runId);
  await rows(db, `insert into scan_seen (run_id, external_id) values (?, 'seen')`, [runId]);
});

async function end(): Promise<typeof COUNTS> {
  const startedAt = new Date(Date.now() + 1_000).toISOString();
  return endScan(db, { runId, system: 'crm', startedAt, notesMissing: true }, COUNTS);
}

async function missing(): Promise<(string | null)[]> {
  return (await listDrifts(db, runId)).map(({ kind, externalId }) => `${kind} ${externalId}`);
}

test('who was not seen is missing, and a second attempt that ends it finds that, not everybody', async () => {
  expect(await end()).toEqual({ ...COUNTS, missing: 1 });
  expect(await hasScratch(db, runId)).toBe(false);
  expect(await end()).toEqual({ ...COUNTS, missing: 1 });
  expect(await missing()).toEqual(['missing unseen']);
  expect(await rows(db, 'select external_id as id from vendor_records')).toEqual([{ id: 'seen' }]);
});

test('two attempts that end it at the same time do it once', async () => {
  expect(await Promise.all([end(), end(), end()])).toEqual(
    Array.from({ length: 3 }, () => ({ ...COUNTS, missing: 1 })),
  );
  expect(await missing()).toEqual(['missing unseen']);
});

test('what was seen and is lost ends nothing', async () => {
  await rows(db, 'delete from scan_seen');
  await expect(end()).rejects.toThrow(ScratchLost);
  expect(await missing()).toEqual([]);
  expect(await oneRow(db, 'select counts from runs where id = ?', [runId])).toEqual({ counts: {} });
});
