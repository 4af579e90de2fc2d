/** The rules of writing one member, whichever endpoint does it. */
import { hashOf, invalid } from './answers.ts';
import type { Problem } from './answers.ts';
import { merged } from './merge.ts';
import type { MergeRules } from './merge.ts';
import { STATUSES } from './state.ts';
import type { Audience, Member, Status } from './state.ts';

/** What endpoints take, unchecked. */
export type Given = Record<string, unknown>;

export interface WriteContext {
  audience: Audience;
  nowMs: number;
  rules: MergeRules;
  permissions: Permission[];
}

export interface Permission {
  marketing_permission_id: string;
  text: string;
}

export type Written = { problem: Problem } | { member: Member; changed: boolean };

/** What the JSON schema refuses, before any rule of membership: one such element refuses a whole batch. */
export function schemaErrors(given: Given, prefix = ''): { field: string; message: string }[] {
  const errors: { field: string; message: string }[] = [];
  for (const name of ['status', 'status_if_new']) {
    const value = given[name];
    if (value !== undefined && !(STATUSES as readonly unknown[]).includes(value)) {
      errors.push({
        field: prefix + name,
        message: `Data presented is not one of the accepted values: ${STATUSES.join(', ')}.`,
      });
    }
  }
  if (given['email_address'] !== undefined && typeof given['email_address'] !== 'string') {
    errors.push({ field: `${prefix}email_address`, message: 'Schema describes string, object found instead' });
  }
  const merge = given['merge_fields'];
  if (merge !== undefined && (typeof merge !== 'object' || merge === null)) {
    errors.push({ field: `${prefix}merge_fields`, message: 'Schema describes object, string found instead' });
  }
  return errors;
}

/** `status` must be had already: of a new member it is required. */
export function create(context: WriteContext, given: Given, status: Status | undefined): Written {
  const { audience, nowMs } = context;
  const email = typeof given['email_address'] === 'string' ? given['email_address'].trim() : '';
  const bad = emailProblem(email) ?? forgottenProblem(audience, email);
  if (bad !== undefined) return { problem: bad };
  if (status === undefined) {
    return { problem: invalid([{ field: 'status', message: 'This value should not be blank.' }]) };
  }
  const fields = merged(audience, {}, (given['merge_fields'] ?? {}) as Given, context.rules);
  if ('problem' in fields) return fields;
  const member: Member = {
    ...audience.newIds(),
    email,
    status,
    statusBefore: null,
    compliance: 'none',
    unsubscribeReason: status === 'unsubscribed' ? 'N/A (Unsubscribed by admin)' : '',
    emailType: 'html',
    mergeFields: fields.values,
    permissions: {},
    interests: {},
    tags: [],
    language: '',
    vip: false,
    ipSignup: '',
    ipOpt: '',
    timestampSignup: '',
    timestampOpt: new Date(nowMs).toISOString(),
    lastChangedMs: Math.floor(nowMs / 1000) * 1000,
  };
  assignRest(context, member, given);
  audience.insert(member);
  return { member, changed: true };
}

/** A new address moves the member: its hash changes, status and history stay. */
export function update(context: WriteContext, member: Member, given: Given): Written {
  const { audience, nowMs } = context;
  const typed = given['email_address'];
  const email = typeof typed === 'string' && typed.trim() !== '' ? typed.trim() : member.email;
  if (hashOf(email) !== hashOf(member.email)) {
    const bad = emailProblem(email) ?? forgottenProblem(audience, email) ?? takenProblem(audience, email);
    if (bad !== undefined) return { problem: bad };
  }
  const fields = merged(audience, member.mergeFields, (given['merge_fields'] ?? {}) as Given, context.rules);
  if ('problem' in fields) return fields;
  const status = given['status'] as Status | undefined;
  const unwilling = status === undefined ? undefined : complianceProblem(member, status);
  if (unwilling !== undefined) return { problem: unwilling };

  const before = JSON.stringify(member);
  // Only what is changed in place below is copied; the rest is replaced whole.
  const draft = { ...member, permissions: { ...member.permissions }, interests: { ...member.interests } };
  draft.email = email;
  draft.mergeFields = fields.values;
  if (status !== undefined && status !== draft.status) setStatus(draft, status, nowMs);
  assignRest(context, draft, given);
  const changed = JSON.stringify(draft) !== before;
  if (changed) audience.change(member, nowMs, () => Object.assign(member, draft));
  return { member, changed };
}

