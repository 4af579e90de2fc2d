/** Each group role of the database: what its accounts may do, and what they may not, asked of PostgreSQL itself. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDb, row, rows, sqlState } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { GRANTS, groupRole, GROUPS, OWNER_ONLY } from '../../store/grants.ts';
import type { Group } from '../../store/grants.ts';
import { migrate, schemaProblem } from '../../store/migrate.ts';
import { grantsFile } from '../../store/roles.ts';
import { createDatabase } from '../rig/database.ts';
import type { TestDatabase } from '../rig/database.ts';
import { accountUrl, dropAccounts } from '../rig/accounts.ts';

const DENIED = '42501';
const closing: Db[] = [];
let database: TestDatabase;
let owner: Db;
const as: Partial<Record<Group, Db>> = {};

function open(url: string): Db {
  const db = openDb({ url, poolMax: 3, applicationName: 'plumbline-test' });
  closing.push(db);
  return db;
}

/** A pool of an account that is in this group and nothing else. */
function account(group: Group): Db {
  const db = as[group];
  if (db === undefined) throw new Error(`no account in ${group}`);
  return db;
}

/** 'done', or the SQLSTATE of the refusal. What it changes is undone. */
async function attempt(db: Db, sql: string): Promise<string> {
  const tx = await db.transaction();
  try {
    await tx.raw(sql);
    return 'done';
  } catch (error) {
    return sqlState(error) ?? String(error);
  } finally {
    await tx.rollback();
  }
}

beforeAll(async () => {
  database = await createDatabase();
  owner = open(database.url);
  await migrate(owner);
  for (const group of GROUPS) as[group] = open(await accountUrl(owner, database.url, group));
  await rows(
    owner,
    `insert into systems (name, connector, account, rules, rules_hash) values ('s', 'hubspot', 's', '{}', 'x');
     insert into contacts (external_ref, family_name, emails) values ('r-1', 'Some', '{some@example.org}');
     insert into consent_events (contact_id, purpose, kind) select id, 'newsletter', 'withdrawn' from contacts;
     insert into tombstones (kind, hash, key_id, contact_id) values ('ref', '\\x00', 'k1', gen_random_uuid());
     insert into tickets (contact_id, kind, key_id, sealed) values (gen_random_uuid(), 'purge', 'k1', '\\x00');
     insert into vendor_tokens (account, key_id, sealed) values ('s', 'k1', '\\x00');
     insert into api_keys (name, role, hash) values ('some', 'reader', '\\x00')`,
  );
});

afterAll(async () => {
  await Promise.all(closing.map((db) => db.destroy()));
  await dropAccounts(database.url);
});

describe('the groups', () => {
  test('none can sign in, and none is more than a group', async () => {
    const found = await rows<{ rolname: string; more: boolean }>(
      owner,
      `select rolname, rolcanlogin or rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as more
       from pg_roles where rolname = any (?::text[])`,
      [GROUPS.map(groupRole)],
    );
    expect(found.map((r) => r.rolname).toSorted()).toEqual(GROUPS.map(groupRole).toSorted());
    expect(found.filter((r) => r.more)).toEqual([]);
  });

  test('every table is given to somebody or kept by the owner on purpose', async () => {
    const tables = await rows<{ name: string }>(
      owner,
      `select relname as name from pg_class where relnamespace = 'plumbline'::regnamespace and relkind in ('r', 'p', 'v', 'm')`,
    );
    const known = new Set([...Object.values(GRANTS).flatMap((g) => Object.keys(g)), ...Object.keys(OWNER_ONLY)]);
    expect(tables.map((t) => t.name).filter((name) => !known.has(name))).toEqual([]);
  });

  test('the schema and all in it belong to plumbline_migrate', async () => {
    const strange = await rows(
      owner,
      `select relname from pg_class where relnamespace = 'plumbline'::regnamespace and relowner <> 'plumbline_migrate'::regrole
       union all select proname from pg_proc where pronamespace = 'plumbline'::regnamespace and proowner <> 'plumbline_migrate'::regrole
       union all select typname from pg_type where typnamespace = 'plumbline'::regnamespace and typowner <> 'plumbline_migrate'::regrole`,
    );
    expect(strange).toEqual([]);
  });

  test('what runs with the owner’s rights looks names up in our schema first and never in a caller’s', async () => {
    const loose = await rows<{ name: string }>(
      owner,
      `select proname as name from pg_proc where pronamespace = 'plumbline'::regnamespace and prosecdef
         and not coalesce(proconfig @> array['search_path=plumbline, pg_temp'], false)`,
    );
    expect(loose).toEqual([]);
    const definers = await row<{ n: number }>(
      owner,
      `select count(*)::integer as n from pg_proc where pronamespace = 'plumbline'::regnamespace and prosecdef`,
    );
    expect(definers?.n).toBeGreaterThanOrEqual(3);
  });

  test('the right itself is missing, not only stopped by a trigger', async () => {
    const loose = await rows(
      owner,
      `select t, g, p from unnest(array['audit', 'audit_chain', 'consent_events', 'tombstones', 'audit_epochs']) t,
         unnest(array['worker', 'api', 'audit', 'read']) g, unnest(array['update', 'delete', 'truncate', 'trigger']) p
       where has_table_privilege('plumbline_' || g, 'plumbline.' || t, p)
          or p = 'update' and has_any_column_privilege('plumbline_' || g, 'plumbline.' || t, p)`,
    );
    expect(loose).toEqual([]);
  });

  test('migrating again changes no right', async () => {
    const rights = () =>
      rows(
        owner,
        `select relname, relacl::text from pg_class where relnamespace = 'plumbline'::regnamespace order by 1`,
      );
    const before = await rights();
    await migrate(owner);
    expect(await rights()).toEqual(before);
  });
});

