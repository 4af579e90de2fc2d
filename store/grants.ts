/**
 * Who may do what in the database: group roles without a login, to which the accounts of the processes belong.
 *
 *   plumbline_migrate  owns the schema           plumbline_audit  may append to the audit log, nothing else
 *   plumbline_worker   the worker                plumbline_read   may look, but at no key, token, ticket or free text
 *   plumbline_api      the API and the commands
 *
 * Bookkeeping (versions, audit, due marks) runs with the owner's rights, in the triggers: whoever may write a contact can neither
 * leave it out nor forge it.
 */
import { SCHEMA } from './db.ts';

export const GROUPS = ['migrate', 'worker', 'api', 'audit', 'read'] as const;
export type Group = (typeof GROUPS)[number];

/** The group role of that use. */
export function groupRole(group: Group): string {
  return `plumbline_${group}`;
}

type Grants = Readonly<Record<string, string>>;

/** What an insert may state of an audit entry: never its number, its moment or its transaction. */
const AUDIT_ENTRY = '(kind, actor, door, contact_id, version, system, case_id, detail)';
const CONSENT_EVENT =
  '(contact_id, purpose, kind, happened_at, channel, statement, evidence_text, by_person, recorded_by, door)';
const PERSON =
  '(external_ref, given_name, family_name, emails, phones, organisation, street, city, postcode, country, locale, relationship, ' +
  'account_manager, source, obtained_at, contract_end, last_transaction_at, attributes)';
const DUE_MARK = '(wanted, priority, due_since, not_before, distrust, rereading, mismatches)';
const LANE_STATE = '(state, state_code, state_by, state_at, last_error, last_error_at)';

/** Table → privileges, as GRANT takes them. A table that is missing here belongs to the owner alone. */
const WORKER: Grants = {
  contacts: 'select, update',
  contact_versions: 'select, delete',
  contact_addresses: 'select, insert',
  contact_aliases: 'select, delete',
  free_texts: 'select, insert, delete',
  consent_events: `select, insert ${CONSENT_EVENT}`,
  statements: 'select, insert',
  tombstones: 'select, insert',
  tickets: 'select, insert, update, delete',
  holds: 'select',
  vendor_tokens: 'select, insert, update',
  meta: 'select, insert, update (value)',
  systems: 'select, insert, update',
  deliveries: 'select, insert, update',
  external_ids: 'select, insert, update, delete',
  leases: 'select, insert, update',
  calls: 'select, insert, update, delete',
  rechecks: 'select, insert, update, delete',
  late_outcomes: 'select, insert, update, delete',
  remarks: 'select, update, delete',
  vendor_records: 'select, insert, update, delete',
  vendor_addresses: 'select, insert, delete',
  scan_seen: 'select, insert, delete',
  budgets: 'select, insert, update',
  budget_slots: 'select, insert, update, delete',
  audit: 'select',
  audit_chain: 'select, insert',
  audit_epochs: 'select, insert',
  audit_id_seq: 'select',
  cases: 'select, update',
  decisions: 'select, update (used_at)',
  runs: 'select, insert, update',
  run_items: 'select, insert, update',
  drifts: 'select, insert',
  causes: 'select, insert, update',
  idempotency_keys: 'select (name, at), delete',
  migrations: 'select',
};

const API: Grants = {
  contacts: `select, insert (id, ${PERSON.slice(1)}, update ${PERSON}`,
  contact_versions: 'select',
  contact_addresses: 'select',
  contact_aliases: 'select, insert',
  free_texts: 'select, insert',
  consent_events: `select, insert ${CONSENT_EVENT}`,
  statements: 'select, insert',
  tombstones: 'select',
  holds: 'select, insert, update (released_by, released_at)',
  api_keys: 'select',
  meta: 'select, insert',
  systems: `select, update ${LANE_STATE}`,
  deliveries: `select, update ${DUE_MARK}`,
  external_ids: 'select',
  budgets: 'select',
  budget_slots: 'select',
  audit: 'select',
  audit_chain: 'select',
  audit_epochs: 'select',
  cases: 'select, insert',
  decisions: 'select, insert',
  // A run that was started before is found by the same statement.
  runs: 'select, insert, update (kind)',
  run_items: 'select',
  drifts: 'select',
  causes: 'select',
  idempotency_keys: 'select, insert, update',
  migrations: 'select',
};

const AUDIT: Grants = { audit: `insert ${AUDIT_ENTRY}` };

const READABLE =
  'contacts contact_versions contact_addresses contact_aliases consent_events statements holds systems deliveries external_ids budgets ' +
  'budget_slots audit audit_chain audit_epochs cases runs run_items drifts causes migrations';
const READ: Grants = Object.fromEntries(READABLE.split(' ').map((table) => [table, 'select']));

/** By group; `migrate` owns everything and needs none. */
export const GRANTS: Readonly<Record<Exclude<Group, 'migrate'>, Grants>> = {
  worker: WORKER,
  api: API,
  audit: AUDIT,
  read: READ,
};

/** Tables that no group but the owner may see, with the reason. */
export const OWNER_ONLY: Readonly<Record<string, string>> = {
  migrations_lock: 'the tool that migrates keeps it',
};

