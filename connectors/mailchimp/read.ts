/** Reading back, and all that the audience holds of one person. */
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate, Item, Observation } from '../kit/connector.ts';
import type { Outcome } from '../../domain/outcome.ts';
import { addressesOf, byAddresses, byIds, isOurs } from './find.ts';
import { LIST_FROM, PAGE_SIZE, SECOND_MS } from './limits.ts';
import { observe } from './member.ts';
import type { Member } from './member.ts';
import { fanOut } from './session.ts';
import type { Session } from './session.ts';

export type Reading = Observation | null | { unread: Outcome };

/** Writes further apart than this are not read by one listing: too much of others would lie between them. */
const LISTING_SPAN_MS = 120_000;
/** Pages beyond those that the items need: others' changes of the same time. */
const SPARE_PAGES = 6;

/** Same length, same order. Few: one by one. Many that were just written: one listing of the latest changes, the rest one by one. */
export async function verify(session: Session, items: Item[], gate: Gate): Promise<Reading[]> {
  const listed = items.length >= LIST_FROM ? await listing(session, items, gate) : new Map<string, Member>();
  const tasks = items.map((item) => async (): Promise<Reading> => {
    const member = isLeaving(item) ? undefined : listed.get(item.externalIds[0] ?? '');
    return member === undefined ? verifyOne(session, item, gate) : observe(member, session.mapped);
  });
  return fanOut(tasks, gate.concurrency);
}

function isLeaving(item: Item): boolean {
  const { presence } = item.want;
  return presence === 'erased' || presence === 'purged' || presence === 'outside';
}

async function verifyOne(session: Session, item: Item, gate: Gate): Promise<Reading> {
  const found = await byIds(session, item, gate);
  if (found.kind === 'outcome') return { unread: found.outcome };
  const [member] = found.members;
  if (member !== undefined) return observe(member, session.mapped);
  // Of an erased person nothing may be left under any address either.
  if (item.externalIds.length > 0 && item.want.presence !== 'erased') return null;
  const others = await byAddresses(session, addressesOf(item), [], gate);
  if (others.kind === 'outcome') return { unread: others.outcome };
  const ours = others.members.find((one) => isOurs(one, item, session.mapped.referenceTag));
  return ours === undefined ? null : observe(ours, session.mapped);
}

/** Members by contact id, of those that a listing of the latest changes shows. A listing that fails is none. */
async function listing(session: Session, items: Item[], gate: Gate): Promise<Map<string, Member>> {
  const members = new Map<string, Member>();
  const wanted = new Map<string, number>();
  for (const item of items) {
    const [id] = item.externalIds;
    const atMs = id === undefined ? undefined : session.recent.at(id);
    if (id !== undefined && atMs !== undefined && !isLeaving(item)) wanted.set(id, atMs);
  }
  const newest = [...wanted.values()].reduce((most, each) => Math.max(most, each), 0);
  for (const [id, atMs] of wanted) if (atMs < newest - LISTING_SPAN_MS) wanted.delete(id);
  if (wanted.size < LIST_FROM) return members;

  const sinceMs = [...wanted.values()].reduce((least, each) => Math.min(least, each), newest) - SECOND_MS;
  const pages = Math.ceil(wanted.size / PAGE_SIZE) + SPARE_PAGES;
  for (let page = 0; page < pages && wanted.size > 0; page += 1) {
    let read: Member[];
    try {
      // Newest first: ours are among the latest, and changes of others meanwhile push them back, never out of sight.
      ({ members: read } = await session.client.page({ sinceMs, offset: page * PAGE_SIZE, newestFirst: true }, gate));
    } catch (error) {
      if (error instanceof ConnectorStop) return members;
      throw error;
    }
    for (const member of read) if (wanted.delete(member.contact_id)) members.set(member.contact_id, member);
    if (read.length < PAGE_SIZE) break;
  }
  return members;
}

/** Member with its activity and notes, for GDPR Art. 15. @throws ConnectorStop */
export async function collect(session: Session, id: string, gate: Gate): Promise<Record<string, unknown> | null> {
  return session.client.whole(id, gate);
}
