/** Mailchimp's Marketing API 3.0 as far as audiences and their members go. */
import type { Answer, ErrorKind, Host, Vendor, VendorRequest } from '../kit/vendor.ts';
import { INTERNAL, invalid, KEY_INVALID, METHOD_NOT_ALLOWED, NOT_FOUND, ok, refused, TOO_MANY } from './answers.ts';
import { listMembers } from './listing.ts';
import { addMany, addMember, oneMember } from './members.ts';
import * as records from './records.ts';
import { State } from './state.ts';
import type { Audience, MergeField } from './state.ts';
import { trimmed } from './views.ts';
import type { Permission, WriteContext } from './writes.ts';

export const name = 'mailchimp';

interface ListSetting {
  id: string;
  name: string;
  /** GDPR fields: the permissions that members of this audience can give. */
  marketingPermissions?: Permission[];
  /** Tags of merge fields that every member must have. */
  required?: string[];
}

export const defaultSettings = {
  /** Accepted as the password of basic authentication or as bearer token. */
  apiKeys: ['sandbox-mailchimp-key-us1'],
  lists: [
    {
      id: 'aud-main',
      name: 'Main audience',
      marketingPermissions: [
        { marketing_permission_id: 'permit1', text: 'Email' },
        { marketing_permission_id: 'permit2', text: 'Customised online advertising' },
      ],
    },
    { id: 'aud-second', name: 'Second audience' },
  ] as ListSetting[],
  /** Simultaneous connections of the account (mailchimp.com/developer, Fundamentals, 2026-11). */
  maxConnections: 10,
  /** `refused`: 400 for an incomplete postal address; both have been reported. */
  incompleteAddress: 'ignored',
};

export function createVendor(host: Host): Vendor {
  let state = new State();
  const lists = (): ListSetting[] => host.settings['lists'] as ListSetting[];
  const firstList = (): string => lists()[0]?.id ?? 'aud-main';

  function contextOf(list: ListSetting, request: VendorRequest): WriteContext {
    const audience = state.audience(list.id);
    for (const field of audience.mergeFields) {
      if (list.required?.includes(field.tag) === true) field.required = true;
    }
    return {
      audience,
      nowMs: host.now(),
      permissions: list.marketingPermissions ?? [],
      rules: {
        skipRequired: request.query.get('skip_merge_validation') === 'true',
        incompleteAddress: host.settings['incompleteAddress'] === 'refused' ? 'refused' : 'ignored',
      },
    };
  }

  function route(request: VendorRequest): Answer {
    if (!authorised(host, request)) return refused(KEY_INVALID);
    const parts = request.path.replace(/\/$/, '').split('/').slice(1).map(decodeURIComponent);
    const [root, area, listId, below, id, ...action] = parts;
    if (root !== '3.0') return refused(NOT_FOUND);
    if (area === 'ping' && listId === undefined) return ok({ health_status: "Everything's Chimpy!" });
    if (area !== 'lists') return refused(NOT_FOUND);
    if (listId === undefined) {
      const all = lists().map((list) => listView(list, state.audience(list.id)));
      return ok(trimmed({ lists: all, total_items: all.length }, request.query));
    }
    const list = lists().find((one) => one.id === listId);
    if (list === undefined) return refused(NOT_FOUND);
    const context = contextOf(list, request);
    switch (`${request.method} ${[below, id === undefined ? undefined : ':id'].filter(Boolean).join('/')}`) {
      case 'GET ':
        return ok(trimmed(listView(list, context.audience), request.query));
      case 'POST ':
        return addMany(context, request);
      case 'GET members':
        return listMembers(context.audience, context.permissions, request);
      case 'POST members':
        return addMember(context, request);
      case 'GET merge-fields':
        return ok(mergeFieldsView(context.audience, request));
      case 'POST merge-fields':
        return addMergeField(context.audience, request);
      default:
    }
    if (below === 'members' && id !== undefined) return oneMember(context, request, id, action.join('/'));
    return refused(METHOD_NOT_ALLOWED);
  }

  return {
    admit(request) {
      return request.inFlight > Number(host.settings['maxConnections']) ? refused(TOO_MANY) : undefined;
    },
    handle: (request) => ({ ...route(request), route: routeName(request.path) }),
    errorAnswer: (kind, request) => ({ ...refused(problemOf(kind)), route: routeName(request.path) }),
    isRead: ({ method }) => method === 'GET',
    snapshot: () => state.snapshot(),
    restore(saved) {
      state = State.from(saved as ReturnType<State['snapshot']>, state);
    },
    reset() {
      state = new State();
    },
    count: () => state.audiences().reduce((sum, audience) => sum + audience.size, 0),
    records: (offset, limit) => {
      const shown: unknown[] = [];
      let at = 0;
      for (const audience of state.audiences()) {
        for (const member of audience.all()) {
          if (at >= offset && shown.length < limit) shown.push(records.full(audience, member));
          at += 1;
        }
      }
      return shown;
    },
    record(id) {
      const found = records.locate(state, id);
      return found === undefined ? undefined : records.full(found.audience, found.member);
    },
    seed: (given) => given.map((record) => records.seed(state, record, firstList(), host.now())),
    patch: (id, change) => records.patch(state, id, change, host.now()),
    remove(id) {
      const found = records.locate(state, id);
      found?.audience.delete(found.member);
      return found !== undefined;
    },
    describe: () => {
      const forgotten = state.audiences().reduce((sum, audience) => sum + audience.forgotten.size, 0);
      return `Marketing API 3.0, audiences ${lists()
        .map((list) => list.id)
        .join(', ')}. ${forgotten} addresses permanently deleted.`;
    },
  };
}

