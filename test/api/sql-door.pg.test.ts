/** Runs docs/sql.md, block by block, and looks at what the triggers made of it. */
import { readFileSync } from 'node:fs';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asWriter, openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { emptyContact, lockContact } from '../../store/erasure.ts';
import { keyringFrom } from '../../store/keyring.ts';
import { migrate } from '../../store/migrate.ts';
import { createDatabase } from '../rig/database.ts';
import type { TestDatabase } from '../rig/database.ts';
import { addSystem } from './rig.ts';

let database: TestDatabase;
let db: Db;
let client: Client;
const notified: string[] = [];

beforeAll(async () => {
  database = await createDatabase();
  db = openDb({ url: database.url, applicationName: 'sql-door-test', poolMax: 3 });
  await migrate(db);
  await addSystem(db, 'crm');
  await addSystem(db, 'mail');
  await db.raw(`insert into contacts (external_ref, family_name, organisation) values
    ('crm-42', 'OKAFOR', 'Delta Wrks'), ('crm-43', 'Lind', 'Delta Wrks'), ('crm-44', 'Leaves', null)`);
  await asWriter(db, { actor: 'test', door: 'engine' }, async (tx) => {
    const [leaves] = await rows<{ id: string }>(tx, `select id from contacts where external_ref = 'crm-44'`);
    const contact = await lockContact(tx, leaves?.id ?? '');
    if (contact === undefined) throw new Error('no contact');
    await emptyContact(tx, keyringFrom(Buffer.alloc(32, 1)), contact, 'erased');
  });
  await db.raw('update deliveries set settled = wanted');
  client = new Client({ connectionString: database.url });
  client.on('notification', (message) => notified.push(message.payload ?? ''));
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await db.destroy();
  await database.drop();
});

interface Block {
  sql: string;
  refused: string | null;
}

function blocks(): Block[] {
  const text = readFileSync(new URL('../../docs/sql.md', import.meta.url), 'utf8');
  return [...text.matchAll(/```sql(?: refused (\w{5}))?\n([\s\S]*?)```/g)].map((match) => ({
    refused: match[1] ?? null,
    sql: match[2] ?? '',
  }));
}

async function run(block: Block): Promise<unknown> {
  try {
    return await client.query(block.sql);
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

async function contact(ref: string): Promise<Record<string, unknown>> {
  const [found] = await rows<Record<string, unknown>>(db, 'select * from contacts where external_ref = ?', [ref]);
  if (found === undefined) throw new Error('no contact');
  return found;
}

test('every statement of the page does what the page says', async () => {
  const all = blocks();
  expect(all.length).toBeGreaterThan(15);
  expect(all.filter((block) => block.refused !== null).length).toBeGreaterThan(7);
  for (const block of all) {
    if (block.refused === null) await run(block);
    else await expect(run(block), block.sql).rejects.toMatchObject({ code: block.refused });
  }
});

describe('what the triggers made of it', () => {
  test('who and why are with the version and in the audit log; without a word it is the account', async () => {
    const { id } = await contact('crm-42');
    const versions = await rows(
      db,
      'select version, actor, door, reason from contact_versions where contact_id = ? order by version',
      [id],
    );
    expect(versions).toEqual([
      { version: 1, actor: 'sql:postgres', door: 'sql', reason: null },
      { version: 2, actor: 'crm-cleanup', door: 'sql', reason: 'Names in capitals put right' },
      { version: 3, actor: 'sql:postgres', door: 'sql', reason: null },
    ]);
    const entries = await rows(db, 'select kind, actor, detail from audit where contact_id = ? order by id', [id]);
    expect(entries).toEqual([
      { kind: 'contact.created', actor: 'sql:postgres', detail: null },
      { kind: 'contact.changed', actor: 'crm-cleanup', detail: { fields: ['family_name'] } },
      { kind: 'contact.changed', actor: 'sql:postgres', detail: { fields: ['organisation'] } },
      {
        kind: 'consent.withdrawn',
        actor: 'sql:postgres',
        detail: { event: 1, purpose: 'newsletter', statement: null },
      },
    ]);
  });

  test('every system is due for each contact that was changed, urgently for the withdrawal', async () => {
    const due = await rows(
      db,
      `select c.external_ref as ref, d.system, d.priority from deliveries d join contacts c on c.id = d.contact_id
       where d.wanted > d.settled order by 1, 2`,
    );
    expect(due).toEqual([
      { ref: 'crm-42', system: 'crm', priority: 0 },
      { ref: 'crm-42', system: 'mail', priority: 0 },
      { ref: 'crm-43', system: 'crm', priority: 20 },
      { ref: 'crm-43', system: 'mail', priority: 20 },
      { ref: 'crm-77', system: 'crm', priority: 20 },
      { ref: 'crm-77', system: 'mail', priority: 20 },
    ]);
  });

  test('a listener hears of the next change once a system', async () => {
    notified.length = 0;
    await db.raw(`update contacts set city = 'Ghent' where external_ref in ('crm-42', 'crm-43')`);
    await expect.poll(() => notified.toSorted()).toEqual(['crm', 'mail']);
  });

  test('what the database sets cannot be set', async () => {
    const before = await contact('crm-43');
    await client.query(
      `update plumbline.contacts set version = 99, id = gen_random_uuid(), created_at = now(), changed_at = now() where external_ref = 'crm-43'`,
    );
    expect(await contact('crm-43')).toEqual(before);
    await expect(client.query(`update plumbline.contacts set seq = 1`)).rejects.toMatchObject({ code: '428C9' });
  });

  test('a consent typed in SQL is never the person’s own act', async () => {
    await client.query(
      `insert into plumbline.consent_events (contact_id, purpose, kind, by_person, recorded_by, door)
       select id, 'newsletter', 'given', true, 'somebody', 'preference_centre' from plumbline.contacts where external_ref = 'crm-43'`,
    );
    const [event] = await rows<{ by_person: boolean; door: string }>(
      db,
      `select by_person, door from consent_events where kind = 'given'`,
    );
    expect(event).toEqual({ by_person: false, door: 'sql' });
  });

  test('more than 500 in one statement go at bulk priority, each with its version', async () => {
    await client.query(
      `insert into plumbline.contacts (external_ref) select 'bulk-' || n from generate_series(1, 501) n`,
    );
    const made = await rows(
      db,
      `select d.priority, count(*) from deliveries d join contacts c on c.id = d.contact_id where c.external_ref like 'bulk-%' group by 1`,
    );
    expect(made).toEqual([{ priority: 30, count: 1002 }]);
    const versions = await rows<{ n: number }>(
      db,
      `select count(*) as n from contact_versions v join contacts c on c.id = v.contact_id where c.external_ref like 'bulk-%'`,
    );
    expect(versions).toEqual([{ n: 501 }]);
  });
});
