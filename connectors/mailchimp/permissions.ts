/**
 * Marketing permissions (the GDPR fields of an audience): one switch a permission, beside the status of the member. Mapped as the consent
 * target `permission:<id>`.
 */
import type { Outcome } from '../../domain/outcome.ts';
import { isSuccess } from '../../domain/outcome.ts';
import type { Gate, Item } from '../kit/connector.ts';
import { permissionsOf } from './member.ts';
import type { Member } from './member.ts';
import type { Session } from './session.ts';

export const PERMISSION = 'permission:';

/** Splits the mapped consent targets: those of the status, and ids of permissions. */
export function splitTargets(targets: readonly string[]): { status: string[]; permissions: string[] } {
  return {
    status: targets.filter((target) => !target.startsWith(PERMISSION)),
    permissions: targets.filter((t) => t.startsWith(PERMISSION)).map((t) => t.slice(PERMISSION.length)),
  };
}

interface Wish {
  id: string;
  enabled: boolean;
}

/** What the item wants of permissions; nothing without its consent part, nothing enabled without evidence. */
export function permissionWishes(session: Session, item: Item): Wish[] {
  if (!item.parts.consent) return [];
  return session.mapped.permissions.flatMap((id): Wish[] => {
    const want = item.want.consents[`${PERMISSION}${id}`];
    if (want?.state === 'unsubscribed') return [{ id, enabled: false }];
    return want?.state === 'subscribed' && want.evidence !== '' ? [{ id, enabled: true }] : [];
  });
}

/**
 * Switches permissions of a member that was found: off first of all, on last. A switch that somebody turned off since it was last read on
 * is not turned on again: `stricter`.
 */
export async function savePermissions(
  session: Session,
  item: Item,
  gate: Gate,
  member: Member | undefined,
  which: 'off' | 'on',
): Promise<{ outcome: Outcome; member?: Member } | null> {
  const wishes = permissionWishes(session, item).filter((wish) => wish.enabled === (which === 'on'));
  if (wishes.length === 0) return null;
  if (member === undefined) return { outcome: { kind: 'not_held' } };
  const now = permissionsOf(member);
  const changes = wishes.filter(({ id, enabled }) => (now.get(id) ?? false) !== enabled);
  if (changes.length === 0) return { outcome: { kind: 'unchanged' }, member };
  if (which === 'on' && changes.some(({ id }) => item.known?.consents[`${PERMISSION}${id}`] === 'subscribed')) {
    return { outcome: { kind: 'stricter', code: 'permission_withdrawn_at_vendor' }, member };
  }
  const called = await session.client.patch(
    member.contact_id,
    { marketing_permissions: changes.map(({ id, enabled }) => ({ marketing_permission_id: id, enabled })) },
    gate,
    { skipRequired: true },
  );
  if (called.kind === 'ok') return { outcome: { kind: 'applied' }, member: called.value };
  return { outcome: called.kind === 'not_found' ? { kind: 'retry', code: 'gone_at_vendor' } : called.outcome };
}

/** The outcome that says most: a failure before a success, a write before none. */
export function together(outcomes: (Outcome | null)[]): Outcome {
  const all = outcomes.filter((o) => o !== null);
  return (
    all.find((o) => !isSuccess(o)) ??
    all.find((o) => o.kind === 'applied') ??
    all.find((o) => o.kind === 'unchanged') ??
    all[0] ?? { kind: 'unchanged' }
  );
}