/** Append-only facts: no account of a process can change or remove one, and none can forge its number or moment. */
describe.each(['worker', 'api', 'audit', 'read'] as const)('plumbline_%s', (group) => {
  test.each([
    'update audit set actor = $$x$$',
    'delete from audit',
    'truncate audit',
    'update consent_events set kind = $$given$$',
    'delete from consent_events',
    'truncate consent_events',
    'update tombstones set hash = $$\\x01$$',
    'delete from tombstones',
    'truncate tombstones',
    'update audit_chain set hash = $$\\x01$$',
    'delete from audit_chain',
    'delete from contacts',
    'truncate contacts cascade',
    'insert into audit (id, kind, actor, door) overriding system value values (1000000, $$x$$, $$x$$, $$x$$)',
    'insert into audit (at, kind, actor, door) values (now(), $$x$$, $$x$$, $$x$$)',
    'insert into audit (xid, kind, actor, door) values ($$1$$, $$x$$, $$x$$, $$x$$)',
    'insert into consent_events (recorded_at, contact_id, purpose, kind) select now(), id, $$p$$, $$given$$ from contacts',
    'insert into contact_versions (contact_id, version, actor, door, data) select id, 9, $$x$$, $$x$$, $${}$$ from contacts',
    'insert into api_keys (name, role, hash) values ($$forged$$, $$admin$$, $$\\x02$$)',
    'update api_keys set role = $$admin$$',
    'alter table audit disable trigger all',
    'drop table audit',
    'create table plumbline.mine (x integer)',
    'select mark_due(array(select id from contacts), 0::smallint)',
    'create function plumbline.who_actor() returns text language sql as $$ select 1::text $$',
    'set role plumbline_migrate',
  ])('is refused: %s', async (sql) => {
    expect(await attempt(account(group), sql)).toBe(DENIED);
  });
});

describe('plumbline_worker', () => {
  test.each([
    'select * from api_keys',
    'insert into contacts (family_name) values ($$New$$)',
    'update decisions set verdict = $$approve$$',
    'insert into decisions (id, subject, verdict, decided_by) values (gen_random_uuid(), $$x$$, $$approve$$, $$x$$)',
    'update holds set released_at = now()',
    'insert into cases (contact_id, kind, requested_by, deadline) select id, $$erasure$$, $$x$$, now() from contacts',
  ])('is refused: %s', async (sql) => {
    expect(await attempt(account('worker'), sql)).toBe(DENIED);
  });

  test.each([
    'insert into leases (system) values ($$s$$)',
    'select * from tickets, vendor_tokens, tombstones',
    'insert into tombstones (kind, hash, key_id, contact_id) values ($$ref$$, $$\\x05$$, $$k1$$, gen_random_uuid())',
    'insert into audit (kind, actor, door) values ($$x$$, $$lane$$, $$engine$$)',
    'select * from contacts for no key update',
  ])('may: %s', async (sql) => {
    expect(await attempt(account('worker'), sql)).toBe('done');
  });
});