/** Basic authentication with any user, or a bearer token. */
function authorised(host: Host, request: VendorRequest): boolean {
  const keys = host.settings['apiKeys'] as string[];
  const [scheme, value = ''] = (request.headers['authorization'] ?? '').split(' ');
  if (scheme === 'Bearer') return keys.includes(value);
  if (scheme !== 'Basic') return false;
  const text = Buffer.from(value, 'base64').toString('utf8');
  return keys.includes(text.slice(text.indexOf(':') + 1));
}

function problemOf(kind: ErrorKind): typeof INTERNAL {
  switch (kind) {
    case 'rate-limited':
      return TOO_MANY;
    case 'server-error':
      return INTERNAL;
    case 'token-expired':
      return KEY_INVALID;
  }
}

function listView(list: ListSetting, audience: Audience): Record<string, unknown> {
  const counts = { subscribed: 0, unsubscribed: 0, cleaned: 0, total: audience.size };
  for (const member of audience.all()) {
    if (member.status in counts) counts[member.status as 'subscribed'] += 1;
  }
  return {
    id: list.id,
    web_id: 1,
    name: list.name,
    double_optin: false,
    marketing_permissions: (list.marketingPermissions ?? []).length > 0,
    stats: {
      member_count: counts.subscribed,
      total_contacts: counts.total,
      unsubscribe_count: counts.unsubscribed,
      cleaned_count: counts.cleaned,
      merge_field_count: audience.mergeFields.length,
    },
    _links: [],
  };
}

function mergeFieldsView(audience: Audience, request: VendorRequest): unknown {
  const count = Number(request.query.get('count') ?? 10);
  const offset = Number(request.query.get('offset') ?? 0);
  return trimmed(
    {
      merge_fields: audience.mergeFields.slice(offset, offset + count),
      list_id: audience.id,
      total_items: audience.mergeFields.length,
    },
    request.query,
  );
}

function addMergeField(audience: Audience, request: VendorRequest): Answer {
  const given = (request.json ?? {}) as Partial<MergeField>;
  const next = Math.max(0, ...audience.mergeFields.map((field) => field.merge_id)) + 1;
  const tag = (given.tag ?? `MMERGE${next}`).toUpperCase();
  const errors = ['name', 'type']
    .filter((field) => typeof given[field as 'name'] !== 'string')
    .map((field) => ({ field, message: 'This value should not be blank.' }));
  if (!/^[A-Z0-9_]{1,10}$/.test(tag))
    errors.push({ field: 'tag', message: 'A tag has at most 10 letters and digits.' });
  if (audience.mergeFields.some((field) => field.tag === tag)) {
    errors.push({ field: 'tag', message: `A Merge Field with the tag "${tag}" already exists for this list.` });
  }
  if (errors.length > 0) return refused(invalid(errors));
  const field: MergeField = {
    merge_id: next,
    tag,
    name: given.name ?? tag,
    type: given.type ?? 'text',
    required: given.required === true,
    default_value: given.default_value ?? '',
    public: given.public === true,
    display_order: next + 1,
  };
  audience.mergeFields.push(field);
  return ok(field, { effect: true });
}

/** For the counters: without list, hash and address. */
function routeName(path: string): string {
  return path.replace(/^(\/3\.0\/lists)\/[^/]+/, '$1/{list}').replace(/(\/members)\/[^/]+/, '$1/{hash}');
}
