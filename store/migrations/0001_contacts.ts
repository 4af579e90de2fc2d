/** The central record: contacts, their versions and addresses, consent evidence, tombstones, holds. */

export const up = `
create table meta (key text primary key, value text not null);

create table systems (
  name text primary key,
  connector text not null,
  account text not null,
  address_is_key boolean not null default false,
  removed boolean not null default false,
  state text not null default 'scanning' check (state in ('scanning', 'open', 'paused', 'guarded')),
  state_code text,
  state_by text,
  state_at timestamptz not null default clock_timestamp(),
  scan_completed_at timestamptz,
  changes_read_to timestamptz,
  rules jsonb not null,
  rules_hash text not null,
  last_error text,
  last_error_at timestamptz
);

create table contacts (
  id uuid primary key default gen_random_uuid(),
  seq bigint generated always as identity,
  version integer not null default 1,
  state text not null default 'active' check (state in ('active', 'purged', 'erased')),
  external_ref text check (length(external_ref) between 1 and 100),
  given_name text check (length(given_name) <= 200),
  family_name text check (length(family_name) <= 200),
  emails text[] not null default '{}' check (cardinality(emails) <= 20 and array_position(emails, null) is null),
  phones text[] not null default '{}' check (cardinality(phones) <= 20 and array_position(phones, null) is null),
  organisation text check (length(organisation) <= 300),
  street text check (length(street) <= 500),
  city text check (length(city) <= 200),
  postcode text check (length(postcode) <= 40),
  country text check (length(country) = 2),
  locale text check (length(locale) <= 35),
  relationship text check (relationship in ('lead', 'customer', 'supplier', 'former_customer')),
  account_manager text check (length(account_manager) <= 200),
  source text check (length(source) <= 200),
  obtained_at timestamptz,
  contract_end date,
  last_transaction_at timestamptz,
  attributes jsonb not null default '{}' check (jsonb_typeof(attributes) = 'object'),
  created_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz not null default clock_timestamp(),
  constraint contacts_external_ref_key unique (external_ref)
);
create unique index contacts_seq on contacts (seq);
create index contacts_retention on contacts (obtained_at) where state = 'active';

create table contact_aliases (
  ref text primary key,
  contact_id uuid not null references contacts (id)
);
create index contact_aliases_contact on contact_aliases (contact_id);

-- Derived: one row an address, in the form used for matching. Kept by trigger; 'norm' is refined by the programme where an
-- address typed in SQL has a domain in another spelling.
create table contact_addresses (
  contact_id uuid not null references contacts (id),
  norm text not null,
  primary key (contact_id, norm)
);
create index contact_addresses_norm on contact_addresses (norm);

create table contact_versions (
  contact_id uuid not null,
  version integer not null,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  door text not null,
  reason text,
  data jsonb not null,
  primary key (contact_id, version)
);

create table statements (
  id text primary key,
  purpose text not null,
  wording text not null,
  hash text not null,
  created_at timestamptz not null default clock_timestamp()
);

-- Free text of a person's file (evidence notes, reasons): the one place where prose may name people, emptied at erasure.
create table free_texts (
  id uuid primary key default gen_random_uuid(),
  contact_id uuid not null,
  text text not null check (length(text) <= 10000),
  created_at timestamptz not null default clock_timestamp()
);
create index free_texts_contact on free_texts (contact_id);

create table consent_events (
  id bigint generated always as identity primary key,
  contact_id uuid not null references contacts (id),
  purpose text not null check (length(purpose) between 1 and 60),
  kind text not null check (kind in ('given', 'refused', 'withdrawn', 'expired', 'reset')),
  happened_at timestamptz,
  channel text check (length(channel) <= 60),
  statement text check (length(statement) <= 100),
  evidence_text uuid,
  by_person boolean not null default false,
  recorded_by text not null,
  door text not null,
  recorded_at timestamptz not null default clock_timestamp()
);
create index consent_events_contact on consent_events (contact_id, purpose, id);

create table tombstones (
  kind text not null check (kind in ('email', 'email_name', 'ref')),
  hash bytea not null,
  key_id text not null,
  contact_id uuid not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (kind, hash)
);

-- Addresses, names and external ids of a person who is being erased or purged, encrypted with a key that is not in the
-- database; readable by the erasing delivery alone and deleted when the last system was read back as gone.
create table tickets (
  contact_id uuid primary key,
  kind text not null check (kind in ('erasure', 'purge')),
  key_id text not null,
  sealed bytea not null,
  created_at timestamptz not null default clock_timestamp()
);

create table holds (
  id uuid primary key default gen_random_uuid(),
  contact_id uuid not null references contacts (id),
  ground text not null check (length(ground) between 1 and 60),
  until date,
  review_on date,
  created_by text not null,
  created_at timestamptz not null default clock_timestamp(),
  released_by text,
  released_at timestamptz,
  check (until is not null or review_on is not null)
);
create index holds_contact on holds (contact_id) where released_at is null;

create table vendor_tokens (
  account text primary key,
  key_id text not null,
  sealed bytea not null,
  saved_at timestamptz not null default clock_timestamp()
);

create table api_keys (
  id uuid primary key default gen_random_uuid(),
  name text not null unique,
  role text not null check (role in ('reader', 'writer', 'operator', 'lead', 'admin')),
  hash bytea not null unique,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz
);
`;

export const down = `
drop table api_keys, vendor_tokens, holds, tickets, tombstones, consent_events, free_texts, statements, contact_versions,
  contact_addresses, contact_aliases, contacts, systems, meta;
`;
