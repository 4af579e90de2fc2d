/** The commands that turn keys over, as an operator types them. */
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT } from '../../cli/exit-codes.ts';
import { parseKeys } from '../../domain/keys.ts';
import { makeOwnKeys, newKeyText } from '../../local/own-keys.ts';
import { keyFinder } from '../../store/api-keys.ts';
import { openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { keyProblem, keyringFrom } from '../../store/keyring.ts';
import { migrate } from '../../store/migrate.ts';
import { createDatabase } from '../rig/database.ts';

const ROOT = resolve(import.meta.dirname, '..', '..');
const keys = makeOwnKeys();
const SECOND = newKeyText('k2');
let env: Record<string, string>;
let db: Db;

beforeAll(async () => {
  const database = await createDatabase();
  db = openDb({ url: database.url, poolMax: 2, applicationName: 'test' });
  await migrate(db);
  env = {
    PATH: process.env['PATH'] ?? '',
    DATABASE_URL: database.url,
    ...keys,
    PLUMBLINE_CONFIG: join(ROOT, 'plumbline.yaml'),
    PLUMBLINE_LOG_LEVEL: 'silent',
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  };
});
afterAll(async () => db?.destroy());

interface Ran {
  code: number;
  out: string;
  err: string;
}

async function plumbline(args: string[], more: Record<string, string> = {}): Promise<Ran> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [join(ROOT, 'cli/main.ts'), ...args],
      { env: { ...env, ...more }, timeout: 30_000 },
      (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

test('a new key is a line that a secret takes, under the id that was asked for', async () => {
  const { out } = await plumbline(['keyring', 'new', '--id', '2027']);
  expect(parseKeys(out)).toMatchObject([{ id: '2027' }]);
  expect(parseKeys((await plumbline(['keyring', 'new'])).out)).toHaveLength(1);
  expect((await plumbline(['keyring', 'new', '--id', 'a b'])).code).toBe(EXIT.usage);
});

test('the main key is turned over step by step, and no step can be left out', async () => {
  const list = async (main: string): Promise<[string, string][]> => {
    const { out } = await plumbline(['keyring', 'list', '--json'], { PLUMBLINE_KEY: main });
    return (JSON.parse(out) as { main: { id: string; state: string }[] }).main.map((k) => [k.id, k.state]);
  };
  const startWith = async (text: string): Promise<string | null> => keyProblem(db, keyringFrom(parseKeys(text) ?? []));
  expect(await startWith(keys.PLUMBLINE_KEY)).toBeNull();
  const rotated = { PLUMBLINE_KEY: `${SECOND},${keys.PLUMBLINE_KEY}` };
  const early = await plumbline(['key', 'list'], rotated);
  expect(early).toMatchObject({ code: EXIT.unavailable, err: expect.stringContaining('behind the others') as string });

  const behind = `${keys.PLUMBLINE_KEY}\n${SECOND}\n`;
  expect(await list(behind)).toEqual([
    ['k1', 'in use'],
    ['k2', 'new'],
  ]);
  expect(await startWith(behind)).toBeNull();
  expect((await plumbline(['keyring', 'reseal'], rotated)).out).toBe("0 sealed anew with the key 'k2'.\n");

  await rows(
    db,
    `insert into tombstones (kind, hash, key_id, contact_id) values ('ref', '\\x01', 'k1', gen_random_uuid())`,
  );
  const needed = await plumbline(['keyring', 'retire', 'k1'], rotated);
  expect(needed).toMatchObject({
    code: EXIT.refused,
    err: expect.stringContaining('hashes of erased people') as string,
  });
  // A process without it refuses, while the list still says what is missing.
  const without = { PLUMBLINE_KEY: SECOND };
  expect((await plumbline(['status'], without)).err).toContain("The key 'k1' is missing");
  expect(await list(SECOND)).toEqual([
    ['k2', 'in use'],
    ['k1', 'missing'],
  ]);
  const shown = await plumbline(['keyring', 'list'], rotated);
  for (const line of shown.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  for (const secret of [keys.PLUMBLINE_KEY, SECOND, keys.PLUMBLINE_CODEC_KEYS])
    expect(shown.out + shown.err).not.toContain(secret.split(':').at(-1));
}, 180_000);

test('a key of the API gets a successor, which is printed alone, so that a script can take it', async () => {
  const owner = { PLUMBLINE_KEY: `${SECOND},${keys.PLUMBLINE_KEY}` };
  const first = (await plumbline(['key', 'create', '--name', 'crm', '--role', 'writer'], owner)).out.trim();
  const ran = await plumbline(['key', 'rotate', 'crm', '--keep-hours', '1', '--expires', '2099-12-31'], owner);
  expect(ran.code).toBe(0);
  expect(ran.err).toContain("It is 'crm.2'; 'crm' ends ");
  const finder = keyFinder(db);
  expect(await finder.find(ran.out.trim())).toMatchObject({ ok: true, key: { name: 'crm.2', role: 'writer' } });
  expect(await finder.find(first)).toMatchObject({ ok: true });
  expect((await plumbline(['key', 'rotate', 'nobody'], owner)).code).toBe(EXIT.refused);
  expect((await plumbline(['key', 'rotate', 'crm', '--keep-hours', 'long'], owner)).code).toBe(EXIT.usage);
}, 180_000);
