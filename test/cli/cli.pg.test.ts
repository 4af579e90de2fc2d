/** The command line as people use it: child processes against a real database. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT } from '../../cli/exit-codes.ts';
import { makeOwnKeys } from '../../local/own-keys.ts';
import { openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { sealAudit, verifyAudit } from '../../store/audit.ts';
import { accountUrl } from '../rig/accounts.ts';
import { createDatabase } from '../rig/database.ts';

const ROOT = resolve(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'plumbline-cli-'));
let env: Record<string, string>;
let db: Db;
/** Environments of other accounts than that of the doors. */
let asOwner: { DATABASE_URL: string };
let asWorker: { DATABASE_URL: string };

beforeAll(async () => {
  const database = await createDatabase();
  env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    DATABASE_URL: database.url,
    ...makeOwnKeys(),
    PLUMBLINE_CONFIG: join(ROOT, 'plumbline.yaml'),
    PLUMBLINE_LOG_LEVEL: 'silent',
    // Nobody listens there: what needs Temporal says so in a sentence.
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  };
  db = openDb({ url: database.url, poolMax: 2, applicationName: 'test' });
});

afterAll(async () => {
  await db?.destroy();
  rmSync(folder, { recursive: true, force: true });
});

interface Ran {
  code: number;
  out: string;
  err: string;
}

function plumbline(args: string[], input = '', more: Record<string, string> = {}): Promise<Ran> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [join(ROOT, 'cli/main.ts'), ...args],
      { env: { ...env, ...more }, cwd: folder, timeout: 30_000 },
      (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        done({ code, out, err });
      },
    );
    child.stdin?.end(input);
  });
}

/** No defect's stack, nothing of a person. */
function expectPlain({ err }: Ran): void {
  expect(err).not.toMatch(/\n\s+at /u);
  expect(err).not.toContain('@example.com');
}

test('help names every command, with examples and exit codes', async () => {
  const { code, out } = await plumbline(['--help']);
  expect(code).toBe(EXIT.ok);
  for (const name of [
    'worker',
    'api',
    'migrate',
    'status',
    'contact',
    'erasure',
    'retention',
    'reconcile',
    'audit',
    'import',
    'plan',
  ]) {
    expect(out).toContain(`  ${name} `);
  }
  expect(out).toContain('Exit codes');
});

test('a command that is not there is refused with the nearest one', async () => {
  const ran = await plumbline(['statsu']);
  expect(ran.code).toBe(EXIT.usage);
  expect(ran.err).toContain('status');
});

test('without a schema it says what to run; migrate runs it once', async () => {
  const before = await plumbline(['status']);
  expect(before).toMatchObject({ code: EXIT.unavailable, err: expect.stringContaining('plumbline migrate') as string });
  expect((await plumbline(['migrate'])).out).toContain('ran 0001_contacts');
  expect((await plumbline(['migrate'])).out).toContain('up to date');
  const down = await plumbline(['migrate', '--down']);
  expect(down.code).toBe(EXIT.usage);
  // From here on as in real life: most commands have the account of the doors.
  asOwner = { DATABASE_URL: env['DATABASE_URL'] ?? '' };
  asWorker = { DATABASE_URL: await accountUrl(db, asOwner.DATABASE_URL, 'worker') };
  env['DATABASE_URL'] = await accountUrl(db, asOwner.DATABASE_URL, 'api');
});

