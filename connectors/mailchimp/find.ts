/** Finding a person's member: by contact id, else by exact address. Mailchimp has no exact search by a merge field. */
import type { Outcome } from '../../domain/outcome.ts';
import type { Gate, Item } from '../kit/connector.ts';
import { hashOf, referenceOf, sameAddress } from './member.ts';
import type { Member } from './member.ts';
import type { Session } from './session.ts';

export type Found = { kind: 'found'; members: Member[] } | { kind: 'outcome'; outcome: Outcome };

/** All members under the item's ids, newest id first. */
export async function byIds(session: Session, item: Item, gate: Gate): Promise<Found> {
  return readEach(session, item.externalIds, gate);
}

/** All members under these addresses that are not among `known`. */
export async function byAddresses(
  session: Session,
  addresses: readonly string[],
  known: readonly Member[],
  gate: Gate,
): Promise<Found> {
  const seen = new Set(known.map((member) => member.id));
  const hashes = addresses.filter((address) => address.trim() !== '').map(hashOf);
  const found = await readEach(
    session,
    [...new Set(hashes)].filter((hash) => !seen.has(hash)),
    gate,
  );
  if (found.kind !== 'found') return found;
  const ids = new Set(known.map((member) => member.contact_id));
  return { kind: 'found', members: found.members.filter((member) => !ids.has(member.contact_id)) };
}

async function readEach(session: Session, ids: readonly string[], gate: Gate): Promise<Found> {
  const members: Member[] = [];
  for (const id of ids) {
    const read = await session.client.member(id, gate);
    if (read.kind === 'outcome') return read;
    if (read.kind === 'ok' && members.every((member) => member.contact_id !== read.value.contact_id)) {
      members.push(read.value);
    }
  }
  return { kind: 'found', members };
}

/** The addresses a person has or had, the wanted one first. */
export function addressesOf(item: Item): string[] {
  const { want, known, identity } = item;
  const all = [want.key, known?.key ?? null, ...identity.addresses];
  return [...new Set(all.filter((address) => address !== null))];
}

/** Another contact's reference makes it somebody else's record, whatever the address; without one the address decides. */
export function isOurs(member: Member, item: Item, referenceTag: string): boolean {
  const reference = referenceOf(member, referenceTag);
  if (reference !== null) return reference === item.reference;
  return addressesOf(item).some((address) => sameAddress(address, member.email_address));
}
