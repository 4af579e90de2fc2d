/**
 * A vendor counts a call when it arrives, which is at some time between its grant and its end. Tokens that were given out evenly arrive
 * together where a process stood still meanwhile, and a window held more calls than the limit. So a call that has ended is counted until it
 * has left the window.
 */

export const up = `
alter table budgets
  -- null: no limit of that kind
  add column window_calls integer,
  add column window_ms integer;
-- An ended one has no connection any more; \`until\` is when it leaves the window.
alter table budget_slots add column ended boolean not null default false;

-- Gives back the connections of calls that have ended.
create function end_calls(p_slots uuid[]) returns void
language plpgsql set search_path = plumbline, pg_temp as $$
begin
  update budget_slots s set ended = true, until = clock_timestamp() + b.window_ms * interval '1 millisecond'
    from budgets b where s.id = any (p_slots) and b.account = s.account and b.window_ms is not null;
  delete from budget_slots where id = any (p_slots) and not ended;
end $$;

-- As in 0002, and no window holds more calls than the vendor allows, however late they were made: counted are those in flight and
-- those that ended less than a window ago. A call or two are kept for what is urgent.
create or replace function take_call(p_account text, p_class text, p_slot uuid, p_slot_ms integer) returns integer
language plpgsql set search_path = plumbline, pg_temp as $$
declare
  b budgets;
  t timestamptz := clock_timestamp();
  floor_tokens double precision := 1;
  in_flight integer;
  counted integer;
  kept integer;
  mine integer;
  waits integer;
begin
  select * into b from budgets where account = p_account for update;
  if not found then
    raise exception 'no budget for account %', p_account;
  end if;
  t := clock_timestamp();
  if b.blocked_until > t then
    return greatest(1, ceil(extract(epoch from b.blocked_until - t) * 1000)::integer);
  end if;
  if b.day <> (t at time zone 'UTC')::date then
    b.day := (t at time zone 'UTC')::date;
    b.day_used := 0;
  end if;
  if b.per_day is not null and b.day_used >= b.per_day * (case p_class when 'urgent' then 1.0 when 'live' then 0.97 else 0.9 end) then
    return greatest(1000, least(3600000, ceil(extract(epoch from (b.day + 1)::timestamp at time zone 'UTC' - t) * 1000)::integer));
  end if;
  -- Of a process that was killed nobody says when its calls ended: they count for a window more.
  delete from budget_slots
  where account = p_account and until <= t - (case when ended then 0 else coalesce(b.window_ms, 0) end) * interval '1 millisecond';
  select count(*) filter (where not ended and until > t), count(*) into in_flight, counted from budget_slots where account = p_account;
  if in_flight >= b.concurrency - (case when p_class <> 'urgent' and b.concurrency > 2 then 1 else 0 end) then
    return 10;
  end if;
  -- At many calls a second another one leaves the window soon, and one that is kept is enough.
  kept := case when b.per_ms > 0.005 then 1 else 2 end;
  mine := b.window_calls - (case when b.window_calls < 6 then 0 when p_class in ('bulk', 'scan') then kept when p_class = 'live' then 1 else 0 end);
  if counted >= mine then
    select greatest(1, ceil(extract(epoch from until - t) * 1000)::integer) into waits
    from budget_slots where account = p_account and ended order by until offset counted - mine limit 1;
    return coalesce(waits, 50);
  end if;
  if b.per_ms is not null then
    b.tokens := least(b.burst, b.tokens + b.per_ms * extract(epoch from t - b.refilled_at) * 1000);
    b.refilled_at := t;
    if b.burst >= 3 and p_class in ('bulk', 'scan') then
      floor_tokens := 3;
    elsif b.burst >= 3 and p_class = 'live' then
      floor_tokens := 2;
    elsif b.burst >= 2 and p_class in ('bulk', 'scan') then
      floor_tokens := 2;
    elsif b.burst >= 2 and p_class = 'live' then
      floor_tokens := 1.5;
    end if;
    if b.tokens < floor_tokens then
      update budgets set tokens = b.tokens, refilled_at = t, day = b.day, day_used = b.day_used where account = p_account;
      return greatest(1, ceil((floor_tokens - b.tokens) / b.per_ms)::integer);
    end if;
    b.tokens := b.tokens - 1;
  end if;
  update budgets set tokens = b.tokens, refilled_at = t, day = b.day, day_used = b.day_used + 1 where account = p_account;
  insert into budget_slots (id, account, until) values (p_slot, p_account, t + p_slot_ms * interval '1 millisecond');
  return 0;
end $$;

create or replace function take_call(p_account text, p_class text, p_slot uuid, p_slot_ms integer, p_ended uuid[]) returns integer
language plpgsql set search_path = plumbline, pg_temp as $$
begin
  if cardinality(p_ended) > 0 then
    perform end_calls(p_ended);
  end if;
  return take_call(p_account, p_class, p_slot, p_slot_ms);
end $$;
`;

