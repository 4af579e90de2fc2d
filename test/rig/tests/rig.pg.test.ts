import { Client } from 'pg';
import { expect, test } from 'vitest';
import { createDatabase } from '../database.ts';

async function rows(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test('each database is empty and apart from the others', async () => {
  const [one, two] = await Promise.all([createDatabase(), createDatabase()]);
  await rows(one.url, 'create table t as select 1 as x');
  expect(await rows(one.url, 'select x from t')).toEqual([{ x: 1 }]);
  await expect(rows(two.url, 'select x from t')).rejects.toThrow('relation "t" does not exist');
});

test('a template is prepared once, also when several ask for it together', async () => {
  let prepared = 0;
  const template = {
    name: 'rig_template',
    prepare: async (url: string) => {
      prepared += 1;
      await rows(url, 'create table t as select 7 as x');
    },
  };
  const databases = await Promise.all([1, 2, 3].map(async () => createDatabase(template)));
  expect(prepared).toBe(1);
  for (const { url } of databases) expect(await rows(url, 'select x from t')).toEqual([{ x: 7 }]);
});

test('a dropped database is gone even with a connection open', async () => {
  const database = await createDatabase();
  const client = new Client({ connectionString: database.url });
  client.on('error', () => {});
  await client.connect();
  await database.drop();
  await expect(rows(database.url, 'select 1')).rejects.toThrow('does not exist');
});

test('the server syncs to disk and logs no statement, which may hold a person', async () => {
  const { url } = await createDatabase();
  expect(await rows(url, 'show fsync')).toEqual([{ fsync: 'on' }]);
  expect(await rows(url, 'show log_min_error_statement')).toEqual([{ log_min_error_statement: 'panic' }]);
});
