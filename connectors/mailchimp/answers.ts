/** Reads what the SDK gives, answers and errors alike; undefined is: not what was asked for (an HTML page, an empty answer). */
import type { Failure } from './faults.ts';
import type { Headers } from './limits.ts';
import { isMember } from './member.ts';
import type { Member } from './member.ts';

export interface BulkAnswer {
  members: Member[];
  /** Lower-cased addresses of those that failed, without effect. */
  failed: Set<string>;
}

export interface MergeFieldDefinition {
  tag: string;
  type: string;
  required: boolean;
}

export interface MemberPage {
  members: Member[];
  total: number;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function asMember(data: unknown): Member | undefined {
  return isMember(data) ? data : undefined;
}

/** 204: done, and nothing to say. */
export function asDone(_data: unknown, status: number): null | undefined {
  return status === 204 ? null : undefined;
}

export function asObject(data: unknown): Record<string, unknown> | undefined {
  return isObject(data) ? data : undefined;
}

export function asBulk(data: unknown): BulkAnswer | undefined {
  if (!isObject(data)) return undefined;
  const { new_members: made, updated_members: updated, errors } = data;
  if (!Array.isArray(made) || !Array.isArray(updated) || !Array.isArray(errors)) return undefined;
  const failed = (errors as unknown[]).map((one) => (isObject(one) ? one['email_address'] : undefined));
  return {
    members: [...(made as unknown[]), ...(updated as unknown[])].filter(isMember),
    failed: new Set(failed.filter((one) => typeof one === 'string').map((one) => one.trim().toLowerCase())),
  };
}

export function asPage(data: unknown): MemberPage | undefined {
  if (!isObject(data)) return undefined;
  const { members, total_items: total } = data;
  if (!Array.isArray(members) || !(members as unknown[]).every(isMember)) return undefined;
  return { members: members as Member[], total: typeof total === 'number' ? total : members.length };
}

export function asMergeFields(data: unknown): MergeFieldDefinition[] | undefined {
  if (!isObject(data) || !Array.isArray(data['merge_fields'])) return undefined;
  return (data['merge_fields'] as Record<string, unknown>[]).map(({ tag, type, required }) => ({
    tag: typeof tag === 'string' ? tag : '',
    type: typeof type === 'string' ? type : '',
    required: required === true,
  }));
}

/** What of the SDK's error may be kept. */
export function failureOf(error: unknown): Failure {
  if (typeof error !== 'object' || error === null) return { status: 0, code: '', body: undefined, headers: {} };
  const { status, statusCode, code, response } = error as {
    status?: number;
    statusCode?: number;
    code?: unknown;
    response?: { status?: number; body?: unknown; headers?: Headers };
  };
  return {
    status: response?.status ?? status ?? statusCode ?? 0,
    code: typeof code === 'string' ? code : '',
    body: response?.body,
    headers: response?.headers ?? {},
  };
}

/** All texts in a body: what must not come back in a message. */
export function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
