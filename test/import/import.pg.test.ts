import { stat } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ContactId } from '../../domain/contact.ts';
import { FileProblem } from '../../import/import-csv.ts';
import { consentEventsOf } from '../../store/consents.ts';
import { createContact, findContactsByEmail, getContactByRef } from '../../store/contacts.ts';
import { emptyContact, lockContact } from '../../store/erasure.ts';
import { asWriter, oneRow, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { emptyContactData } from '../../domain/contact.ts';
import { footprint, keyring, openRecord, run } from './rig.ts';

let db: Db;
beforeAll(async () => {
  db = await openRecord();
});
afterAll(() => db.destroy());

const HEAD =
  'external_ref,given_name,family_name,email,phone,relationship,newsletter,consent_at,consent_channel,consent_statement';
let count = 0;
/** A domain of its own for each test, because they share one database. */
let domain = '';
beforeEach(() => {
  count += 1;
  domain = `t${count}.example`;
});
const ref = (name: string): string => `${domain}-${name}`;
const csv = (...lines: string[]): string => `${[HEAD, ...lines].join('\n')}\n`;

const byLine = (a: (string | undefined)[], b: (string | undefined)[]): number => Number(a[0]) - Number(b[0]);

async function idOf(name: string): Promise<ContactId> {
  const contact = await getContactByRef(db, ref(name));
  if (contact === undefined) throw new Error('not in the record');
  return contact.id;
}

test('a file imported twice writes nothing the second time, not even an audit entry or a due mark', async () => {
  const text = csv(
    `${ref('1')},Ada,Muster,Ada@${domain},+44 20 7946 0001,lead,opted_in,2024-05-04T18:44:53Z,web_form,newsletter-2024-2`,
    `${ref('2')},Bo,Muster,bo@${domain},,customer,opted_out,2024-05-04,paper,`,
    `,Cy,Muster,cy@${domain},,,unknown,,,`,
    // The same person under two references with different numbers: the values must not go back and forth.
    `${ref('4')},Di,Muster,di@${domain},020 7946 0004,,unknown,,,`,
    `${ref('5')},Di,Muster,di@${domain},020 7946 0005,,unknown,,,`,
    // The same without references.
    `,Cy,Muster,cy@${domain},020 7946 0003,supplier,unknown,,,`,
  );
  const first = await run(db, text);
  expect(first.summary).toMatchObject({ read: 6, created: 4, updated: 2, unchanged: 0, rejected: 0, consentEvents: 2 });
  const before = await footprint(db);
  const second = await run(db, text);
  expect(second.summary).toMatchObject({ read: 6, created: 0, updated: 0, unchanged: 6, consentEvents: 0, aliases: 0 });
  expect(await footprint(db)).toEqual(before);
  const [di] = await findContactsByEmail(db, `di@${domain}`);
  expect(di?.phones).toEqual(['020 7946 0004', '020 7946 0005']);
});

test('a dry run says what the import then does, doubles in later batches included, and writes nothing', async () => {
  const many = Array.from({ length: 1_100 }, (_, n) => `${ref(`m${n}`)},Person,N${n},p${n}@${domain},,,unknown,,,`);
  const text = csv(
    ...many,
    `${ref('again')},PERSON,n0,P0@${domain.toUpperCase()},,,opted_in,2024-05-04T18:44:53Z,web_form,newsletter-2024-2`,
    `${ref('m1')},Person,N1,p1@${domain},020 7946 0006,,unknown,,,`,
    `${ref('bad')},A,B,no address,,,unknown,,,`,
  );
  const before = await footprint(db);
  const dry = await run(db, text, { dryRun: true });
  expect(await footprint(db)).toEqual(before);
  expect(dry.summary).toMatchObject({ read: 1_103, created: 1_100, updated: 1, unchanged: 1, rejected: 1, aliases: 1 });
  const real = await run(db, text);
  expect(real.summary).toEqual(dry.summary);
  expect(real.rejects).toEqual(dry.rejects);
  expect((await run(db, text, { dryRun: true })).summary).toMatchObject({ created: 0, updated: 0, unchanged: 1_102 });
});

describe('who is who', () => {
  test('a shared mailbox is several people, a double in other case and spacing is one with a second reference', async () => {
    const { summary } = await run(
      db,
      csv(
        `${ref('1')},Ada,Muster,info@${domain},,,unknown,,,`,
        `${ref('2')},Bo,Muster,info@${domain},,,unknown,,,`,
        `${ref('3')},  ADA ,muster,"  INFO@${domain.toUpperCase()}  ",,,unknown,,,`,
      ),
    );
    expect(summary).toMatchObject({ created: 2, unchanged: 1, aliases: 1 });
    const holders = await findContactsByEmail(db, `info@${domain}`);
    expect(holders.map((holder) => holder.givenName)).toEqual(['Ada', 'Bo']);
    // The second reference leads to the same person from now on.
    expect((await getContactByRef(db, ref('3')))?.id).toBe(holders[0]?.id);
    await run(db, csv(`${ref('3')},Ada,Muster-Li,info@${domain},,,unknown,,,`));
    expect((await getContactByRef(db, ref('1')))?.familyName).toBe('Muster-Li');
  });

  test('an address in its two IDN forms is one', async () => {
    await run(db, csv(`${ref('1')},Ada,M,ada@bücher.${domain},,,unknown,,,`));
    const { summary } = await run(
      db,
      csv(`,Ada,M,ADA@xn--bcher-kva.${domain},,,unknown,,,`, `,ada,m,ada@BÜCHER.${domain},,,unknown,,,`),
    );
    expect(summary).toMatchObject({ created: 0, unchanged: 2 });
  });

  test('a row without a name means the one holder of its address, and nobody where there are several', async () => {
    await run(
      db,
      csv(
        `${ref('1')},Ada,M,ada@${domain},,,unknown,,,`,
        `${ref('2')},Ada,M,info@${domain},,,unknown,,,`,
        `${ref('3')},Bo,M,info@${domain},,,unknown,,,`,
      ),
    );
    const { summary, rejects } = await run(
      db,
      csv(`,,,ada@${domain},,,opted_out,,,`, `,,,info@${domain},,,opted_out,,,`),
    );
    expect(summary).toMatchObject({ created: 0, unchanged: 1, rejected: 1, consentEvents: 1 });
    expect(rejects).toMatchObject([{ rejected_line: '3', rejected_code: 'ambiguous' }]);
  });

  test('a corrected address found by reference replaces the first one and keeps what the row does not give', async () => {
    await run(db, csv(`${ref('1')},Ada,Muster,ada@${domain},020 7946 0001,customer,unknown,,,`));
    const { summary } = await run(db, csv(`${ref('1')},,,ada.muster@${domain},,,unknown,,,`));
    expect(summary).toMatchObject({ updated: 1 });
    const contact = await getContactByRef(db, ref('1'));
    expect(contact).toMatchObject({
      version: 2,
      givenName: 'Ada',
      emails: [`ada.muster@${domain}`],
      phones: ['020 7946 0001'],
      relationship: 'customer',
    });
  });

  test('two imports of the same people at once make each of them once', async () => {
    const people = Array.from({ length: 300 }, (_, n) => `,Twin,N${n},twin${n}@${domain},,,unknown,,,`);
    const [one, two] = await Promise.all([run(db, csv(...people)), run(db, csv(...people.toReversed()))]);
    expect(one.summary.created + two.summary.created).toBe(300);
    expect((await findContactsByEmail(db, `twin7@${domain}`)).length).toBe(1);
  });
});

describe('erased people', () => {
  async function erase(name: string): Promise<void> {
    const id = await idOf(name);
    await asWriter(db, { actor: 'test', door: 'operator' }, async (tx) => {
      const contact = await lockContact(tx, id);
      if (contact === undefined) throw new Error('gone');
      await emptyContact(tx, keyring, contact, 'erased');
    });
  }

  test('come back neither as new, nor by their reference, nor as a new address of somebody else', async () => {
    await run(db, csv(`${ref('1')},Ada,M,ada@${domain},,,unknown,,,`, `${ref('2')},Bo,M,bo@${domain},,,unknown,,,`));
    await erase('1');
    const before = await footprint(db);
    const text = csv(
      `${ref('9')},Ada,M,ADA@${domain},,,opted_in,2024-05-04T18:44:53Z,web_form,newsletter-2024-2`,
      `${ref('1')},Ada,M,other@${domain},,,unknown,,,`,
      `${ref('2')},Bo,M,ada@${domain},,,unknown,,,`,
    );
    const dry = await run(db, text, { dryRun: true });
    const { summary, rejects } = await run(db, text);
    expect(summary).toEqual(dry.summary);
    expect(summary).toMatchObject({ read: 3, created: 0, updated: 0, suppressed: 3, rejected: 0, consentEvents: 0 });
    expect(await footprint(db)).toEqual(before);
    // Told by line only: the file of rejects keeps nothing of them.
    expect(rejects.map((reject) => [reject['rejected_line'], reject['rejected_code'], reject['email']])).toEqual([
      ['2', 'suppressed', ''],
      ['3', 'suppressed', ''],
      ['4', 'suppressed', ''],
    ]);
  });

  test('one of a shared mailbox is kept out, the other goes on', async () => {
    await run(db, csv(`${ref('1')},Ada,M,info@${domain},,,unknown,,,`, `${ref('2')},Bo,M,info@${domain},,,unknown,,,`));
    await erase('1');
    const { summary, rejects } = await run(
      db,
      csv(`${ref('3')},Ada,M,info@${domain},,,unknown,,,`, `${ref('4')},Cy,M,info@${domain},,,unknown,,,`),
    );
    expect(summary).toMatchObject({ suppressed: 1, created: 1 });
    expect(rejects.map((reject) => reject['rejected_line'])).toEqual(['2']);
    expect((await getContactByRef(db, ref('4')))?.givenName).toBe('Cy');
  });
});

describe('consents', () => {
  test("are evidence of the file, never the person's own act, and a double adds only what is new", async () => {
    await run(
      db,
      csv(
        `${ref('1')},Ada,M,ada@${domain},,,opted_in,2024-05-04T18:44:53Z,web_form,newsletter-2024-2`,
        `${ref('1')},Ada,M,ada@${domain},,,opted_in,2024-05-04T20:44:53+02:00,web_form,newsletter-2024-2`,
        `${ref('1')},Ada,M,ada@${domain},,,opted_out,2024-06-01,paper,`,
      ),
    );
    const id = await idOf('1');
    const events = (await consentEventsOf(db, [id])).get(id) ?? [];
    expect(
      events.map(({ kind, happenedAt, channel, statement, byPerson, door, recordedBy }) => ({
        kind,
        happenedAt,
        channel,
        statement,
        byPerson,
        door,
        recordedBy,
      })),
    ).toEqual([
      {
        kind: 'given',
        happenedAt: '2024-05-04T18:44:53.000Z',
        channel: 'web_form',
        statement: 'newsletter-2024-2',
        byPerson: false,
        door: 'csv',
        recordedBy: 'test-import',
      },
      {
        kind: 'withdrawn',
        happenedAt: '2024-06-01T23:59:59.999Z',
        channel: 'paper',
        statement: null,
        byPerson: false,
        door: 'csv',
        recordedBy: 'test-import',
      },
    ]);
    const versions = await oneRow<{ door: string; actor: string }>(
      db,
      'select door, actor from contact_versions where contact_id = ?',
      [id],
    );
    expect(versions).toEqual({ door: 'csv', actor: 'test-import' });
  });

  test('a withdrawal counts for a known person although the rest of the row is rejected, and changes nothing else', async () => {
    await run(db, csv(`${ref('1')},Ada,M,ada@${domain},,,opted_in,2024-05-04T18:44:53Z,web_form,newsletter-2024-2`));
    const { summary, rejects } = await run(
      db,
      csv(
        `${ref('1')},Other,Name,ada@${domain},no number,,opted_out,2025-01-01,web_form,`,
        `${ref('2')},Nobody,Known,nobody@${domain},no number,,opted_out,2025-01-01,web_form,`,
      ),
    );
    expect(summary).toMatchObject({ read: 2, created: 0, updated: 0, rejected: 2, consentEvents: 1 });
    expect(rejects.map((reject) => [reject['rejected_line'], reject['rejected_column']])).toEqual([
      ['2', 'phone'],
      ['3', 'phone'],
    ]);
    const contact = await getContactByRef(db, ref('1'));
    expect(contact).toMatchObject({ version: 1, givenName: 'Ada' });
    expect(await getContactByRef(db, ref('2'))).toBeUndefined();
  });
});

describe('rejects', () => {
  test('have line, column, reason and the row, in a file for its owner only in which nothing runs', async () => {
    const { summary, rejects, rejectsPath } = await run(
      db,
      `\uFEFF${csv(
        `${ref('1')},=HYPERLINK(1),M,ada@${domain},+44 20 7946 0001,,unknown,,,`,
        `${ref('2')},"Two`,
        `lines",M,two@${domain},,,unknown,,,`,
        '',
        `${ref('3')},Broken,"quo"te,broken@${domain},,,unknown,,,`,
        `${ref('4')},Short,row`,
        `${ref('5')},A,B,nowhere,123,friend,maybe,,,`,
        `${ref('6')},Fine,"Says ""yes""",fine@${domain},,,unknown,,,`,
        `${ref('7')},Open,"end,open@${domain},,,unknown,,,`,
        `${ref('8')},After,Open,after@${domain},,,unknown,,,`,
      ).replaceAll('\n', '\r\n')}`,
    );
    expect(summary).toMatchObject({ read: 8, created: 2, rejected: 6 });
    expect(rejects.map((r) => [r['rejected_line'], r['rejected_column'], r['rejected_code']]).toSorted(byLine)).toEqual(
      [
        ['2', 'given_name', 'formula'],
        ['3', 'given_name', 'line_break'],
        ['6', '', 'broken_quotes'],
        ['7', '', 'cell_count'],
        ['8', 'relationship; email; newsletter', 'unknown_relationship; no_at; unknown_consent'],
        ['10', '', 'broken_quotes'],
      ],
    );
    const formula = rejects.find((r) => r['rejected_line'] === '2');
    expect(formula).toMatchObject({ given_name: "'=HYPERLINK(1)", phone: '+44 20 7946 0001', email: `ada@${domain}` });
    expect((await stat(rejectsPath)).mode & 0o777).toBe(0o600);
    expect((await getContactByRef(db, ref('6')))?.familyName).toBe('Says "yes"');
    expect(await getContactByRef(db, ref('8'))).toBeDefined();
  });

  test('can be corrected and imported as they are', async () => {
    const { rejects } = await run(db, csv(`${ref('1')},Ada,M,ada.${domain},,,unknown,,,`));
    const columns = Object.keys(rejects[0] ?? {});
    const corrected = `${columns.join(',')}\n${columns.map((c) => (c === 'email' ? `ada@${domain}` : rejects[0]?.[c])).join(',')}\n`;
    expect((await run(db, corrected)).summary).toMatchObject({ created: 1, rejected: 0 });
  });

  test('are made of text in another encoding, which is never guessed', async () => {
    const latin1 = Buffer.from(csv(`${ref('1')},Jos\u00e9,M,jose@${domain},,,unknown,,,`), 'latin1');
    const { rejects } = await run(db, latin1);
    expect(rejects).toMatchObject([{ rejected_column: 'given_name', rejected_code: 'not_utf8' }]);
  });
});

describe('a file that does not fit as a whole', () => {
  test('is refused in one sentence that names every column, and nothing is written', async () => {
    const before = await footprint(db);
    const text = 'email,given_name,given_name,shoe_size,newsletter,vip\na@b.example,A,A,9,unknown,yes\n';
    const refused = run(db, text, { mapping: { columns: { vip: 'attributes.vp', ref: 'externalRef' } } });
    await expect(refused).rejects.toThrow(FileProblem);
    await expect(refused).rejects.toThrow(
      'The header does not fit. Columns unknown: shoe_size (map or ignore them); missing: ref, consent_at, consent_channel, consent_statement; there twice: given_name; mapped to no field of a contact: vip (attributes.vp).',
    );
    expect(await footprint(db)).toEqual(before);
  });

  test('is refused without repeating it where the first line is a person, empty, or UTF-16', async () => {
    await expect(run(db, 'Ada,Muster,ada@secret.example\n')).rejects.toThrow(/^The first line holds no column name/);
    await expect(run(db, '')).rejects.toThrow('The file is empty');
    await expect(run(db, Buffer.from('\uFEFFemail\n', 'utf16le'))).rejects.toThrow('UTF-16');
    await expect(run(db, 'given_name\nAda\n')).rejects.toThrow('a column by which people are known');
  });

  test('may have other column names, a semicolon, columns to ignore and lines that end in CR', async () => {
    const text = `Kennung;Mail;Stammkunde;Schuhgrösse\r${ref('1')};ada@${domain};yes;39\r`;
    const { summary } = await run(db, text, {
      mapping: {
        columns: { Kennung: 'externalRef', Mail: 'emails.0', Stammkunde: 'attributes.vip' },
        ignore: ['Schuhgrösse'],
      },
    });
    expect(summary.created).toBe(1);
    expect(await getContactByRef(db, ref('1'))).toMatchObject({ attributes: { vip: true } });
  });
});

test('a single contact that takes a reference of the batch meanwhile is found, not made twice', async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const other = asWriter(db, { actor: 'test', door: 'api' }, async (tx) => {
    await createContact(tx, keyring, { ...emptyContactData(), externalRef: ref('1'), emails: [`x@${domain}`] });
    await held;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const importing = run(db, csv(`${ref('1')},Ada,M,ada@${domain},,,unknown,,,`));
  await new Promise((resolve) => setTimeout(resolve, 200));
  release();
  await other;
  expect((await importing).summary).toMatchObject({ created: 0, updated: 1 });
  const found = await rows(db, 'select 1 from contacts where external_ref = ?', [ref('1')]);
  expect(found.length).toBe(1);
});

test('an import that is ended keeps what was committed and goes on from there', async () => {
  const text = csv(...Array.from({ length: 2_500 }, (_, n) => `${ref(`${n}`)},P,N${n},p${n}@${domain},,,unknown,,,`));
  const controller = new AbortController();
  await expect(
    run(db, text, { signal: controller.signal, onProgress: () => controller.abort(new Error('ended')) }),
  ).rejects.toThrow('ended');
  const { summary } = await run(db, text);
  expect(summary.created + summary.unchanged).toBe(2_500);
  expect(summary.unchanged).toBeGreaterThanOrEqual(1_000);
  expect(summary.created).toBeGreaterThan(0);
});
