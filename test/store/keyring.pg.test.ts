/** Several main keys at a time: who was erased is recognised, what was sealed opens, and a key goes only when nothing needs it. */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { emptyContactData } from '../../domain/contact.ts';
import type { NamedKey } from '../../domain/keys.ts';
import { createKey, KeyRefused, keyFinder, listKeys } from '../../store/api-keys.ts';
import { nextName, rotateKey } from '../../store/api-key-rotation.ts';
import { createContact } from '../../store/contacts.ts';
import { asWriter, openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { emptyContact } from '../../store/erasure.ts';
import { keyProblem, keyringFrom } from '../../store/keyring.ts';
import type { Keyring } from '../../store/keyring.ts';
import { keyUse, noteKeyInUse, reseal, retireKey } from '../../store/key-use.ts';
import { migrate } from '../../store/migrate.ts';
import { saveSeen, tombstoned } from '../../store/vendor-records.ts';
import { tokenStore } from '../../store/vendor-tokens.ts';
import { createDatabase } from '../rig/database.ts';

const BY = { actor: 'test', door: 'operator' } as const;
const K1: NamedKey = { id: 'k1', secret: Buffer.alloc(32, 1) };
const K2: NamedKey = { id: 'k2', secret: Buffer.alloc(32, 2) };
const ring = (...keys: NamedKey[]): Keyring => keyringFrom(keys);

let db: Db;
const ends: (() => Promise<void>)[] = [];

beforeEach(async () => {
  const database = await createDatabase({
    name: 'keyring_template',
    async prepare(url) {
      const own = openDb({ url, applicationName: 'template', poolMax: 3 });
      await migrate(own);
      await own.destroy();
    },
  });
  db = openDb({ url: database.url, applicationName: 'keyring-test', poolMax: 3 });
  ends.push(async () => db.destroy());
  await rows(
    db,
    `insert into systems (name, connector, account, rules, rules_hash) values ('crm', 'x', 'crm', '{}', 'h')`,
  );
});

afterAll(async () => {
  for (const end of ends) await end();
});

async function erase(keyring: Keyring, email: string): Promise<string> {
  return asWriter(db, BY, async (tx) => {
    const contact = await createContact(tx, keyring, { ...emptyContactData(), emails: [email], familyName: 'Gone' });
    await emptyContact(tx, keyring, contact, 'erased');
    return contact.id;
  });
}

const comesBack = async (keyring: Keyring, email: string): Promise<unknown> =>
  asWriter(db, BY, async (tx) => createContact(tx, keyring, { ...emptyContactData(), emails: [email] }));

const token = { accessToken: null, accessExpiresAt: null, refreshToken: 'sealed-token', previousRefreshToken: null };

describe('a start', () => {
  test('with the wrong key, or without one that was in use, is refused with a sentence', async () => {
    expect(await keyProblem(db, ring(K1))).toBeNull();
    expect(await keyProblem(db, ring(K1))).toBeNull();
    expect(await keyProblem(db, ring({ ...K1, secret: K2.secret }))).toContain("'k1' is not the one");
    expect(await keyProblem(db, ring(K2))).toContain("The key 'k1' is missing");
  });

  test('with a new key in front is refused until every process could know it', async () => {
    expect(await keyProblem(db, ring(K1))).toBeNull();
    expect(await keyProblem(db, ring(K2, K1))).toContain('Put it behind the others');
    expect(await keyProblem(db, ring(K1, K2))).toBeNull();
    expect(await keyProblem(db, ring(K2, K1))).toBeNull();
    expect(await keyProblem(db, ring(K1))).toContain("The key 'k2' is missing");
  });
});

describe('after a rotation', () => {
  test('who was erased under the old key does not come back, nor is taken for a stranger at a vendor', async () => {
    const id = await erase(ring(K1), 'old@example.com');
    const other = await erase(ring(K2, K1), 'new@example.com');
    const rotated = ring(K2, K1);
    for (const email of ['old@example.com', 'new@example.com', 'OLD@example.com'])
      await expect(comesBack(rotated, email)).rejects.toMatchObject({ code: 'suppressed' });
    const seen = ['old', 'new', 'stranger'].map((name) => ({
      externalId: name,
      reference: null,
      presence: 'present',
      addresses: [`${name}@example.com`],
      consents: {},
    }));
    expect(await tombstoned(db, rotated, seen)).toEqual(
      new Map([
        ['old', id],
        ['new', other],
      ]),
    );
    // Without the old key they would: that is why a start without it is refused.
    await expect(comesBack(ring(K2), 'old@example.com')).resolves.toMatchObject({ version: 1 });
  });

  test('what a scan read under the old key is replaced at the next one', async () => {
    const seen = [
      { externalId: '1', reference: null, presence: 'present', addresses: ['a@example.com'], consents: {} },
    ];
    await saveSeen(db, ring(K1), 'crm', seen);
    await saveSeen(db, ring(K2, K1), 'crm', seen);
    const held = await rows<{ hash: Buffer }>(db, 'select hash from vendor_addresses');
    expect(held.map(({ hash }) => hash)).toEqual([ring(K2).hash('vendor_address', 'a@example.com')]);
  });

  test('tickets and tokens open, are sealed anew, and then open without the old key', async () => {
    const id = await erase(ring(K1), 'old@example.com');
    await tokenStore(db, ring(K1)).exclusively('xero', async () => token);
    const rotated = ring(K2, K1);
    expect(await tokenStore(db, rotated).load('xero')).toEqual(token);
    await expect(tokenStore(db, ring(K2)).load('xero')).rejects.toThrow('a key that is not here');
    expect(await reseal(db, rotated, BY)).toBe(2);
    expect(await reseal(db, rotated, BY)).toBe(0);
    expect(await tokenStore(db, ring(K2)).load('xero')).toEqual(token);
    const [ticket] = await rows<{ sealed: Buffer }>(db, 'select sealed from tickets where contact_id = ?', [id]);
    expect(ring(K2).open('ticket', ticket!.sealed)).toMatchObject({ addresses: ['old@example.com'] });
  });
});

describe('letting a key go', () => {
  async function rotatedTo(...keys: NamedKey[]): Promise<Keyring> {
    for (const order of [[K1], [K1, K2], keys]) {
      expect(await keyProblem(db, ring(...order))).toBeNull();
      await noteKeyInUse(db, ring(...order));
    }
    return ring(...keys);
  }

  test('is refused while something needs it, and says what', async () => {
    const rotated = await rotatedTo(K2, K1);
    await erase(ring(K1), 'old@example.com');
    await tokenStore(db, ring(K1)).exclusively('xero', async () => token);
    expect((await keyUse(db, rotated)).find(({ id }) => id === 'k1')).toEqual({
      id: 'k1',
      tombstones: 1,
      tickets: 1,
      tokens: 1,
      systems: ['crm'],
    });
    expect(await retireKey(db, rotated, 'k2', BY)).toContain('the one in use');
    expect(await retireKey(db, rotated, 'k9', BY)).toContain('never used');
    const needed = await retireKey(db, rotated, 'k1', BY);
    expect(needed).toContain('1 hashes of erased people');
    expect(needed).toContain('2 sealed rows');
    expect(needed).toContain('records of crm');
    expect(await keyProblem(db, ring(K2))).toContain("'k1' is missing");
  });

  test('is done when nothing does: sealed anew, every system compared since, nobody erased under it', async () => {
    const rotated = await rotatedTo(K2, K1);
    await tokenStore(db, ring(K1)).exclusively('xero', async () => token);
    await reseal(db, rotated, BY);
    expect(await retireKey(db, rotated, 'k1', BY)).toContain('records of crm');
    await rows(db, `insert into runs (kind, system, state) values ('reconciliation', 'crm', 'done')`);
    expect(await retireKey(db, rotated, 'k1', BY)).toBeNull();
    expect(await keyProblem(db, ring(K2))).toBeNull();
    expect((await keyUse(db, ring(K2))).map(({ id }) => id)).toEqual(['k2']);
    const kinds = await rows<{ kind: string }>(db, `select kind from audit where kind like 'keyring.%' order by id`);
    expect(kinds.map(({ kind }) => kind)).toEqual(['keyring.resealed', 'keyring.retired']);
  });
});

describe('a key of the API', () => {
  test('is rotated without downtime: both are good, then the old one ends', async () => {
    let now = Date.now();
    const finder = keyFinder(db, () => now);
    const old = await createKey(db, { name: 'crm', role: 'writer' });
    const made = await rotateKey(db, 'crm', { keepHours: 2, expiresAt: null }, BY);
    expect(made.name).toBe('crm.2');
    expect(await finder.find(old)).toMatchObject({ ok: true });
    expect(await finder.find(made.key)).toMatchObject({ ok: true, key: { name: 'crm.2', role: 'writer' } });
    now += 2 * 3_600_000 + 1_000;
    expect(await finder.find(old)).toEqual({ ok: false, reason: 'expired' });
    expect(await finder.find(made.key)).toMatchObject({ ok: true });
    expect((await rotateKey(db, 'crm.2', { keepHours: 0, expiresAt: null }, BY)).name).toBe('crm.3');
    const entries = await rows<{ kind: string; detail: object }>(
      db,
      `select kind, detail from audit where kind like 'key.%' order by id`,
    );
    expect(entries.map(({ kind }) => kind)).toEqual([
      'key.created',
      'key.created',
      'key.ends',
      'key.created',
      'key.ends',
    ]);
    expect(JSON.stringify(entries)).not.toContain('pk_');
  });

  test('that ends earlier anyhow is not made to last; one that is not valid is not rotated', async () => {
    const soon = new Date(Date.now() + 60_000).toISOString();
    await createKey(db, { name: 'soon', role: 'reader', expiresAt: soon });
    expect((await rotateKey(db, 'soon', { keepHours: 24, expiresAt: null }, BY)).oldEndsAt).toBe(soon);
    await expect(rotateKey(db, 'nobody', { keepHours: 1, expiresAt: null }, BY)).rejects.toThrow(KeyRefused);
    await createKey(db, { name: 'twice', role: 'reader' });
    await createKey(db, { name: 'twice.2', role: 'reader' });
    await expect(rotateKey(db, 'twice', { keepHours: 1, expiresAt: null }, BY)).rejects.toMatchObject({
      code: 'name_taken',
    });
    expect((await listKeys(db)).find(({ name }) => name === 'twice')?.expiresAt).toBeNull();
    expect(nextName('a.9')).toBe('a.10');
  });
});