test('an unreachable database is a sentence', async () => {
  const ran = await plumbline(['status'], '', { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' });
  expect(ran.code).toBe(EXIT.unavailable);
  expectPlain(ran);
});

test('config check reports every mistake with line and path', async () => {
  const file = join(folder, 'bad.yaml');
  writeFileSync(file, 'organisation: {name: X}\nbrake: {maxShare: 7}\nsystms: {}\n');
  const ran = await plumbline(['config', 'check', file]);
  expect(ran.code).toBe(EXIT.problem);
  expect(ran.out).toMatch(/bad\.yaml:2:\d+ brake\.maxShare/u);
  expect(ran.out).toContain('systems');
});

const CSV = [
  'external_ref,given_name,family_name,email,relationship,created_at,newsletter,consent_at,consent_channel,consent_statement',
  'R-1,Ada,Lovelace,ada.lovelace@example.com,customer,2026-01-02,opted_in,2026-01-02T10:00:00Z,web_form,newsletter-2025-1',
  'R-2,Alan,Turing,alan.turing@example.com,lead,2026-01-02,opted_out,,,',
  'R-3,=1+1,Formula,formula@example.com,lead,2026-01-02,unknown,,,',
  '',
].join('\n');

test('import: a dry run writes nothing, the real run once, rejects are kept with their reason', async () => {
  const file = join(folder, 'people.csv');
  writeFileSync(file, CSV);
  const dry = await plumbline(['import', file, '--dry-run', '--json']);
  expect(JSON.parse(dry.out)).toMatchObject({ read: 3, created: 2, rejected: 1 });
  expect(await rows(db, 'select 1 from contacts')).toHaveLength(0);
  const real = await plumbline(['import', file, '--rejects', join(folder, 'rejects.csv')]);
  expect(real.code).toBe(EXIT.problem);
  expect(real.out).toMatch(/created\s+2/u);
  const again = await plumbline(['import', file, '--json']);
  expect(JSON.parse(again.out)).toMatchObject({ created: 0, updated: 0, unchanged: 2, consentEvents: 0 });
  expect(await rows(db, 'select 1 from contacts')).toHaveLength(2);
});

test('contact find takes the address from standard input, and show gives the whole file', async () => {
  const found = await plumbline(['contact', 'find', '--json'], 'ADA.lovelace@Example.com\n');
  const [person] = JSON.parse(found.out) as { id: string }[];
  expect(person).toBeDefined();
  const shown = await plumbline(['contact', 'show', person?.id ?? '', '--all', '--json'], '', asWorker);
  const file = JSON.parse(shown.out) as Record<string, unknown>;
  expect(Object.keys(file)).toEqual(
    expect.arrayContaining([
      'contact',
      'consents',
      'consentEvents',
      'systems',
      'versions',
      'audit',
      'vendors',
    ]) as string[],
  );
  expect(file['consents']).toMatchObject({ newsletter: { state: 'given' } });
  const reads = await rows(db, `select 1 from audit where kind = 'contact.read'`);
  expect(reads.length).toBeGreaterThanOrEqual(2);
  const nobody = await plumbline(['contact', 'find'], 'nobody@example.com\n');
  expect(nobody.code).toBe(EXIT.refused);
  expectPlain(nobody);
});

test('recipients: counts and a list', async () => {
  const counted = await plumbline(['consent', 'recipients', '--purpose', 'newsletter', '--json']);
  expect(JSON.parse(counted.out)).toMatchObject({ permitted: 1, states: { given: 1, withdrawn: 1 } });
  const list = await plumbline(['consent', 'recipients', '--purpose', 'newsletter', '--csv']);
  expect(list.out.trim().split(/\r?\n/u)).toHaveLength(2);
  expect((await plumbline(['consent', 'recipients', '--purpose', 'nothing'])).code).toBe(EXIT.refused);
});

test('a hold, an erasure request, the list by deadline; a refusal needs a ground', async () => {
  const [contact] = await rows<{ id: string }>(db, `select id from contacts where external_ref = 'R-2'`);
  const id = contact?.id ?? '';
  expect((await plumbline(['contact', 'hold', 'add', id, '--ground', 'legal_claim'])).code).toBe(EXIT.refused);
  expect(
    (await plumbline(['contact', 'hold', 'add', id, '--ground', 'legal_claim', '--review-on', '2030-01-01'])).code,
  ).toBe(EXIT.ok);
  expect((await plumbline(['contact', 'hold', 'list', id])).out).toContain('legal_claim');
  const asked = await plumbline(['erasure', 'request', id]);
  expect(asked.out).toContain('Opened');
  const [open] = JSON.parse((await plumbline(['erasure', 'list', '--json'])).out) as { id: string; state: string }[];
  expect(open?.state).toBe('open');
  expect((await plumbline(['erasure', 'decide', open?.id ?? '', '--refuse'])).code).toBe(EXIT.usage);
  const noTemporal = await plumbline(['erasure', 'decide', open?.id ?? '', '--approve']);
  expect(noTemporal.code).not.toBe(EXIT.ok);
  expectPlain(noTemporal);
}, 90_000);

test('keys are shown once, listed, revoked', async () => {
  const refused = await plumbline(['key', 'create', '--name', 'crm-import', '--role', 'writer']);
  expect(refused).toMatchObject({ code: EXIT.refused, err: expect.stringContaining('api_keys') as string });
  expectPlain(refused);
  const made = await plumbline(['key', 'create', '--name', 'crm-import', '--role', 'writer'], '', asOwner);
  expect(made.out).toMatch(/^pk_/u);
  expect((await plumbline(['key', 'list'])).out).toContain('crm-import');
  expect((await plumbline(['key', 'list'])).out).not.toContain(made.out.trim());
  expect((await plumbline(['key', 'revoke', 'crm-import'], '', asOwner)).code).toBe(EXIT.ok);
  expect((await plumbline(['key', 'create', '--name', 'x', '--role', 'king'])).code).toBe(EXIT.usage);
});

test('audit verify stands, and names the first entry that somebody changed', async () => {
  await expect
    .poll(
      async () => {
        while ((await sealAudit(db)) > 0);
        return (await verifyAudit(db)).unsealed;
      },
      { timeout: 20_000 },
    )
    .toBe(0);
  expect((await plumbline(['audit', 'verify'])).code).toBe(EXIT.ok);
  // As a superuser could: the triggers are off.
  await db.raw(`alter table audit disable trigger user`);
  await db.raw(`update audit set actor = 'somebody else' where id = 3`);
  await db.raw(`alter table audit enable trigger user`);
  const ran = await plumbline(['audit', 'verify', '--json']);
  expect(ran.code).toBe(EXIT.problem);
  expect(JSON.parse(ran.out)).toMatchObject({ ok: false, problem: { kind: 'changed', entryId: 3 } });
});
