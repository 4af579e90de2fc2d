/** New contacts are marked due by a plain insert: nobody else can have a ledger row of theirs, so there is no conflict to look for. */

export const up = `
create or replace function contacts_after_insert() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
declare
  ids uuid[];
  norms text[];
  due smallint;
begin
  select array_agg(id) into ids from new_rows;
  if ids is null then return null; end if;
  insert into contact_versions (contact_id, version, actor, door, reason, data)
    select id, version, who_actor(), who_door(), who_reason(), to_jsonb(n) - 'seq' from new_rows n;
  insert into audit (kind, actor, door, contact_id, version)
    select 'contact.created', who_actor(), who_door(), id, version from new_rows;
  insert into contact_addresses (contact_id, norm)
    select distinct n.id, lower(btrim(e)) from new_rows n cross join unnest(n.emails) e;
  select array_agg(distinct lower(btrim(e))) into norms from new_rows n cross join unnest(n.emails) e;
  if norms is not null then
    perform remark_holders(ids, norms, false);
  end if;
  due := case when cardinality(ids) > 500 or who_door() = 'csv' then 30 else 20 end;
  insert into deliveries (contact_id, system, priority)
    select n.id, s.name, due from new_rows n cross join systems s where not s.removed;
  perform pg_notify('plumbline_due', s.name) from systems s where not s.removed;
  return null;
end $$;
`;

export const down = `
create or replace function contacts_after_insert() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
declare
  ids uuid[];
  norms text[];
begin
  select array_agg(id order by id) into ids from new_rows;
  if ids is null then return null; end if;
  insert into contact_versions (contact_id, version, actor, door, reason, data)
    select id, version, who_actor(), who_door(), who_reason(), to_jsonb(n) - 'seq' from new_rows n;
  insert into audit (kind, actor, door, contact_id, version)
    select 'contact.created', who_actor(), who_door(), id, version from new_rows;
  insert into contact_addresses (contact_id, norm)
    select distinct n.id, lower(btrim(e)) from new_rows n cross join unnest(n.emails) e
    on conflict do nothing;
  select array_agg(distinct lower(btrim(e))) into norms from new_rows n cross join unnest(n.emails) e;
  if norms is not null then
    perform remark_holders(ids, norms, false);
  end if;
  perform mark_due(ids, (case when cardinality(ids) > 500 or who_door() = 'csv' then 30 else 20 end)::smallint);
  return null;
end $$;
`;
