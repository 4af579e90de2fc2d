/** Problems grouped by cause: one thing to do, however many contacts it concerns. */

export const up = `
create table causes (
  id uuid primary key default gen_random_uuid(),
  system text not null references systems (name),
  part text not null check (part in ('data', 'consent')),
  kind text not null,
  code text not null,
  -- the vendor's property, empty where it named none
  field text not null,
  contacts integer not null,
  opened_at timestamptz not null default clock_timestamp(),
  -- whom it was handed to: an opaque name of a team or an account
  assigned_to text check (length(assigned_to) <= 60),
  -- the last thing that a person did about it
  action text check (action in ('retry', 'skip', 'hand_over')),
  reason text check (length(reason) <= 60),
  acted_by text,
  acted_at timestamptz,
  closed_at timestamptz,
  resolution text check (resolution in ('converged', 'skipped'))
);
create unique index causes_open on causes (system, part, kind, code, field) where closed_at is null;
create index causes_closed on causes (closed_at desc) where closed_at is not null;
`;

export const down = `
drop table causes;
`;
