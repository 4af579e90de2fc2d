/**
 * Many contacts by one call each 500: updates of data alone of members last read under the same address, and creations. The bulk
 * endpoint cannot move addresses, and never gets a status for a member who is there. Whatever it does not take goes one by one.
 */
import { halving } from '../kit/halve.ts';
import type { Gate, Item, ItemResult } from '../kit/connector.ts';
import type { Outcome } from '../../domain/outcome.ts';
import { outcomeOf } from './caller.ts';
import { BULK_FROM, BULK_MAX } from './limits.ts';
import { dataBody, sameAddress } from './member.ts';
import type { Member } from './member.ts';
import { permissionWishes } from './permissions.ts';
import { bothParts, resultOf, wishOf } from './session.ts';
import type { Session, Wish } from './session.ts';

export interface Chunk {
  kind: 'create' | 'update';
  items: Item[];
}

/** Which items go by bulk call, in chunks; the rest goes one by one. */
export function partition(session: Session, items: readonly Item[]): { chunks: Chunk[]; single: Item[] } {
  const groups: Record<Chunk['kind'], Item[]> = { create: [], update: [] };
  const single: Item[] = [];
  const keys = new Set<string>();
  for (const item of items) {
    const kind = kindOf(session, item);
    const key = item.want.key?.toLowerCase() ?? '';
    // Two of one address in one request would be refused.
    if (kind === null || keys.has(key)) single.push(item);
    else {
      keys.add(key);
      groups[kind].push(item);
    }
  }
  const chunks: Chunk[] = [];
  for (const kind of ['create', 'update'] as const) {
    const group = groups[kind];
    if (group.length < BULK_FROM) single.push(...group);
    else
      for (let at = 0; at < group.length; at += BULK_MAX) chunks.push({ kind, items: group.slice(at, at + BULK_MAX) });
  }
  return { chunks, single };
}

function kindOf(session: Session, item: Item): Chunk['kind'] | null {
  const { want, known, parts, lookFirst } = item;
  if (lookFirst || !parts.data || want.key === null) return null;
  // The bulk endpoint is not relied on for switches.
  if (permissionWishes(session, item).length > 0) return null;
  if (item.externalIds.length === 0) return want.presence === 'present' ? 'create' : null;
  const isHere = known?.key !== null && known?.key !== undefined && sameAddress(known.key, want.key);
  return isHere && wishOf(item, session.mapped.consentTargets) === 'untouched' ? 'update' : null;
}

/** Null: to be done alone. Same length, same order. */
export async function saveMany(session: Session, chunk: Chunk, gate: Gate): Promise<(ItemResult | null)[]> {
  return halving<Item, ItemResult | null>(
    chunk.items,
    async (items) => {
      const bodies = items.map((item) => bodyOf(session, item, chunk.kind));
      // `update_existing: false` makes meeting somebody who is there an error without effect.
      const sent = bodies.map(({ element }) => element);
      const answer = await session.client.bulk(sent, chunk.kind === 'update', gate);
      if (answer.kind === 'refused_whole') return 'refused_whole';
      if (answer.kind !== 'ok') return items.map((item) => bothParts(session, item, outcomeOf(answer)));
      const { members, failed } = answer.value;
      const byAddress = new Map(members.map((member) => [member.email_address.trim().toLowerCase(), member]));
      return items.map((item, index) => {
        const key = (item.want.key ?? '').trim().toLowerCase();
        const member = byAddress.get(key);
        if (member !== undefined) return taken(session, item, member, bodies[index]!.incomplete, chunk.kind);
        if (failed.has(key)) return null;
        return bothParts(session, item, { kind: 'unknown', code: 'missing_in_answer' });
      });
    },
    () => null,
  );
}

function bodyOf(
  session: Session,
  item: Item,
  kind: Chunk['kind'],
): { element: Record<string, unknown>; incomplete: string | null } {
  const { body, incomplete } = dataBody(item, item.want.key ?? '', session.mapped.referenceTag);
  // Without a status a member who is there keeps theirs; one who has vanished is refused, not made anew.
  const status = kind === 'create' ? { status: statusOf(wishOf(item, session.mapped.consentTargets)) } : {};
  return { element: { ...body, ...status }, incomplete };
}

function statusOf(wish: Wish): string {
  return wish === 'untouched' ? 'transactional' : wish;
}

function taken(
  session: Session,
  item: Item,
  member: Member,
  incomplete: string | null,
  kind: Chunk['kind'],
): ItemResult | null {
  // Archived, yet wanted: bringing it back needs a call of its own.
  if (member.status === 'archived' && item.want.presence === 'present') return null;
  const data: Outcome =
    incomplete === null ? { kind: 'applied' } : { kind: 'rejected', code: 'address_incomplete', field: incomplete };
  const stated = kind === 'create' && wishOf(item, session.mapped.consentTargets) !== 'untouched';
  const consent: Outcome = { kind: stated ? 'applied' : 'unchanged' };
  return resultOf(session, item, { data, consent }, member);
}
