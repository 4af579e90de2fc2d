/** Which fields an update changed is found with one look at each row: it had been most of what a bulk change cost the writer. */

export const up = `
create function changed_fields(p_old jsonb, p_new jsonb) returns jsonb
language sql immutable set search_path = plumbline, pg_temp as $$
  select coalesce(jsonb_agg(f.key order by f.key), '[]'::jsonb) from jsonb_each(p_new - 'version' - 'changed_at') f
  where f.value is distinct from p_old -> f.key
$$;

create or replace function contacts_after_update() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
declare
  ids uuid[];
  moved uuid[];
  norms text[];
  urgent boolean;
begin
  select array_agg(n.id order by n.id),
         array_agg(n.id order by n.id) filter (where n.emails is distinct from o.emails),
         coalesce(bool_or(n.state = 'erased'), false)
    into ids, moved, urgent
    from new_rows n join old_rows o using (id) where n.version <> o.version;
  if ids is null then return null; end if;
  insert into contact_versions (contact_id, version, actor, door, reason, data)
    select id, version, who_actor(), who_door(), who_reason(), to_jsonb(n) - 'seq'
    from new_rows n where n.id = any (ids);
  insert into audit (kind, actor, door, contact_id, version, detail)
    select case when n.state <> o.state then 'contact.' || (case n.state when 'active' then 'returned' else n.state end)
                else 'contact.changed' end,
           who_actor(), who_door(), n.id, n.version,
           jsonb_build_object('fields', changed_fields(to_jsonb(o), to_jsonb(n)))
    from new_rows n join old_rows o using (id) where n.id = any (ids);
  if moved is not null then
    select array_agg(distinct lower(btrim(e))) into norms from (
      select unnest(emails) e from new_rows where id = any (moved)
      union select unnest(emails) from old_rows where id = any (moved)) x;
    perform index_addresses(moved);
    if norms is not null then
      perform remark_holders(ids, norms, urgent);
    end if;
  end if;
  perform mark_due(ids, (case
    when urgent then 0
    when cardinality(ids) > 500 or who_door() = 'csv' or current_setting('plumbline.process', true) = 'purged' then 30
    else 20 end)::smallint);
  return null;
end $$;
`;

export const down = `
create or replace function contacts_after_update() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
declare
  ids uuid[];
  moved uuid[];
  norms text[];
  urgent boolean;
begin
  select array_agg(n.id order by n.id),
         array_agg(n.id order by n.id) filter (where n.emails is distinct from o.emails),
         coalesce(bool_or(n.state = 'erased'), false)
    into ids, moved, urgent
    from new_rows n join old_rows o using (id) where n.version <> o.version;
  if ids is null then return null; end if;
  insert into contact_versions (contact_id, version, actor, door, reason, data)
    select id, version, who_actor(), who_door(), who_reason(), to_jsonb(n) - 'seq'
    from new_rows n where n.id = any (ids);
  insert into audit (kind, actor, door, contact_id, version, detail)
    select case when n.state <> o.state then 'contact.' || (case n.state when 'active' then 'returned' else n.state end)
                else 'contact.changed' end,
           who_actor(), who_door(), n.id, n.version,
           jsonb_build_object('fields', (
             select coalesce(jsonb_agg(f.key order by f.key), '[]'::jsonb)
             from jsonb_each(to_jsonb(n) - 'version' - 'changed_at') f
             where f.value is distinct from (to_jsonb(o) -> f.key)))
    from new_rows n join old_rows o using (id) where n.id = any (ids);
  if moved is not null then
    select array_agg(distinct lower(btrim(e))) into norms from (
      select unnest(emails) e from new_rows where id = any (moved)
      union select unnest(emails) from old_rows where id = any (moved)) x;
    perform index_addresses(moved);
    if norms is not null then
      perform remark_holders(ids, norms, urgent);
    end if;
  end if;
  perform mark_due(ids, (case
    when urgent then 0
    when cardinality(ids) > 500 or who_door() = 'csv' or current_setting('plumbline.process', true) = 'purged' then 30
    else 20 end)::smallint);
  return null;
end $$;

drop function changed_fields(jsonb, jsonb);
`;
