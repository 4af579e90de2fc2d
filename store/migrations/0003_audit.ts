/** The audit log: append-only, free of personal data, chained by one sealer so that writers never queue on a lock. */

export const up = `
create table audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  actor text not null,
  door text not null,
  contact_id uuid,
  version integer,
  system text,
  case_id uuid,
  detail jsonb
);
create index audit_contact on audit (contact_id, id) where contact_id is not null;

create table audit_chain (
  seq bigint primary key,
  entry_id bigint not null unique,
  epoch integer not null,
  hash bytea not null
);

-- A restore to another cluster starts transaction ids anew: entries up to 'last_entry' belong to an earlier epoch.
create table audit_epochs (
  epoch integer primary key,
  cluster text not null,
  last_entry_before bigint not null,
  at timestamptz not null default clock_timestamp()
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% of % is refused: the table is append-only', tg_op, tg_table_name
    using errcode = 'insufficient_privilege';
end $$;

create trigger audit_append_only before update or delete on audit for each row execute function refuse_change();
create trigger audit_no_truncate before truncate on audit for each statement execute function refuse_change();
create trigger audit_chain_append_only before update or delete on audit_chain for each row execute function refuse_change();
create trigger audit_chain_no_truncate before truncate on audit_chain for each statement execute function refuse_change();
create trigger consent_append_only before update or delete on consent_events for each row execute function refuse_change();
create trigger consent_no_truncate before truncate on consent_events for each statement execute function refuse_change();
create trigger tombstones_no_delete before update or delete on tombstones for each row execute function refuse_change();
create trigger tombstones_no_truncate before truncate on tombstones for each statement execute function refuse_change();
create trigger contacts_no_delete before delete on contacts for each row execute function refuse_change();
create trigger contacts_no_truncate before truncate on contacts for each statement execute function refuse_change();
`;

export const down = `
drop trigger contacts_no_truncate on contacts;
drop trigger contacts_no_delete on contacts;
drop trigger tombstones_no_truncate on tombstones;
drop trigger tombstones_no_delete on tombstones;
drop trigger consent_no_truncate on consent_events;
drop trigger consent_append_only on consent_events;
drop table audit_epochs, audit_chain, audit;
drop function refuse_change();
`;