export const down = `
create or replace function take_call(p_account text, p_class text, p_slot uuid, p_slot_ms integer) returns integer
language plpgsql set search_path = plumbline, pg_temp as $$
declare
  b budgets;
  t timestamptz := clock_timestamp();
  floor_tokens double precision := 1;
  in_flight integer;
begin
  select * into b from budgets where account = p_account for update;
  if not found then
    raise exception 'no budget for account %', p_account;
  end if;
  t := clock_timestamp();
  if b.blocked_until > t then
    return greatest(1, ceil(extract(epoch from b.blocked_until - t) * 1000)::integer);
  end if;
  if b.day <> (t at time zone 'UTC')::date then
    b.day := (t at time zone 'UTC')::date;
    b.day_used := 0;
  end if;
  if b.per_day is not null and b.day_used >= b.per_day * (case p_class when 'urgent' then 1.0 when 'live' then 0.97 else 0.9 end) then
    return greatest(1000, least(3600000, ceil(extract(epoch from (b.day + 1)::timestamp at time zone 'UTC' - t) * 1000)::integer));
  end if;
  select count(*) into in_flight from budget_slots where account = p_account and until > t;
  if in_flight >= b.concurrency - (case when p_class <> 'urgent' and b.concurrency > 2 then 1 else 0 end) then
    return 10;
  end if;
  if b.per_ms is not null then
    b.tokens := least(b.burst, b.tokens + b.per_ms * extract(epoch from t - b.refilled_at) * 1000);
    b.refilled_at := t;
    if b.burst >= 2 and p_class in ('bulk', 'scan') then
      floor_tokens := 2;
    elsif b.burst >= 2 and p_class = 'live' then
      floor_tokens := 1.5;
    end if;
    if b.tokens < floor_tokens then
      update budgets set tokens = b.tokens, refilled_at = t, day = b.day, day_used = b.day_used where account = p_account;
      return greatest(1, ceil((floor_tokens - b.tokens) / b.per_ms)::integer);
    end if;
    b.tokens := b.tokens - 1;
  end if;
  update budgets set tokens = b.tokens, refilled_at = t, day = b.day, day_used = b.day_used + 1 where account = p_account;
  delete from budget_slots where account = p_account and until <= t;
  insert into budget_slots (id, account, until) values (p_slot, p_account, t + p_slot_ms * interval '1 millisecond');
  return 0;
end $$;

create or replace function take_call(p_account text, p_class text, p_slot uuid, p_slot_ms integer, p_ended uuid[]) returns integer
language plpgsql set search_path = plumbline, pg_temp as $$
begin
  if cardinality(p_ended) > 0 then
    delete from budget_slots where id = any (p_ended);
  end if;
  return take_call(p_account, p_class, p_slot, p_slot_ms);
end $$;

drop function end_calls(uuid[]);
alter table budget_slots drop column ended;
alter table budgets drop column window_calls, drop column window_ms;
`;