describe('plumbline_api', () => {
  test.each([
    ...['leases', 'calls', 'tickets', 'vendor_tokens', 'vendor_addresses', 'late_outcomes', 'remarks', 'rechecks'].map(
      (table) => `select * from ${table}`,
    ),
    'insert into leases (system) values ($$x$$)',
    'update leases set token = token + 1',
    'delete from leases',
    'select open_call(gen_random_uuid(), $$s$$, 1, array[]::uuid[])',
    'select record_batch($$s$$, 1, null, $$[]$$)',
    'select take_call($$s$$, $$urgent$$, gen_random_uuid(), 1)',
    'update contacts set state = $$erased$$',
    'update contacts set version = 7',
    'update deliveries set verified_at = now()',
    'update deliveries set settled = wanted',
    'update deliveries set data_outcome = $$applied$$',
    'insert into external_ids (contact_id, system, external_id) select id, $$s$$, $$1$$ from contacts',
    'insert into tombstones (kind, hash, key_id, contact_id) values ($$ref$$, $$\\x05$$, $$k1$$, gen_random_uuid())',
    'update decisions set used_at = null',
    'update cases set state = $$done$$',
    'update meta set value = $$x$$',
    'update systems set rules = $${}$$',
  ])('is refused: %s', async (sql) => {
    expect(await attempt(account('api'), sql)).toBe(DENIED);
  });

  test('a change leaves its version, its audit entry and its due marks, which it could not write itself', async () => {
    const db = account('api');
    await rows(db, `update contacts set family_name = 'Changed' where external_ref = 'r-1'`);
    const found = await row<{ version: number; kind: string; actor: string; due: boolean }>(
      owner,
      `select v.version, a.kind, a.actor, d.wanted > d.settled as due from contacts c
       join contact_versions v on v.contact_id = c.id and v.version = c.version
       join audit a on a.contact_id = c.id and a.version = c.version join deliveries d on d.contact_id = c.id
       where c.external_ref = 'r-1'`,
    );
    expect(found).toMatchObject({ version: 2, kind: 'contact.changed', due: true });
    expect(found?.actor).toMatch(/^sql:test_api_/);
    expect(await attempt(db, 'delete from contact_versions')).toBe(DENIED);
    expect(await attempt(db, 'delete from deliveries')).toBe(DENIED);
  });

  test('a withdrawal is urgent', async () => {
    const db = account('api');
    await rows(
      db,
      `insert into consent_events (contact_id, purpose, kind) select id, 'newsletter', 'withdrawn' from contacts where external_ref = 'r-1'`,
    );
    const found = await row(owner, 'select priority from deliveries');
    expect(found).toEqual({ priority: 0 });
  });
});

test('a program at the SQL door needs two tables and nothing more', async () => {
  const name = `test_sql_${randomBytes(4).toString('hex')}`;
  await owner.raw(`create role ${name} login password 'sql'; grant usage on schema plumbline to ${name};
    grant select, insert, update on plumbline.contacts to ${name}; grant insert on plumbline.consent_events to ${name}`);
  const url = new URL(database.url);
  url.username = name;
  url.password = 'sql';
  const program = open(url.href);
  await rows(program, `update contacts set organisation = 'Delta' where external_ref = 'r-1'`);
  const found = await row(owner, `select actor from audit where kind = 'contact.changed' order by id desc limit 1`);
  expect(found).toEqual({ actor: `sql:${name}` });
  const event = `insert into consent_events (contact_id, purpose, kind) select id, 'events', 'withdrawn' from contacts`;
  expect(await attempt(program, event)).toBe('done');
  for (const table of ['audit', 'deliveries', 'contact_versions', 'tickets']) {
    expect(await attempt(program, `select * from ${table}`)).toBe(DENIED);
  }
});

