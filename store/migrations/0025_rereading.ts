/**
 * Whether a delivery is due because somebody is looked for once more. What such a look does not find is not a reason to look for them
 * three times more, or it would never end.
 */

/** The function of `0007_batches.ts`, and what more it sets. */
const applyOutcomes = (more: string): string => `
create or replace function apply_outcomes(p_system text, p_results outcome[]) returns uuid[]
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
${more}    contact_version = case when r.settled then r."contactVersion" else d.contact_version end,
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
`;

export const up = `
alter table deliveries add column rereading boolean not null default false;
${applyOutcomes('    rereading = d.rereading and not r.settled,\n')}`;

export const down = `${applyOutcomes('')}
alter table deliveries drop column rereading;
`;
