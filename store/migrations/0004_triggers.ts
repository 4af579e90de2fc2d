/**
 * What makes any writer count: version, history, audit and due marks commit together with the change itself, whoever wrote it.
 *
 * Only these triggers may wait for a ledger row, and only for their own contacts; everything else of ours skips locked rows, so
 * that a writer's transaction is never killed for our bookkeeping.
 */

export const up = `
create function who_actor() returns text language sql stable as $$
  select coalesce(nullif(current_setting('plumbline.actor', true), ''), 'sql:' || session_user)
$$;
create function who_door() returns text language sql stable as $$
  select coalesce(nullif(current_setting('plumbline.door', true), ''), 'sql')
$$;
create function who_reason() returns text language sql stable as $$
  select nullif(current_setting('plumbline.reason', true), '')
$$;

create function contacts_before() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    new.version := 1;
    new.created_at := clock_timestamp();
    new.changed_at := new.created_at;
    if new.state <> 'active' then
      raise exception 'a new contact is active' using errcode = 'check_violation';
    end if;
    return new;
  end if;
  if old.state = 'erased' then
    raise exception 'contact % was erased; nothing of it can be changed', old.id using errcode = 'check_violation';
  end if;
  if new.state <> old.state and new.state in ('erased', 'purged')
     and coalesce(current_setting('plumbline.process', true), '') <> new.state then
    raise exception 'a contact is % by its process, not by setting the state', new.state using errcode = 'check_violation',
      hint = 'Use the erasure case or the retention run.';
  end if;
  new.id := old.id;
  new.created_at := old.created_at;
  new.version := old.version;
  new.changed_at := old.changed_at;
  if new is distinct from old then
    if old.state = 'purged' and new.state = 'purged' then
      new.state := 'active';
    end if;
    new.version := old.version + 1;
    new.changed_at := clock_timestamp();
  end if;
  return new;
end $$;
create trigger contacts_before before insert or update on contacts for each row execute function contacts_before();

create function mark_due(p_ids uuid[], p_priority smallint) returns void
language plpgsql set search_path = plumbline, pg_temp as $$
begin
  insert into deliveries as d (contact_id, system, priority)
  select c.id, s.name, p_priority
  from unnest(p_ids) as c (id) cross join systems s
  where not s.removed
  order by c.id, s.name
  on conflict (contact_id, system) do update set
    wanted = d.wanted + 1,
    priority = case when d.wanted > d.settled then least(d.priority, excluded.priority) else excluded.priority end,
    due_since = case when d.wanted > d.settled then d.due_since else excluded.due_since end,
    not_before = null;
  perform pg_notify('plumbline_due', s.name) from systems s where not s.removed;
end $$;

create function index_addresses(p_ids uuid[]) returns void
language plpgsql set search_path = plumbline, pg_temp as $$
begin
  delete from contact_addresses where contact_id = any (p_ids);
  insert into contact_addresses (contact_id, norm)
  select distinct c.id, lower(btrim(e)) from contacts c cross join unnest(c.emails) e where c.id = any (p_ids)
  on conflict do nothing;
end $$;

-- Other holders of the same addresses are looked at again, without waiting for their rows.
create function remark_holders(p_ids uuid[], p_norms text[], p_urgent boolean) returns void
language sql set search_path = plumbline, pg_temp as $$
  insert into remarks (contact_id, urgent)
  select distinct a.contact_id, p_urgent from contact_addresses a
  where a.norm = any (p_norms) and a.contact_id <> all (p_ids)
$$;

create function contacts_after_insert() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
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
create trigger contacts_after_insert after insert on contacts
  referencing new table as new_rows for each statement execute function contacts_after_insert();

create function contacts_after_update() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
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
create trigger contacts_after_update after update on contacts
  referencing old table as old_rows new table as new_rows for each statement execute function contacts_after_update();

create function consent_before() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
begin
  new.recorded_at := clock_timestamp();
  new.door := coalesce(new.door, who_door());
  new.recorded_by := coalesce(new.recorded_by, who_actor());
  -- A row typed into SQL is somebody's hand, never the person's own act.
  if who_door() = 'sql' then
    new.by_person := false;
    new.door := 'sql';
  end if;
  return new;
end $$;
create trigger consent_before before insert on consent_events for each row execute function consent_before();

create function consent_after_insert() returns trigger language plpgsql set search_path = plumbline, pg_temp as $$
declare
  ids uuid[];
  restricted uuid[];
  norms text[];
  bulk boolean;
begin
  select array_agg(distinct contact_id), array_agg(distinct contact_id) filter (where kind in ('withdrawn', 'refused')),
         bool_or(door = 'csv') or count(*) > 500
    into ids, restricted, bulk from new_rows;
  if ids is null then return null; end if;
  insert into audit (kind, actor, door, contact_id, detail)
    select 'consent.' || kind, recorded_by, door, contact_id,
           jsonb_build_object('event', id, 'purpose', purpose, 'statement', statement)
    from new_rows;
  perform mark_due(ids, (case when bulk then 30 else 20 end)::smallint);
  if restricted is not null then
    -- The rows are ours already: mark_due has just locked them.
    update deliveries set priority = case when bulk then 10 else 0 end
    where contact_id = any (restricted) and priority > case when bulk then 10 else 0 end;
  end if;
  select array_agg(distinct norm) into norms from contact_addresses where contact_id = any (ids);
  if norms is not null then
    perform remark_holders(ids, norms, restricted is not null);
  end if;
  return null;
end $$;
create trigger consent_after_insert after insert on consent_events
  referencing new table as new_rows for each statement execute function consent_after_insert();
`;

export const down = `
drop trigger consent_after_insert on consent_events;
drop trigger consent_before on consent_events;
drop trigger contacts_after_update on contacts;
drop trigger contacts_after_insert on contacts;
drop trigger contacts_before on contacts;
drop function consent_after_insert(), consent_before(), contacts_after_update(), contacts_after_insert(), remark_holders(uuid[], text[], boolean),
  index_addresses(uuid[]), mark_due(uuid[], smallint), contacts_before(), who_reason(), who_door(), who_actor();
`;
