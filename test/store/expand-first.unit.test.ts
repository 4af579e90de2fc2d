/** Migrations expand first: the release before works on while they run. What takes something away from it needs a mark that says why it may. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../local/program.ts';
import { contractions } from '../rig/contractions.ts';

const FOLDER = join(ROOT, 'store/migrations');
const files = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.ts'))
  .toSorted();

test.each(files)('%s takes nothing away from the release before', async (name) => {
  const { up } = (await import(join(FOLDER, name))) as { up: string };
  expect(up.length).toBeGreaterThan(20);
  expect(contractions(up)).toEqual([]);
});

test.each([
  ['drop table leases;'],
  ['alter table contacts drop column phones;'],
  ['alter table contacts rename column phones to numbers;'],
  ['alter table contacts rename to people;'],
  ['alter table contacts alter column locale type integer using 1;'],
  ['alter table contacts alter phones set not null;'],
  ['alter table contacts add column score integer not null;'],
  ['alter table contacts add column a text, add column score integer not null;'],
  ['alter table contacts add constraint c check (length(locale) < 5);'],
  ['create unique index i on contacts (given_name);'],
  ['drop function if exists take_call(text);'],
  ['revoke select on contacts from plumbline_api;'],
  ['truncate calls;'],
  ['alter table contacts add column score integer not null;\n-- contract: short'],
])('refused: %s', (sql) => {
  expect(contractions(sql)).toHaveLength(1);
});

test.each([
  [
    'create table a (id uuid not null unique, note text check (note <> $$drop table$$)); create unique index i on a (note);',
  ],
  ['alter table contacts add column score integer not null default 0;'],
  ['alter table contacts add column score integer;'],
  ['-- drop table a;\ncreate index i on contacts (given_name);'],
  [
    'create or replace function f() returns trigger language plpgsql as $f$ begin delete from a; drop table b; end $f$;',
  ],
  ['create trigger no_truncate before truncate on audit for each statement execute function refuse_change();'],
  ['-- contract: nothing reads it since release 0.2.0\nalter table contacts drop column phones;'],
])('passes: %s', (sql) => {
  expect(contractions(sql)).toEqual([]);
});