describe('plumbline_audit', () => {
  test('appends, and sees nothing', async () => {
    expect(await attempt(account('audit'), `insert into audit (kind, actor, door) values ('x', 'x', 'x')`)).toBe(
      'done',
    );
    for (const table of ['audit', 'contacts', 'deliveries', 'meta', 'api_keys', 'tickets']) {
      expect(await attempt(account('audit'), `select * from ${table}`)).toBe(DENIED);
    }
  });
});

describe('plumbline_read', () => {
  test.each([
    'tickets',
    'api_keys',
    'vendor_tokens',
    'meta',
    'tombstones',
    'vendor_addresses',
    'decisions',
    'free_texts',
  ])('does not see %s', async (table) => {
    expect(await attempt(account('read'), `select * from ${table}`)).toBe(DENIED);
  });

  test('sees the record and the ledger, and writes nothing', async () => {
    expect(await attempt(account('read'), 'select * from contacts, deliveries, audit, consent_events')).toBe('done');
    const tables = await rows<{ name: string }>(
      owner,
      `select relname as name from pg_class where relnamespace = 'plumbline'::regnamespace and relkind = 'r'
       and has_table_privilege('plumbline_read', oid, 'insert, update, delete, truncate, references, trigger')`,
    );
    expect(tables).toEqual([]);
  });
});

describe('plumbline_migrate', () => {
  test('makes a whole schema in an empty database and goes on with it under another account', async () => {
    const empty = await createDatabase();
    const admin = open(empty.url);
    await admin.raw(`grant create on database ${empty.name} to plumbline_migrate`);
    const notices: string[] = [];
    const first = open(await accountUrl(owner, empty.url, 'migrate'));
    expect((await migrate(first, (n) => notices.push(n))).length).toBeGreaterThan(5);
    const second = open(await accountUrl(owner, empty.url, 'migrate'));
    expect(await migrate(second, (n) => notices.push(n))).toEqual([]);
    await second.raw('alter table plumbline.contacts add column later text');
    expect(notices).toEqual([]);
    expect(await schemaProblem(second)).toBeNull();
    const api = open(await accountUrl(owner, empty.url, 'api'));
    await rows(api, `insert into contacts (external_ref, family_name) values ('r-2', 'Made')`);
    expect(await row(admin, 'select count(*)::integer as n from plumbline.contact_versions')).toEqual({ n: 1 });
  });

  test('an account that makes roles but is no superuser brings everything up by itself', async () => {
    const empty = await createDatabase();
    const admin = open(empty.url);
    const name = `test_dba_${randomBytes(4).toString('hex')}`;
    await admin.raw(
      `create role ${name} login createrole password 'dba'; grant create on database ${empty.name} to ${name}`,
    );
    for (const group of GROUPS) await admin.raw(`grant ${groupRole(group)} to ${name} with admin option`);
    const url = new URL(empty.url);
    url.username = name;
    url.password = 'dba';
    const notices: string[] = [];
    await migrate(open(url.href), (n) => notices.push(n));
    // To grant on a database takes its owner; everything else went.
    expect(notices.length).toBeLessThanOrEqual(1);
    const reader = open(await accountUrl(owner, empty.url, 'read'));
    expect(await attempt(reader, 'select * from contacts')).toBe('done');
    expect(await attempt(reader, 'select * from tickets')).toBe(DENIED);
  });

  test('an account that may make nothing migrates all the same and says what is missing', async () => {
    const empty = await createDatabase();
    const admin = open(empty.url);
    const name = `test_plain_${randomBytes(4).toString('hex')}`;
    await admin.raw(`create role ${name} login password 'plain'; grant create on database ${empty.name} to ${name}`);
    const url = new URL(empty.url);
    url.username = name;
    url.password = 'plain';
    const notices: string[] = [];
    const plain = open(url.href);
    await migrate(plain, (n) => notices.push(n));
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain('plumbline_migrate');
    // The schema is its own, so it works on as one account with all rights.
    await rows(plain, `insert into contacts (family_name) values ('Own')`);
    // What the printed file asks for is what was missing.
    await admin.raw(grantsFile().replaceAll('?', '\\?'));
    await admin.raw(`grant plumbline_migrate to ${name}`);
    notices.length = 0;
    await migrate(plain, (n) => notices.push(n));
    expect(notices).toEqual([]);
    const reader = open(await accountUrl(owner, empty.url, 'read'));
    expect(await attempt(reader, 'select * from contacts')).toBe('done');
  });
});
