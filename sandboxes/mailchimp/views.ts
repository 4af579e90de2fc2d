/** Members as Mailchimp shows them, whole or trimmed by `fields` and `exclude_fields`. */
import { hashOf, iso } from './answers.ts';
import { mergeView } from './merge.ts';
import type { Audience, Member } from './state.ts';
import type { Permission } from './writes.ts';

export function memberView(audience: Audience, member: Member, permissions: Permission[]): Record<string, unknown> {
  const fields = mergeView(audience, member.mergeFields);
  const name = [fields['FNAME'], fields['LNAME']].filter((part) => typeof part === 'string').join(' ');
  return {
    id: hashOf(member.email),
    email_address: member.email,
    unique_email_id: hashOf(`unique\n${hashOf(member.email)}`).slice(0, 10),
    contact_id: member.contactId,
    full_name: name.trim(),
    web_id: member.webId,
    email_type: member.emailType,
    status: member.status,
    unsubscribe_reason: member.unsubscribeReason,
    consents_to_one_to_one_messaging: true,
    merge_fields: fields,
    interests: member.interests,
    stats: { avg_open_rate: 0, avg_click_rate: 0 },
    ip_signup: member.ipSignup,
    timestamp_signup: member.timestampSignup,
    ip_opt: member.ipOpt,
    timestamp_opt: time(member.timestampOpt),
    member_rating: 2,
    last_changed: iso(member.lastChangedMs),
    language: member.language,
    vip: member.vip,
    email_client: '',
    location: { latitude: 0, longitude: 0, gmtoff: 0, dstoff: 0, country_code: '', timezone: '', region: '' },
    ...(permissions.length === 0
      ? {}
      : {
          marketing_permissions: permissions.map((permission) => ({
            ...permission,
            enabled: member.permissions[permission.marketing_permission_id] === true,
          })),
        }),
    source: 'API - Generic',
    tags_count: member.tags.length,
    tags: member.tags.map((tag, index) => ({ id: index + 1, name: tag })),
    list_id: audience.id,
    _links: [],
  };
}

function time(text: string): string {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? text : iso(ms);
}

/** Keeps what `fields` names and drops what `exclude_fields` names (comma-separated, dots for what lies inside; lists count as their elements). */
export function trimmed(body: Record<string, unknown>, query: URLSearchParams): unknown {
  const named = (name: string): string[] =>
    query
      .getAll(name)
      .flatMap((value) => value.split(','))
      .filter(Boolean);
  const keep = named('fields');
  const drop = named('exclude_fields');
  let result: unknown = body;
  if (keep.length > 0) result = only(result, treeOf(keep));
  if (drop.length > 0) result = without(result, drop);
  return result;
}

/** What to keep, by key; null: all that lies below. Made once a request, not once a member. */
type Tree = Map<string, Tree | null>;

function treeOf(paths: string[]): Tree {
  const keys = new Set(paths.map((path) => path.split('.')[0]!));
  return new Map([...keys].map((key) => [key, paths.includes(key) ? null : treeOf(inside(paths, key))]));
}

function only(value: unknown, tree: Tree): unknown {
  if (Array.isArray(value)) return value.map((one) => only(one, tree));
  if (typeof value !== 'object' || value === null) return value;
  const kept: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    const below = tree.get(key);
    if (below === null) kept[key] = inner;
    else if (below !== undefined) kept[key] = only(inner, below);
  }
  return kept;
}

function without(value: unknown, paths: string[]): unknown {
  if (Array.isArray(value)) return value.map((one) => without(one, paths));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !paths.includes(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, without(inner, inside(paths, key))]));
}

function inside(paths: string[], key: string): string[] {
  return paths.filter((path) => path.startsWith(`${key}.`)).map((path) => path.slice(key.length + 1));
}
