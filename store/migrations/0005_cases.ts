/** Processes with people and deadlines in them, and the runs of the night. */

export const up = `
create table cases (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('erasure')),
  contact_id uuid not null references contacts (id),
  state text not null default 'open' check (state in ('open', 'approved', 'erasing', 'done', 'refused')),
  requested_by text not null,
  requested_at timestamptz not null default clock_timestamp(),
  deadline timestamptz not null,
  decision text check (decision in ('approve', 'refuse')),
  decided_by text,
  decided_at timestamptz,
  decision_ground text,
  text_id uuid,
  summary jsonb,
  closed_at timestamptz
);
create unique index cases_one_open on cases (kind, contact_id) where closed_at is null;
create index cases_deadline on cases (deadline) where closed_at is null;

-- One-time ids by which a decision made at the API or CLI reaches its workflow; an update without one is refused.
create table decisions (
  id uuid primary key,
  subject text not null,
  verdict text not null check (verdict in ('approve', 'refuse')),
  decided_by text not null,
  ground text,
  created_at timestamptz not null default clock_timestamp(),
  used_at timestamptz
);

create table runs (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('retention', 'reconciliation', 'first_scan', 'changes')),
  system text references systems (name),
  state text not null default 'running' check (state in ('running', 'asking', 'approved', 'refused', 'done', 'failed')),
  counts jsonb not null default '{}',
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  decided_by text
);
create index runs_started on runs (kind, started_at desc);

create table run_items (
  run_id uuid not null references runs (id) on delete cascade,
  contact_id uuid not null,
  action text not null,
  reasons text[] not null default '{}',
  done_at timestamptz,
  primary key (run_id, contact_id, action)
);

-- Differences that reconciliation found and what came of them; extra records of a vendor are only reported.
create table drifts (
  id bigint generated always as identity primary key,
  run_id uuid not null references runs (id) on delete cascade,
  system text not null,
  kind text not null,
  contact_id uuid,
  external_id text,
  fields text[] not null default '{}',
  found_at timestamptz not null default clock_timestamp()
);
create index drifts_run on drifts (run_id);
create index drifts_extra on drifts (system, external_id) where kind = 'extra';
create index drifts_contact on drifts (contact_id) where contact_id is not null;
`;

export const down = `
drop table drifts, run_items, runs, decisions, cases;
`;