/** DELETE: the member is kept out of sight. */
export function archive(context: WriteContext, member: Member): boolean {
  if (member.status === 'archived' || member.status === 'cleaned' || member.status === 'pending') return false;
  context.audience.change(member, context.nowMs, () => {
    member.statusBefore = member.status;
    member.status = 'archived';
  });
  return true;
}

/** `delete-permanent`: the address can never be imported again. */
export function forget(context: WriteContext, member: Member): void {
  context.audience.forgotten.add(hashOf(member.email));
  context.audience.delete(member);
}

export function setStatus(member: Member, status: Status, nowMs: number): void {
  member.status = status;
  member.statusBefore = null;
  member.unsubscribeReason = status === 'unsubscribed' ? 'N/A (Unsubscribed by admin)' : '';
  if (status === 'subscribed') member.timestampOpt = new Date(nowMs).toISOString();
}

function assignRest({ permissions }: WriteContext, member: Member, given: Given): void {
  const text = (name: string, key: 'language' | 'ipSignup' | 'ipOpt' | 'timestampSignup' | 'timestampOpt'): void => {
    if (typeof given[name] === 'string') member[key] = given[name].trim();
  };
  text('language', 'language');
  text('ip_signup', 'ipSignup');
  text('ip_opt', 'ipOpt');
  text('timestamp_signup', 'timestampSignup');
  text('timestamp_opt', 'timestampOpt');
  if (typeof given['vip'] === 'boolean') member.vip = given['vip'];
  if (given['email_type'] === 'text' || given['email_type'] === 'html') member.emailType = given['email_type'];
  if (Array.isArray(given['tags'])) member.tags = [...new Set([...member.tags, ...(given['tags'] as string[])])];
  Object.assign(member.interests, given['interests'] ?? {});
  for (const one of (given['marketing_permissions'] ?? []) as { marketing_permission_id: string; enabled: boolean }[]) {
    if (permissions.some((known) => known.marketing_permission_id === one.marketing_permission_id)) {
      member.permissions[one.marketing_permission_id] = one.enabled === true;
    }
  }
}

/** Malformed or plainly invented. Reserved domains (RFC 2606) are taken here: that is where test people live. */
function emailProblem(email: string): Problem | undefined {
  if (email === '') {
    return invalid([{ field: 'email_address', message: 'This value should not be blank.' }]);
  }
  const parts = /^([^\s@"(),:;<>[\]\\]+)@([^\s@]+)$/.exec(email);
  const local = parts?.[1] ?? '';
  const domain = parts?.[2] ?? '';
  const wellFormed =
    !/^\.|\.$|\.\./.test(local) && local !== '' && /^([\p{L}\p{N}-]+\.)+[\p{L}\p{N}-]{2,}$/u.test(domain);
  if (wellFormed && !/^fake([+.-].*)?$/i.test(local)) return undefined;
  return {
    status: 400,
    title: 'Invalid Resource',
    detail: wellFormed
      ? `${email} looks fake or invalid, please enter a real email address.`
      : 'Please provide a valid email address.',
  };
}

function forgottenProblem(audience: Audience, email: string): Problem | undefined {
  if (!audience.forgotten.has(hashOf(email))) return undefined;
  return {
    status: 400,
    title: 'Forgotten Email Not Subscribed',
    detail: `${email} was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back on the list.`,
  };
}

function takenProblem(audience: Audience, email: string): Problem | undefined {
  const holder = audience.byEmail(email);
  if (holder === undefined) return undefined;
  const shown: Partial<Record<Status, string>> = { archived: 'Deleted', transactional: 'Non-Subscribed' };
  const status = shown[holder.status] ?? holder.status;
  return invalid([
    { field: 'email address', message: `"${email}" is already in this list with a status of "${status}".` },
  ]);
}

/** Who left by themselves, bounced or complained is not brought back by an API; `pending` asks them, but not at a dead address. */
function complianceProblem(member: Member, status: Status): Problem | undefined {
  if (member.compliance === 'none' || status === member.status) return undefined;
  if (status === 'unsubscribed' || status === 'cleaned') return undefined;
  if (status === 'pending' && member.compliance === 'unsubscribed') return undefined;
  return {
    status: 400,
    title: 'Member In Compliance State',
    detail: `${member.email} is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed.`,
  };
}
