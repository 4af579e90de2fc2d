/** Opening and recording a batch, each by one statement: round trips were a good part of what a delivery cost. */

export const up = `
-- Holds the lease still within the transaction, so that a takeover waits for its end.
create function hold_lease(p_system text, p_token bigint) returns void
language plpgsql set search_path = plumbline, pg_temp as $$
begin
  perform 1 from leases where system = p_system and token = p_token for share;
  if not found then
    raise exception 'the lease of % is held by a later drain', p_system using errcode = 'PL001';
  end if;
end $$;

create function open_call(p_id uuid, p_system text, p_token bigint, p_contacts uuid[]) returns void
language plpgsql set search_path = plumbline, pg_temp as $$
begin
  perform hold_lease(p_system, p_token);
  insert into calls (id, system, token, contact_ids) values (p_id, p_system, p_token, p_contacts);
end $$;

-- One attempt's result for one contact, as the programme writes it (store/record.ts).
create type outcome as (
  "contactId" uuid, "startedWanted" bigint, "contactVersion" integer, settled boolean, "notBeforeMs" bigint, verified jsonb,
  "dataOutcome" text, "dataCode" text, "dataField" text, "consentOutcome" text, "consentCode" text, message text,
  "reviewOn" date, "lookFirst" boolean, distrust boolean, mismatches smallint, "externalIds" jsonb, recheck boolean, touched boolean
);

-- Brings outcomes into the ledger. Rows that a writer holds are never waited for. Returns the contacts it was done for.
-- Rows are picked by arrays throughout: so the planner takes the index whatever it believes of the tables' size.
create function apply_outcomes(p_system text, p_results outcome[]) returns uuid[]
language plpgsql set search_path = plumbline, pg_temp as $$
declare
  ids uuid[] := array(select "contactId" from unnest(p_results));
  locked uuid[];
begin
  locked := array(
    select contact_id from deliveries where system = p_system and contact_id = any (ids)
    order by contact_id for no key update skip locked);
  update deliveries d set
    settled = greatest(d.settled, r."startedWanted" - case when r.settled then 0 else 1 end),
    not_before = case when r."notBeforeMs" is null then null else clock_timestamp() + r."notBeforeMs" * interval '1 millisecond' end,
    look_first = r."lookFirst",
    distrust = r.distrust,
    contact_version = case when r.settled then r."contactVersion" else d.contact_version end,
    data_hash = case when r.verified is null then (case when r.distrust then null else d.data_hash end) else r.verified ->> 'dataHash' end,
    consent_hash = case when r.verified is null then (case when r.distrust then null else d.consent_hash end) else r.verified ->> 'consentHash' end,
    known_key = case when r.verified is null then d.known_key else r.verified ->> 'key' end,
    known_consents = case when r.verified is null then d.known_consents else r.verified -> 'consents' end,
    presence = case when r.verified is null then d.presence else r.verified ->> 'presence' end,
    verified_at = case when r.verified is null then d.verified_at else clock_timestamp() end,
    data_outcome = r."dataOutcome", data_code = r."dataCode", data_field = r."dataField",
    consent_outcome = r."consentOutcome", consent_code = r."consentCode",
    message = r.message, review_on = r."reviewOn", outcome_at = clock_timestamp(), mismatches = r.mismatches
  from unnest(p_results) r
  where d.system = p_system and d.contact_id = any (locked) and d.contact_id = r."contactId";
  return locked;
end $$;

-- Records a batch under the lease and closes its call. Returns the contacts whose outcome waits to be folded.
create function record_batch(p_system text, p_token bigint, p_call uuid, p_results jsonb) returns uuid[]
language plpgsql set search_path = plumbline, pg_temp as $$
declare
  results outcome[];
  ids uuid[];
  external_of uuid[];
  external_now text[];
  applied uuid[];
  late uuid[] := '{}';
  succeeded constant text[] := '{applied,unchanged,not_held,carried}';
begin
  perform hold_lease(p_system, p_token);
  results := array(select r from jsonb_populate_recordset(null::outcome, p_results) r);
  applied := apply_outcomes(p_system, results);
  if cardinality(applied) < cardinality(results) then
    late := array(select "contactId" from unnest(results) where "contactId" <> all (applied));
    insert into late_outcomes (system, outcome)
      select p_system, o from jsonb_array_elements(p_results) o where (o ->> 'contactId')::uuid = any (late);
  end if;

  -- Ids at the vendor, where they are not as they were.
  ids := array(select "contactId" from unnest(results) where jsonb_typeof("externalIds") = 'array');
  select array_agg(r."contactId"), array_agg(i.id) into external_of, external_now
    from unnest(results) r cross join jsonb_array_elements_text(r."externalIds") as i (id)
    where jsonb_typeof(r."externalIds") = 'array';
  update external_ids e set former = true
    where e.system = p_system and not e.former and e.contact_id = any (ids)
      and (external_of is null
        or (e.contact_id, e.external_id) not in (select u.c, u.x from unnest(external_of, external_now) as u (c, x)));
  insert into external_ids (contact_id, system, external_id)
    select u.c, p_system, u.x from unnest(external_of, external_now) as u (c, x)
    where (u.c, u.x) not in (select e.contact_id, e.external_id from external_ids e
      where e.system = p_system and not e.former and e.contact_id = any (ids))
    on conflict (contact_id, system, external_id) do update set former = false where external_ids.former;

  insert into audit (kind, actor, door, contact_id, version, system, detail)
    select 'delivery.' || case
        when r."dataOutcome" <> all (succeeded) then r."dataOutcome"
        when r."consentOutcome" <> all (succeeded) then r."consentOutcome"
        when r.verified is not null and r.settled and r.mismatches = 0 then 'verified'
        else r."dataOutcome" end,
      'lane', 'engine', r."contactId", r."contactVersion", p_system,
      jsonb_strip_nulls(jsonb_build_object('data', r."dataOutcome", 'dataCode', r."dataCode", 'consent', r."consentOutcome",
        'consentCode', r."consentCode", 'presence', r.verified -> 'presence'))
    from unnest(results) r where r.touched;

  insert into rechecks (contact_id, system, due_at)
    select r."contactId", p_system, clock_timestamp() + m * interval '1 minute'
    from unnest(results) r cross join unnest(array[2, 5, 15]) m where r.recheck
    on conflict do nothing;

  if p_call is not null then
    delete from calls where id = p_call;
  end if;
  return late;
end $$;

-- Takes one call from an account's budget, after giving back the connections of calls that have ended (see 0002).
create function take_call(p_account text, p_class text, p_slot uuid, p_slot_ms integer, p_ended uuid[]) returns integer
language plpgsql set search_path = plumbline, pg_temp as $$
begin
  if cardinality(p_ended) > 0 then
    delete from budget_slots where id = any (p_ended);
  end if;
  return take_call(p_account, p_class, p_slot, p_slot_ms);
end $$;
`;

export const down = `
drop function take_call(text, text, uuid, integer, uuid[]), record_batch(text, bigint, uuid, jsonb), apply_outcomes(text, outcome[]),
  open_call(uuid, text, bigint, uuid[]), hold_lease(text, bigint);
drop type outcome;
`;
