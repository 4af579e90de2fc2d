/** The shipped people: what the demonstration counts on. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parse as parseCsv } from 'csv-parse/sync';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { consentStates } from '../../domain/consent.ts';
import { DEFAULT_RETENTION_RULE, retentionVerdict } from '../../domain/retention.ts';
import { consentEventsOf } from '../../store/consents.ts';
import { toContact } from '../../store/contacts.ts';
import type { ContactRow } from '../../store/contacts.ts';
import { rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { openRecord, run } from './rig.ts';

const FILE = new URL('../../examples/contacts.csv', import.meta.url);
const CONFIG = new URL('../../plumbline.yaml', import.meta.url);
/** Domains that can belong to nobody (RFC 2606, RFC 6761). */
const RESERVED = /@(?:[^@]+\.)?(?:example\.(?:com|org|net)|[^@.]+\.(?:example|test))$/iu;

let db: Db;
beforeAll(async () => {
  db = await openRecord();
});
afterAll(() => db.destroy());

test('two hundred people are imported without a reject, and all lie on reserved domains', async () => {
  const { summary } = await run(db, '', { input: createReadStream(FILE) });
  expect(summary).toMatchObject({ read: 200, created: 200, rejected: 0, suppressed: 0 });
  const people = parseCsv(await readFile(FILE, 'utf8'), { columns: true }) as { email: string }[];
  expect(people.filter(({ email }) => !RESERVED.test(email))).toEqual([]);
});

test('at least six and fewer than a twentieth are stale by the shipped rule, soon after and a year later', async () => {
  const config = parseYaml(await readFile(CONFIG, 'utf8')) as {
    purposes: Record<string, { statements: Record<string, string> }>;
    retention: { rules: unknown[] };
  };
  expect(config.retention.rules).toEqual([DEFAULT_RETENTION_RULE]);
  const statements = new Set(Object.values(config.purposes).flatMap((purpose) => Object.keys(purpose.statements)));
  const contacts = (await rows<ContactRow>(db, 'select * from contacts')).map(toContact);
  const evidence = await consentEventsOf(
    db,
    contacts.map((contact) => contact.id),
  );
  const staleAt = (now: string): number =>
    contacts.filter((contact) => {
      const consents = consentStates(evidence.get(contact.id) ?? [], Object.keys(config.purposes), statements);
      return retentionVerdict(contact, consents, [], DEFAULT_RETENTION_RULE, now).purge;
    }).length;
  for (const now of ['2026-11-25T12:00:00Z', '2027-11-25T12:00:00Z']) {
    expect(staleAt(now)).toBeGreaterThanOrEqual(6);
    expect(staleAt(now)).toBeLessThan(10);
  }
  const states = contacts.map(
    (contact) =>
      consentStates(evidence.get(contact.id) ?? [], ['newsletter'], statements)['newsletter']?.state ?? 'unknown',
  );
  // Consents with and without proof, and withdrawals: each is there in numbers that show.
  for (const state of ['given', 'unknown', 'withdrawn']) {
    expect(states.filter((found) => found === state).length).toBeGreaterThan(10);
  }
});