/** What changes the ledger is called by the worker alone; the others only say who writes, from the triggers of any writer. */
const WORKER_FUNCTIONS = [
  'take_call(text, text, uuid, integer)',
  'take_call(text, text, uuid, integer, uuid[])',
  'end_calls(uuid[])',
  'hold_lease(text, bigint)',
  'open_call(uuid, text, bigint, uuid[])',
  'apply_outcomes(text, outcome[])',
  'record_batch(text, bigint, uuid, jsonb)',
];
const EVERYBODYS_FUNCTIONS = ['who_actor()', 'who_door()', 'who_reason()'];

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Creates the group roles that are missing. Roles belong to the whole cluster, so another database may be making them at the same moment. */
export function createRolesSql(): string {
  const roles = GROUPS.map((group) => quoted(groupRole(group))).join(', ');
  return `do $$
declare
  r text;
begin
  foreach r in array array[${roles}] loop
    begin
      if not exists (select 1 from pg_roles where rolname = r) then
        execute format('create role %I nologin', r);
      end if;
    exception when duplicate_object or unique_violation then null;
    end;
  end loop;
  -- Who makes changes and who makes calls append to the audit log by one right, kept in one place.
  foreach r in array array[${quoted(groupRole('worker'))}, ${quoted(groupRole('api'))}] loop
    begin
      if not pg_has_role(r, ${quoted(groupRole('audit'))}, 'usage') then
        execute format('grant %I to %I', ${quoted(groupRole('audit'))}, r);
      end if;
    -- 'tuple concurrently updated' comes as an internal error.
    exception when duplicate_object or unique_violation or internal_error then null;
    end;
  end loop;
end $$;`;
}

/** Gives the schema and everything in it to the migrating role, so that any of its accounts can go on with it. */
export function ownSql(): string {
  const owner = quoted(groupRole('migrate'));
  return `do $$
declare
  o record;
begin
  execute format('grant create on database %I to %I', current_database(), ${owner});
  if exists (select 1 from pg_namespace where nspname = '${SCHEMA}' and pg_get_userbyid(nspowner) <> ${owner}) then
    execute format('alter schema ${SCHEMA} owner to %I', ${owner});
  end if;
  for o in
    select format('alter %s %s owner to ', case c.relkind when 'c' then 'type' when 'S' then 'sequence' else 'table' end, c.oid::regclass) as sql
    from pg_class c where c.relnamespace = '${SCHEMA}'::regnamespace and pg_get_userbyid(c.relowner) <> ${owner}
      and (c.relkind in ('r', 'p', 'v', 'm', 'c') or c.relkind = 'S' and not exists (
        select 1 from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')))
    union all
    select format('alter routine %s owner to ', p.oid::regprocedure)
    from pg_proc p where p.pronamespace = '${SCHEMA}'::regnamespace and pg_get_userbyid(p.proowner) <> ${owner}
  loop
    execute o.sql || quote_ident(${owner});
  end loop;
end $$;`;
}

/** Bookkeeping runs with the owner's rights; nobody calls it by hand. Holds with and without the group roles. */
export function guardSql(): string {
  return `do $$
declare
  f record;
begin
  for f in
    select distinct p.oid::regprocedure as name from pg_trigger t join pg_proc p on p.oid = t.tgfoid
    join pg_class c on c.oid = t.tgrelid
    -- Bit 1 marks a trigger that runs before its event.
    where c.relnamespace = '${SCHEMA}'::regnamespace and not t.tgisinternal and t.tgtype & 2 = 0 and not p.prosecdef
      and p.pronamespace = '${SCHEMA}'::regnamespace
  loop
    execute format('alter function %s security definer', f.name);
  end loop;
end $$;
revoke execute on all functions in schema ${SCHEMA} from public;
${EVERYBODYS_FUNCTIONS.map((name) => `grant execute on function ${SCHEMA}.${name} to public;`).join('\n')}`;
}

/** The rights of one group, and no others. */
function groupSql(group: Exclude<Group, 'migrate'>): string {
  const role = groupRole(group);
  const granted = Object.entries(GRANTS[group]).map(
    ([table, privileges]) => `grant ${privileges} on ${SCHEMA}.${table} to ${role};`,
  );
  const functions =
    group === 'worker'
      ? WORKER_FUNCTIONS.map((name) => `grant execute on function ${SCHEMA}.${inSchema(name)} to ${role};`)
      : [];
  return [
    `revoke all on all tables in schema ${SCHEMA} from ${role};`,
    `revoke all on all sequences in schema ${SCHEMA} from ${role};`,
    `revoke all on all functions in schema ${SCHEMA} from ${role};`,
    `grant usage on schema ${SCHEMA} to ${role};`,
    ...granted,
    ...functions,
  ].join('\n');
}

function inSchema(name: string): string {
  return name.replace('outcome[]', `${SCHEMA}.outcome[]`);
}

/** Everything that the groups but the owner may do, for the roles that are there. */
export function grantSql(): string {
  return (['worker', 'api', 'audit', 'read'] as const).map(groupSql).join('\n\n');
}
