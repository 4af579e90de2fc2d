/** A mark is never lost: only whom the same transaction made, and who is due by that, need not be marked again by a consent. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asWriter, openDb, oneRow, rows } from '../../store/db.ts';
import type { Db, Tx, Writer } from '../../store/db.ts';
import { recordConsents } from '../../store/consents.ts';
import { migrate } from '../../store/migrate.ts';
import type { ContactId } from '../../domain/contact.ts';
import { createDatabase } from '../rig/database.ts';

const CSV: Writer = { actor: 'test', door: 'csv' };
let db: Db;

beforeAll(async () => {
  const { url } = await createDatabase();
  db = openDb({ url, applicationName: 'marks-test', poolMax: 4 });
  await migrate(db);
  await rows(
    db,
    `insert into systems (name, connector, account, rules, rules_hash)
     select s, 'x', s, '{}', 'h' from unnest(array['books', 'crm']) s`,
  );
});
afterAll(() => db.destroy());

async function made(tx: Db | Tx): Promise<ContactId> {
  const { id } = await oneRow<{ id: ContactId }>(
    tx,
    `insert into contacts (emails) values (array['a@example.com']) returning id`,
  );
  return id;
}

async function consents(tx: Tx, ids: ContactId[], kind: 'given' | 'withdrawn' = 'given'): Promise<void> {
  await recordConsents(
    tx,
    ids.map((contactId) => ({
      contactId,
      purpose: 'newsletter',
      kind,
      happenedAt: null,
      channel: null,
      statement: null,
      byPerson: false,
    })),
  );
}

async function marks(id: ContactId): Promise<unknown[]> {
  return rows(
    db,
    `select system, wanted > settled as due, priority, wanted from deliveries where contact_id = ? order by system`,
    [id],
  );
}

/** One line a system. */
function both(mark: { due: boolean; priority: number; wanted: number }): unknown[] {
  return ['books', 'crm'].map((system) => ({ system, ...mark }));
}

test('a consent of a person whom the same transaction makes is part of the one mark, across savepoints too', async () => {
  const id = await asWriter(db, CSV, async (tx) => {
    const inner = await tx.transaction((savepoint) => made(savepoint));
    await consents(tx, [inner]);
    return inner;
  });
  expect(await marks(id)).toEqual(both({ due: true, priority: 30, wanted: 1 }));
});

test('a withdrawal goes before the rest all the same', async () => {
  const id = await asWriter(db, CSV, async (tx) => {
    const inner = await made(tx);
    await consents(tx, [inner], 'withdrawn');
    return inner;
  });
  expect(await marks(id)).toEqual(both({ due: true, priority: 10, wanted: 1 }));
});

test('who is made by another transaction is marked, be it committed after this one began', async () => {
  const before = await asWriter(db, CSV, (tx) => made(tx));
  const ids = await asWriter(db, CSV, async (tx) => {
    const own = await made(tx);
    const meanwhile = await asWriter(db, CSV, (other) => made(other));
    await rows(db, 'update deliveries set settled = wanted where contact_id = any (?::uuid[])', [[before, meanwhile]]);
    await consents(tx, [own, before, meanwhile]);
    return [before, meanwhile];
  });
  for (const id of ids) expect(await marks(id)).toEqual(both({ due: true, priority: 30, wanted: 2 }));
});

test('who was made in a savepoint that was taken back, and then again, is due by one mark', async () => {
  const id = '019a0000-0000-7000-8000-00000000abcd';
  const add = `insert into contacts (id, emails) values (?, array['again@example.com'])`;
  await asWriter(db, CSV, async (tx) => {
    await tx
      .transaction(async (savepoint) => {
        await rows(savepoint, add, [id]);
        throw new Error('taken back');
      })
      .catch(() => undefined);
    await rows(tx, add, [id]);
    await consents(tx, [id]);
  });
  expect(await marks(id)).toEqual(both({ due: true, priority: 30, wanted: 1 }));
});

test('an entry of the audit log that somebody forges takes no mark away', async () => {
  const id = await asWriter(db, CSV, (tx) => made(tx));
  await rows(db, 'update deliveries set settled = wanted where contact_id = ?', [id]);
  await asWriter(db, CSV, async (tx) => {
    await rows(
      tx,
      `insert into audit (kind, actor, door, contact_id) values ('contact.created', 'somebody', 'api', ?)`,
      [id],
    );
    await consents(tx, [id]);
  });
  expect(await marks(id)).toEqual(both({ due: true, priority: 30, wanted: 2 }));
});
