/**
 * An import marked each new person due twice: by the contact, and again by its consent in the same transaction. That was a fifth of
 * PostgreSQL's time.
 */

export const up = `
create or replace function consent_after_insert() returns trigger language plpgsql security definer set search_path = plumbline, pg_temp as $$
declare
  ids uuid[];
  restricted uuid[];
  norms text[];
  bulk boolean;
  made uuid[] := '{}';
begin
  select array_agg(distinct contact_id), array_agg(distinct contact_id) filter (where kind in ('withdrawn', 'refused')),
         bool_or(door = 'csv') or count(*) > 500
    into ids, restricted, bulk from new_rows;
  if ids is null then return null; end if;
  insert into audit (kind, actor, door, contact_id, detail)
    select 'consent.' || kind, recorded_by, door, contact_id,
           jsonb_build_object('event', id, 'purpose', purpose, 'statement', statement)
    from new_rows;
  if bulk then
    -- Whom this very transaction made is due by it, in every system there was: nobody else has seen those marks yet, so none can have been settled.
    -- Told by the audit log, where the transaction of an entry cannot be stated; and by the moment, as a restore begins their numbers anew.
    made := array(select id from contacts where id = any (ids) and created_at >= transaction_timestamp());
    made := array(
      select contact_id from audit where contact_id = any (made) and kind = 'contact.created' and xid = pg_current_xact_id());
  end if;
  perform mark_due(array(select id from unnest(ids) as i (id) where id not in (select unnest(made))),
    (case when bulk then 30 else 20 end)::smallint);
  if restricted is not null then
    -- The rows are ours already: they were inserted or locked in this transaction.
    update deliveries set priority = case when bulk then 10 else 0 end
    where contact_id = any (restricted) and priority > case when bulk then 10 else 0 end;
  end if;
  select array_agg(distinct norm) into norms from contact_addresses where contact_id = any (ids);
  if norms is not null then
    perform remark_holders(ids, norms, restricted is not null);
  end if;
  return null;
end $$;

-- As a set, where \`<> all\` compared each holder with every contact of the batch.
create or replace function remark_holders(p_ids uuid[], p_norms text[], p_urgent boolean) returns void
language sql set search_path = plumbline, pg_temp as $$
  insert into remarks (contact_id, urgent)
  select distinct a.contact_id, p_urgent from contact_addresses a
  where a.norm = any (p_norms) and a.contact_id not in (select unnest(p_ids))
$$;
`;

export const down = `
create or replace function remark_holders(p_ids uuid[], p_norms text[], p_urgent boolean) returns void
language sql set search_path = plumbline, pg_temp as $$
  insert into remarks (contact_id, urgent)
  select distinct a.contact_id, p_urgent from contact_addresses a
  where a.norm = any (p_norms) and a.contact_id <> all (p_ids)
$$;

create or replace function consent_after_insert() returns trigger language plpgsql security definer set search_path = plumbline, pg_temp as $$
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
`;
