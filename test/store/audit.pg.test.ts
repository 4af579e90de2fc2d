/** The audit log's chain: what stands while writers are still in their transactions, and what a tampering hand leaves behind. */
import { Client } from 'pg';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { appendAudit, sealAudit, verifyAudit } from '../../store/audit.ts';
import { openDb, oneRow, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { migrate } from '../../store/migrate.ts';
import { createDatabase } from '../rig/database.ts';

let db: Db;
let url: string;
const opened: Db[] = [];

beforeEach(async () => {
  ({ url } = await createDatabase());
  db = openDb({ url, applicationName: 'audit-test', poolMax: 4 });
  opened.push(db);
  await migrate(db);
});
afterAll(async () => {
  await Promise.all(opened.map((one) => one.destroy()));
});

async function says(kind: string): Promise<void> {
  await appendAudit(db, { kind, actor: 'test', door: 'engine' });
}

async function settled(): Promise<void> {
  while ((await sealAudit(db)) > 0);
}

/** Transactions of other databases on the server hold the sealer back too: asked until theirs have ended. */
async function allSealed(): Promise<void> {
  await expect
    .poll(
      async () => {
        await settled();
        const { problem, unsealed } = await verifyAudit(db);
        return { problem, unsealed };
      },
      { timeout: 20_000 },
    )
    .toEqual({ problem: null, unsealed: 0 });
}

async function psql(): Promise<Client> {
  const client = new Client({ connectionString: url, options: '-c search_path=plumbline' });
  await client.connect();
  return client;
}

/** Lets the watermark pass all that was written so far and has ended. */
async function watermarkPasses(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await says(`round.${round}`);
    await settled();
  }
}

describe('writers that take their time', () => {
  test('an entry of a transaction that stays open while others come and go is sealed after its commit', async () => {
    await says('before');
    const slow = await psql();
    await slow.query('begin');
    await slow.query(`insert into contacts (external_ref, family_name) values ('slow-1', 'Waits')`);
    // The sealer looks before anybody who came later has ended, and again when they have.
    await settled();
    await watermarkPasses();
    expect(await verifyAudit(db)).toMatchObject({ ok: true, problem: null });
    await slow.query('commit');
    await slow.end();
    await allSealed();
  });

  test('an entry whose number was taken before its transaction had written anything is not passed over', async () => {
    await says('first of the numbers that are logged ahead');
    const slow = await psql();
    await slow.query('begin');
    const running = slow.query(
      `insert into audit (kind, actor, door, at) values ('slow', 'test', 'engine', (select now() from pg_sleep(1)))`,
    );
    await expect
      .poll(async () =>
        rows(db, `select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`),
      )
      .toHaveLength(1);
    await watermarkPasses();
    await running;
    await watermarkPasses();
    await slow.query('commit');
    await slow.end();
    await allSealed();
  });

  test('many writers and a sealer at once: every entry is sealed once', async () => {
    let writing = true;
    const sealing = (async () => {
      while (writing) await sealAudit(db);
    })();
    await Promise.all(
      Array.from({ length: 3 }, async (_, writer) => {
        const client = await psql();
        for (let n = 0; n < 60; n += 1) {
          await client.query('begin');
          await client.query(`insert into audit (kind, actor, door) values ('many', $1, 'engine')`, [`w${writer}`]);
          if (n % 7 === 0) await client.query('select pg_sleep(0.01)');
          await client.query(n % 5 === 0 ? 'rollback' : 'commit');
        }
        await client.end();
      }),
    );
    writing = false;
    await sealing;
    await allSealed();
    const verdict = await verifyAudit(db);
    const { n } = await oneRow<{ n: number }>(db, `select count(*)::integer as n from audit where kind = 'many'`);
    expect(n).toBe(3 * 48);
    expect(verdict.sealed).toBeGreaterThanOrEqual(n);
  });
});

describe('many entries', () => {
  test('more than a page is sealed in pages, while later ones come', async () => {
    await rows(
      db,
      `insert into audit (kind, actor, door) select 'many', 'test', 'engine' from generate_series(1, 12000)`,
    );
    await expect.poll(async () => sealAudit(db), { timeout: 20_000 }).toBe(5000);
    await says('later');
    await allSealed();
    expect(await verifyAudit(db)).toMatchObject({ sealed: 12_001 });
  });

  test('a restored database goes on under a new epoch, and what was not sealed before is sealed', async () => {
    await says('sealed');
    await settled();
    await says('not sealed when the backup was made');
    // As after a restore into another cluster: the stored one is not this one, and transaction ids begin anew.
    await rows(db, `update audit_epochs set cluster = 'another'`);
    await settled();
    await allSealed();
    expect(await rows(db, 'select epoch from audit_epochs order by epoch')).toEqual([{ epoch: 1 }, { epoch: 2 }]);
  });
});

describe('a hand that goes around the triggers', () => {
  /** As a superuser would: triggers off for this session. */
  async function tamper(sql: string): Promise<void> {
    const client = await psql();
    await client.query('set session_replication_role = replica');
    await client.query(sql);
    await client.end();
  }

  test.each([
    ['changed', `update audit set actor = 'somebody-else' where kind = 'b'`],
    ['removed', `delete from audit where kind = 'b'`],
    ['gap', `delete from audit_chain where seq = 2`],
    [
      'inserted',
      `insert into audit (id, kind, actor, door) overriding system value
       select generate_series, 'forged', 'x', 'x' from generate_series(1, 40) where generate_series not in (select id from audit) limit 1`,
    ],
  ])('%s is found, with its place', async (kind, sql) => {
    for (const one of ['a', 'b']) await says(one);
    await rows(db, 'select nextval(?) from generate_series(1, 5)', ['audit_id_seq']);
    await says('c');
    await allSealed();
    await watermarkPasses();
    await allSealed();
    expect(await verifyAudit(db)).toMatchObject({ ok: true, problem: null });
    await tamper(sql);
    const verdict = await verifyAudit(db);
    expect(verdict).toMatchObject({ ok: false, problem: { kind } });
    expect(verdict.problem?.seq ?? verdict.problem?.entryId).toBeGreaterThan(0);
  });
});
