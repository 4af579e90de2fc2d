/** What became of the API's writes that carried an idempotency key, so that the same request again changes nothing. */

export const up = `
create table idempotency_keys (
  -- keyed hash of API key, route and the caller's key: whatever a caller puts into it stays out of here
  name bytea primary key check (length(name) = 32),
  -- keyed hash of what was asked
  request bytea not null check (length(request) = 32),
  -- ids, versions and counts, from which the answer is told again; never a person
  receipt jsonb not null,
  at timestamptz not null default clock_timestamp()
);
create index idempotency_keys_at on idempotency_keys (at);
`;

export const down = `
drop table idempotency_keys;
`;
