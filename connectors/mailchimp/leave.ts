/**
 * Erasure and purge. Erasure is Mailchimp's permanent deletion, which bars the address for good. A purge empties every merge
 * field and tag and archives; the address itself stays with an archived member, because it is its key.
 */
import type { Outcome } from '../../domain/outcome.ts';
import type { Gate, Item, ItemResult } from '../kit/connector.ts';
import { addressesOf, byAddresses, byIds, isOurs } from './find.ts';
import { consentOf, scrubBody } from './member.ts';
import type { Member } from './member.ts';
import { bothParts, resultOf, wishOf } from './session.ts';
import type { Session } from './session.ts';

const APPLIED: Outcome = { kind: 'applied' };
const UNCHANGED: Outcome = { kind: 'unchanged' };
const AMBIGUOUS: Outcome = { kind: 'ambiguous', code: 'whose_record' };

export async function leaveOne(session: Session, item: Item, gate: Gate): Promise<ItemResult> {
  const isErasure = item.want.presence === 'erased';
  const known = await byIds(session, item, gate);
  if (known.kind === 'outcome') return bothParts(session, item, known.outcome);
  // An erasure looks for every copy; a purge only where nothing is known under an id.
  const looks = isErasure || known.members.length === 0;
  const further = looks
    ? await byAddresses(session, addressesOf(item), known.members, gate)
    : { kind: 'found' as const, members: [] };
  if (further.kind === 'outcome') return bothParts(session, item, further.outcome);

  const { referenceTag } = session.mapped;
  const members = [...known.members, ...further.members];
  const ours = members.filter((member) => isOurs(member, item, referenceTag));
  const data: Outcome[] = members.length > ours.length ? [AMBIGUOUS] : [];
  const consent: Outcome[] = [...data];
  for (const member of ours) {
    if (isErasure) data.push(await erase(session, member, gate));
    else {
      const restricted = await restrictFirst(session, item, member, gate);
      if (restricted !== undefined) consent.push(restricted.outcome);
      data.push(await departOne(session, item, restricted?.member ?? member, gate));
    }
  }
  const gravestData = gravest(data);
  const asked = !isErasure && wishOf(item, session.mapped.consentTargets) === 'unsubscribed' && consent.length > 0;
  const result = resultOf(session, item, { data: gravestData, consent: asked ? gravest(consent) : gravestData });
  return { ...result, externalIds: [...new Set([...item.externalIds, ...ours.map((member) => member.contact_id)])] };
}

async function erase(session: Session, member: Member, gate: Gate): Promise<Outcome> {
  const called = await session.client.erase(member.id, gate);
  // Gone between reading and deleting: somebody else deleted it.
  return called.kind === 'outcome' ? called.outcome : APPLIED;
}

async function restrictFirst(
  session: Session,
  item: Item,
  member: Member,
  gate: Gate,
): Promise<{ outcome: Outcome; member?: Member } | undefined> {
  if (wishOf(item, session.mapped.consentTargets) !== 'unsubscribed') return undefined;
  // Archived members are sent nothing, and stating it would bring them back.
  if (member.status === 'archived' || consentOf(member) === 'unsubscribed' || consentOf(member) === 'complained') {
    return { outcome: UNCHANGED };
  }
  const body = { status: 'unsubscribed' };
  const called = await session.client.patch(member.contact_id, body, gate, { skipRequired: true });
  if (called.kind === 'ok') return { outcome: APPLIED, member: called.value };
  return { outcome: called.kind === 'outcome' ? called.outcome : APPLIED };
}

/** Empties one member who was found to be ours, and archives it. */
export async function departOne(session: Session, item: Item, member: Member, gate: Gate): Promise<Outcome> {
  const { client, mapped } = session;
  const id = member.contact_id;
  const isArchived = member.status === 'archived';
  const scrub = scrubBody(member, mapped.referenceTag);
  // Mailchimp archives neither pending nor cleaned members (405): they are unsubscribed on the way.
  const status = member.status === 'pending' || member.status === 'cleaned' ? { status: 'unsubscribed' } : {};
  const reference = { [mapped.referenceTag]: item.reference };
  const tags = (member.tags ?? []).map((tag) => tag.name);
  if (isArchived && Object.keys(scrub).length === 0 && tags.length === 0) return UNCHANGED;

  if (Object.keys(scrub).length > 0 || 'status' in status) {
    const body = { merge_fields: { ...scrub, ...reference }, ...status };
    const called = await client.patch(id, body, gate, { skipRequired: true });
    if (called.kind === 'outcome') return called.outcome;
    if (called.kind === 'not_found') return APPLIED;
  }
  if (tags.length > 0) {
    const called = await client.removeTags(id, tags, gate);
    if (called.kind === 'outcome') return called.outcome;
  }
  if (isArchived) return APPLIED;
  const called = await client.archive(id, gate);
  return called.kind === 'outcome' ? called.outcome : APPLIED;
}

const GRAVITY: Partial<Record<Outcome['kind'], number>> = {
  not_held: 0,
  unchanged: 1,
  applied: 2,
  ambiguous: 4,
  unknown: 6,
  unauthorised: 7,
};

function gravest(outcomes: readonly Outcome[]): Outcome {
  let worst: Outcome = { kind: 'not_held' };
  for (const outcome of outcomes) {
    if ((GRAVITY[outcome.kind] ?? 5) > (GRAVITY[worst.kind] ?? 5)) worst = outcome;
  }
  return worst;
}
