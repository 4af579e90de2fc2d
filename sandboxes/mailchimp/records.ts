/** The control API's view of members: everything held, and changes past all rules. */
import { mergeView } from './merge.ts';
import type { Audience, Member, MergeValue, State, Status } from './state.ts';
import { memberView } from './views.ts';
import { setStatus } from './writes.ts';

/** What `POST /records` and `PATCH /records/:id` take. */
interface Given {
  list_id?: string;
  email_address?: string;
  status?: Status;
  merge_fields?: Record<string, MergeValue>;
  marketing_permissions?: Record<string, boolean>;
  tags?: string[];
  unsubscribe_reason?: string;
  timestamp_opt?: string;
  last_changed?: string;
  /** Who changed the status: the person (the default; their unsubscribing binds the API) or an administrator. */
  by?: 'person' | 'admin';
}

const COMPLAINT = /spam|abuse|complain/i;

export function full(audience: Audience, member: Member): Record<string, unknown> {
  return {
    ...memberView(audience, member, []),
    merge_fields: mergeView(audience, member.mergeFields),
    marketing_permissions: member.permissions,
    tags: member.tags,
    _compliance: member.compliance,
    _status_before: member.statusBefore,
  };
}

/** By contact id, `list:hash`, `list:address`; a hash or address alone is looked for in every audience. */
export function locate(state: State, id: string): { audience: Audience; member: Member } | undefined {
  const colon = id.indexOf(':');
  const named = colon < 0 ? undefined : id.slice(0, colon);
  const rest = colon < 0 ? id : id.slice(colon + 1);
  for (const audience of state.audiences()) {
    if (named !== undefined && audience.id !== named) continue;
    const member = audience.find(rest);
    if (member !== undefined) return { audience, member };
  }
  return undefined;
}

export function seed(state: State, record: unknown, firstList: string, nowMs: number): string {
  const given = record as Given;
  const audience = state.audience(given.list_id ?? firstList);
  const changed = given.last_changed === undefined ? nowMs : Date.parse(given.last_changed);
  const member: Member = {
    ...audience.newIds(),
    email: given.email_address ?? '',
    status: 'subscribed',
    statusBefore: null,
    compliance: 'none',
    unsubscribeReason: '',
    emailType: 'html',
    mergeFields: {},
    permissions: {},
    interests: {},
    tags: [],
    language: '',
    vip: false,
    ipSignup: '',
    ipOpt: '',
    timestampSignup: '',
    timestampOpt: given.timestamp_opt ?? new Date(nowMs).toISOString(),
    lastChangedMs: Math.floor(changed / 1000) * 1000,
  };
  assign(member, given, nowMs);
  audience.insert(member);
  return member.contactId;
}

export function patch(state: State, id: string, change: Record<string, unknown>, nowMs: number): unknown {
  const found = locate(state, id);
  if (found === undefined) return undefined;
  const { audience, member } = found;
  audience.change(member, nowMs, () => assign(member, change as Given, nowMs));
  return full(audience, member);
}

function assign(member: Member, given: Given, nowMs: number): void {
  if (given.email_address !== undefined) member.email = given.email_address;
  Object.assign(member.mergeFields, given.merge_fields ?? {});
  Object.assign(member.permissions, given.marketing_permissions ?? {});
  if (given.tags !== undefined) member.tags = given.tags;
  if (given.status !== undefined) {
    if (given.status === 'archived') {
      member.statusBefore = member.status;
      member.status = 'archived';
    } else {
      setStatus(member, given.status, nowMs);
      member.compliance = complianceAfter(given);
      if (given.by !== 'admin') member.unsubscribeReason = '';
    }
  }
  if (given.unsubscribe_reason !== undefined) member.unsubscribeReason = given.unsubscribe_reason;
}

function complianceAfter(given: Given): Member['compliance'] {
  if (given.by === 'admin') return 'none';
  if (given.status === 'cleaned') return 'cleaned';
  if (given.status !== 'unsubscribed') return 'none';
  return COMPLAINT.test(given.unsubscribe_reason ?? '') ? 'complained' : 'unsubscribed';
}
