/** Between our words and a member of an audience: bodies to write, observations to give. */
import { hash } from 'node:crypto';
import { foldCase } from '../../domain/text.ts';
import type { Item, Observation, ObservedConsent } from '../kit/connector.ts';

/** A member as Mailchimp shows it; only what is used. */
export interface Member {
  /** MD5 of the lower-cased address; changes with it. */
  id: string;
  /** Opaque and steady: our external id. */
  contact_id: string;
  email_address: string;
  status: string;
  unsubscribe_reason?: string;
  merge_fields?: Record<string, unknown>;
  language?: string;
  last_changed?: string;
  tags?: { name: string }[];
  marketing_permissions?: { marketing_permission_id: string; enabled: boolean }[];
}

/** What a listing is asked for: all of `Member`. */
export const MEMBER_FIELDS = [
  'id',
  'contact_id',
  'email_address',
  'status',
  'unsubscribe_reason',
  'merge_fields',
  'language',
  'last_changed',
  'tags',
  'marketing_permissions',
] as const;

export function isMember(value: unknown): value is Member {
  if (typeof value !== 'object' || value === null) return false;
  const { id, contact_id, email_address, status } = value as Record<string, unknown>;
  return [id, contact_id, email_address, status].every((one) => typeof one === 'string');
}

/** Mailchimp's key of an address in an audience. */
export function hashOf(address: string): string {
  return hash('md5', address.trim().toLowerCase(), 'hex');
}

export function sameAddress(a: string, b: string): boolean {
  return foldCase(a.trim()) === foldCase(b.trim());
}

/** Parts without which a postal address is not taken (reported as answered 200 and ignored). */
const NEEDED_PARTS = ['addr1', 'city', 'zip'];

export interface Body {
  body: { email_address: string; merge_fields: Record<string, unknown>; language?: string };
  /** Tag of a postal address that cannot be written because it is not complete. */
  incomplete: string | null;
}

/** What a data write sends: never a status. Targets are merge tags, `TAG.part` of an address, or `language`. */
export function dataBody(item: Item, key: string, referenceTag: string): Body {
  const merge: Record<string, unknown> = {};
  const composed = new Map<string, Record<string, string>>();
  let language: string | undefined;
  for (const [target, value] of Object.entries(item.want.fields)) {
    const [tag = '', part] = target.split('.');
    if (target === 'language') language = value;
    else if (part === undefined) merge[tag] = value;
    else composed.set(tag, { ...composed.get(tag), [part]: value });
  }
  let incomplete: string | null = null;
  for (const [tag, parts] of composed) {
    const isEmpty = Object.values(parts).every((value) => value === '');
    const isWhole = NEEDED_PARTS.every((part) => (parts[part] ?? '') !== '');
    if (!isEmpty && !isWhole) incomplete = tag;
    // What cannot be held whole is emptied, so that no former address is left standing.
    merge[tag] = isWhole ? parts : '';
  }
  merge[referenceTag] = item.reference;
  return {
    body: { email_address: key, merge_fields: merge, ...(language === undefined ? {} : { language }) },
    incomplete,
  };
}

/** True where a write of this body would change nothing. */
export function holds(member: Member, { body }: Body): boolean {
  if (member.email_address !== body.email_address) return false;
  if (body.language !== undefined && body.language !== (member.language ?? '')) return false;
  return Object.entries(body.merge_fields).every(([tag, value]) => {
    const held = member.merge_fields?.[tag];
    if (typeof value !== 'object') return textOf(held) === value;
    const parts = typeof held === 'object' && held !== null ? (held as Record<string, unknown>) : {};
    return Object.entries(value as Record<string, string>).every(([part, text]) => textOf(parts[part]) === text);
  });
}

/** Everything in the member that can be emptied: all merge fields but our reference, by which it is found again. */
export function scrubBody(member: Member, referenceTag: string): Record<string, ''> {
  const held = Object.entries(member.merge_fields ?? {}).filter(
    ([tag, value]) => tag !== referenceTag && value !== '' && value !== null,
  );
  return Object.fromEntries(held.map(([tag]) => [tag, '' as const]));
}

export function referenceOf(member: Member, referenceTag: string): string | null {
  const value = member.merge_fields?.[referenceTag];
  return typeof value === 'string' && value !== '' ? value : null;
}

const COMPLAINT = /spam|abuse|complain/i;

/** `transactional` and `archived` say nothing of the person's will. */
export function consentOf(member: Member): ObservedConsent {
  switch (member.status) {
    case 'subscribed':
      return 'subscribed';
    case 'unsubscribed':
      return COMPLAINT.test(member.unsubscribe_reason ?? '') ? 'complained' : 'unsubscribed';
    case 'pending':
      return 'pending';
    case 'cleaned':
      return 'undeliverable';
    default:
      return 'none';
  }
}

export interface Mapped {
  targets: readonly string[];
  /** Targets that the member's status shows. */
  consentTargets: readonly string[];
  /** Ids of marketing permissions. */
  permissions: readonly string[];
  referenceTag: string;
}

export function observe(member: Member, mapped: Mapped): Observation {
  const state = consentOf(member);
  return {
    externalId: member.contact_id,
    reference: referenceOf(member, mapped.referenceTag),
    presence: member.status === 'archived' ? 'archived' : 'present',
    addresses: [member.email_address],
    fields: Object.fromEntries(mapped.targets.map((target) => [target, valueOf(member, target)])),
    consents: {
      ...Object.fromEntries(mapped.consentTargets.map((target) => [target, state])),
      ...Object.fromEntries(
        mapped.permissions.map((id) => [
          `permission:${id}`,
          permissionsOf(member).get(id) === true ? 'subscribed' : 'off',
        ]),
      ),
    },
    ...(member.last_changed === undefined ? {} : { changedAt: member.last_changed }),
  };
}

/** Permission id → whether it is on. */
export function permissionsOf(member: Member): Map<string, boolean> {
  return new Map((member.marketing_permissions ?? []).map((p) => [p.marketing_permission_id, p.enabled]));
}

function valueOf(member: Member, target: string): string {
  if (target === 'language') return member.language ?? '';
  const [tag = '', part] = target.split('.');
  const value = member.merge_fields?.[tag];
  const inner =
    part !== undefined && typeof value === 'object' ? (value as Record<string, unknown> | null)?.[part] : value;
  // An empty postal address is the empty text.
  if (part !== undefined && typeof value !== 'object') return '';
  return textOf(inner) ?? '';
}

/** Undefined where there is none: a field that the audience does not know. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}
