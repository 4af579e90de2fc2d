/** What the driver makes of PostgreSQL's types. */
import { afterAll, expect, test } from 'vitest';
import { oneRow, openDb } from '../../store/db.ts';
import { createDatabase } from '../rig/database.ts';

const { url } = await createDatabase();
const db = openDb({ url, applicationName: 'types-test', poolMax: 1 });
afterAll(() => db.destroy());

test.each([
  ['2026-11-25 09:30:00+00', '2026-11-25T09:30:00.000Z'],
  ['2026-11-25 09:30:00.1+00', '2026-11-25T09:30:00.100Z'],
  ['2026-11-25 09:30:00.123456+00', '2026-11-25T09:30:00.123Z'],
  ['2026-11-25 09:30:00.999999+00', '2026-11-25T09:30:00.999Z'],
  ['2026-11-25 09:30:00.5+05:30', '2026-11-25T04:00:00.500Z'],
  ['1066-10-14 12:00:00+00', '1066-10-14T12:00:00.000Z'],
  ['12026-01-01 00:00:00+00', '+012026-01-01T00:00:00.000Z'],
])('a moment reads in UTC, to milliseconds: %s', async (written, read) => {
  expect((await oneRow<{ at: string }>(db, 'select ?::timestamptz as at', [written])).at).toBe(read);
});

test('a moment that no calendar has is an error, not a text', async () => {
  await expect(oneRow(db, `select 'infinity'::timestamptz as at`)).rejects.toThrow(/Invalid time value/);
});
