/** What each system should hold and holds: deliveries, leases, open calls, budgets, knowledge of the vendors. */

export const up = `
-- No foreign keys in the ledger: contacts and systems are never deleted (triggers refuse it), and a key check a row would
-- make every writer share locks on the few rows of 'systems'.
create table deliveries (
  contact_id uuid not null,
  system text not null,
  -- due is wanted > settled
  wanted bigint not null default 1,
  settled bigint not null default 0,
  -- 0 urgent (withdrawal, erasure) · 10 many withdrawals at once · 20 live · 30 bulk, purge
  priority smallint not null default 20,
  due_since timestamptz not null default clock_timestamp(),
  not_before timestamptz,
  -- an attempt of unknown outcome: look before writing
  look_first boolean not null default false,
  -- what is believed to be there must be read again, even if nothing changed
  distrust boolean not null default false,
  -- reached and read back
  contact_version integer,
  data_hash text,
  consent_hash text,
  known_key text,
  known_consents jsonb,
  presence text,
  verified_at timestamptz,
  -- last outcome of each part
  data_outcome text,
  data_code text,
  data_field text,
  consent_outcome text,
  consent_code text,
  message text,
  outcome_at timestamptz,
  review_on date,
  mismatches smallint not null default 0,
  primary key (contact_id, system)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create index deliveries_due on deliveries (system, priority, due_since) where wanted > settled;
create index deliveries_problem on deliveries (system, data_code, consent_code)
  where data_outcome in ('rejected', 'refused', 'ambiguous', 'not_supported', 'unclassified', 'mismatch', 'suppressed')
     or consent_outcome in ('rejected', 'refused', 'ambiguous', 'not_supported', 'unclassified', 'mismatch', 'suppressed');
create index deliveries_review on deliveries (review_on) where review_on is not null;

create table external_ids (
  contact_id uuid not null,
  system text not null,
  external_id text not null,
  former boolean not null default false,
  since timestamptz not null default clock_timestamp(),
  primary key (contact_id, system, external_id)
);
create index external_ids_vendor on external_ids (system, external_id);

-- One fenced lease a lane: an outcome is recorded only under the token that still holds.
create table leases (
  system text primary key,
  token bigint not null default 0,
  owner text,
  until timestamptz
);

-- Calls of which the outcome is not yet recorded. At takeover the open rows are the calls of unknown outcome.
create table calls (
  id uuid primary key,
  system text not null,
  token bigint not null,
  contact_ids uuid[] not null,
  started_at timestamptz not null default clock_timestamp()
);
create index calls_system on calls (system);

-- After an attempt of unknown outcome the vendor may still apply it: read again after 2, 5 and 15 minutes.
create table rechecks (
  contact_id uuid not null,
  system text not null,
  due_at timestamptz not null,
  primary key (contact_id, system, due_at)
);
create index rechecks_due on rechecks (due_at);

-- Outcomes whose ledger row was locked by a writer: appended, folded later. Never waited for.
create table late_outcomes (
  id bigint generated always as identity primary key,
  system text not null,
  outcome jsonb not null
);

-- Contacts to look at again for a reason that no trigger may wait for (another holder of an address changed).
create table remarks (
  id bigint generated always as identity primary key,
  contact_id uuid not null,
  urgent boolean not null default false
);

create table vendor_records (
  system text not null,
  external_id text not null,
  reference text,
  presence text not null,
  consents jsonb not null default '{}',
  seen_at timestamptz not null default clock_timestamp(),
  primary key (system, external_id)
);
create index vendor_records_reference on vendor_records (system, reference) where reference is not null;
create table vendor_addresses (
  system text not null,
  hash bytea not null,
  external_id text not null,
  primary key (system, hash, external_id)
);
create index vendor_addresses_record on vendor_addresses (system, external_id);

-- Scratch of a running scan: what it has seen, so that it can go on after a crash and knows at its end what is missing.
create unlogged table scan_seen (
  run_id uuid not null,
  external_id text not null,
  primary key (run_id, external_id)
);

create table budgets (
  account text primary key,
  -- null: no limit of that kind
  per_ms double precision,
  burst double precision not null default 1,
  tokens double precision not null default 0,
  refilled_at timestamptz not null default clock_timestamp(),
  per_day integer,
  day date not null default current_date,
  day_used integer not null default 0,
  concurrency integer not null,
  blocked_until timestamptz,
  blocked_reason text
);
create unlogged table budget_slots (
  id uuid primary key,
  account text not null,
  until timestamptz not null
);
create index budget_slots_account on budget_slots (account);

-- Takes one call from an account's budget. 0: granted, the slot is taken until given back or until its time is over.
-- Otherwise: milliseconds to wait. Classes: some of the rate, of the day and one connection are kept for urgent calls.
create function take_call(p_account text, p_class text, p_slot uuid, p_slot_ms integer) returns integer
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
`;

export const down = `
drop function take_call(text, text, uuid, integer);
drop table scan_seen, budget_slots, budgets, vendor_addresses, vendor_records, remarks, late_outcomes, rechecks, calls, leases, external_ids, deliveries;
`;
