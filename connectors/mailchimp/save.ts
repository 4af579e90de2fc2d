/**
 * Makes the vendor hold one contact who belongs there. A restriction goes first, under a new address first of all; data never
 * carries a status of a member who is there; subscribing comes last and only over a state that was read.
 */
import type { Outcome } from '../../domain/outcome.ts';
import type { Gate, Item, ItemResult } from '../kit/connector.ts';
import { outcomeOf } from './caller.ts';
import { addressesOf, byAddresses, byIds, isOurs } from './find.ts';
import { departOne } from './leave.ts';
import { consentOf, dataBody, hashOf, holds, referenceOf, sameAddress } from './member.ts';
import type { Member } from './member.ts';
import { permissionWishes, savePermissions, together } from './permissions.ts';
import { bothParts, isKnownUnsubscribed, resultOf, wishOf } from './session.ts';
import type { Session, Wish } from './session.ts';

interface Work {
  session: Session;
  item: Item;
  gate: Gate;
  key: string;
  wish: Wish;
  /** Contact ids that may still be there, newest first. */
  ids: string[];
  /** Ids under which nobody was found: of a write that never took effect, or of a record that has left. */
  gone: Set<string>;
  /** What was last read or answered. */
  member: Member | undefined;
}

/** A part's outcome and the member as the vendor shows it after it, where it did. */
interface Step {
  outcome: Outcome;
  member?: Member;
}

const APPLIED: Outcome = { kind: 'applied' };
const UNCHANGED: Outcome = { kind: 'unchanged' };
const NOT_HELD: Outcome = { kind: 'not_held' };

export async function saveOne(session: Session, item: Item, gate: Gate): Promise<ItemResult> {
  const wish = wishOf(item, session.mapped.consentTargets);
  const { key } = item.want;
  if (key === null) return withoutAddress(session, item, gate, wish);

  let found: Member | undefined;
  const gone = new Set<string>();
  if (item.lookFirst) {
    const known = await byIds(session, item, gate);
    if (known.kind === 'outcome') return bothParts(session, item, known.outcome);
    [found] = known.members;
    const here = new Set(known.members.map((member) => member.contact_id));
    for (const id of item.externalIds) if (!here.has(id)) gone.add(id);
    if (found === undefined) {
      const others = await byAddresses(session, addressesOf(item), [], gate);
      if (others.kind === 'outcome') return bothParts(session, item, others.outcome);
      found = others.members.find((one) => isOurs(one, item, session.mapped.referenceTag) || isUnder(one, key));
    }
  }
  const ids = found === undefined ? (item.lookFirst ? [] : [...item.externalIds]) : [found.contact_id];
  const work: Work = { session, item, gate, key, wish, ids, gone, member: found };

  let consent: Outcome = UNCHANGED;
  if (wish === 'unsubscribed') consent = take(work, await restrict(work));
  const off = await switchPermissions(work, 'off');
  const data = item.parts.data ? take(work, await saveData(work)) : UNCHANGED;
  if (wish === 'unsubscribed' && consent.kind === 'not_held') consent = await restrictNew(work, data);
  if (wish === 'subscribed') consent = take(work, await grant(work, data));
  const on = isOpen(data) ? null : await switchPermissions(work, 'on');
  const left = { ...item, externalIds: item.externalIds.filter((id) => !gone.has(id)) };
  return resultOf(session, left, { data, consent: together([consent, off, on]) }, work.member);
}

/** Switches of the member that is there; one that was made just now has its data part's answer. */
async function switchPermissions(work: Work, which: 'off' | 'on'): Promise<Outcome | null> {
  const { session, item, gate } = work;
  if (permissionWishes(session, item).length === 0) return null;
  for (const id of work.member === undefined ? work.ids : []) {
    const read = await session.client.member(id, gate);
    if (read.kind === 'outcome') return read.outcome;
    if (read.kind === 'ok') work.member = read.value;
    if (work.member !== undefined) break;
  }
  const step = await savePermissions(session, item, gate, work.member, which);
  return step === null ? null : take(work, step);
}

function take(work: Work, step: Step): Outcome {
  if (step.member !== undefined) work.member = step.member;
  return step.outcome;
}

function isUnder(member: Member, key: string): boolean {
  return sameAddress(member.email_address, key);
}

/** Says 'unsubscribed' wherever the person is or is going to be. */
async function restrict(work: Work): Promise<Step> {
  const { item, key, ids, member } = work;
  const here = member?.email_address ?? item.known?.key ?? null;
  const moves = ids.length > 0 && (here === null || !sameAddress(here, key));
  let worst: Outcome = NOT_HELD;
  let shown: Member | undefined;
  if (moves || ids.length === 0) {
    const under = await unsubscribe(work, hashOf(key), undefined);
    worst = under.outcome;
    if (ids.length === 0) shown = under.member;
    // Somebody else's member at the wanted address: restricted, and theirs.
    else if (under.member !== undefined && ids.includes(under.member.contact_id)) return under;
  }
  for (const id of ids) {
    const step = await unsubscribe(work, id, member);
    if (step.outcome.kind === 'not_held') continue;
    shown = step.member ?? shown;
    worst = worst.kind === 'not_held' || worst.kind === 'unchanged' || isFailure(step.outcome) ? step.outcome : worst;
    break;
  }
  // Gone under every id, but perhaps there again under the address.
  if (worst.kind === 'not_held' && ids.length > 0 && !moves) return unsubscribe(work, hashOf(key), undefined);
  return { outcome: worst, ...(shown === undefined ? {} : { member: shown }) };
}

async function unsubscribe(work: Work, id: string, read: Member | undefined): Promise<Step> {
  if (read !== undefined && ['unsubscribed', 'complained', 'undeliverable'].includes(consentOf(read))) {
    return { outcome: UNCHANGED, member: read };
  }
  const called = await work.session.client.patch(id, { status: 'unsubscribed' }, work.gate, { skipRequired: true });
  if (called.kind === 'not_found') return { outcome: NOT_HELD };
  return called.kind === 'ok' ? { outcome: APPLIED, member: called.value } : { outcome: called.outcome };
}

/** Nothing was there when the restriction was stated: what the data part put there since must bear it. */
async function restrictNew(work: Work, data: Outcome): Promise<Outcome> {
  const { member } = work;
  if (member === undefined) return isOpen(data) ? later(data) : NOT_HELD;
  if (member.status === 'unsubscribed') return APPLIED;
  return take(work, await unsubscribe(work, member.contact_id, member));
}

async function saveData(work: Work): Promise<Step> {
  const { item, ids } = work;
  for (const id of ids) {
    const step = await update(work, id);
    if (step !== 'gone') return step;
    work.gone.add(id);
  }
  work.ids = [];
  work.member = undefined;
  if (item.want.presence === 'present') return create(work);
  const step = await update(work, hashOf(work.key));
  return step === 'gone' ? { outcome: NOT_HELD } : step;
}

async function update(work: Work, id: string): Promise<Step | 'gone'> {
  const { session, item, gate, key, member } = work;
  const written = dataBody(item, key, session.mapped.referenceTag);
  const { body, incomplete } = written;
  if (member?.contact_id === id && member.status !== 'archived' && incomplete === null && holds(member, written)) {
    return { outcome: UNCHANGED, member };
  }
  const called = await session.client.patch(id, body, gate);
  if (called.kind === 'not_found') return 'gone';
  if (called.kind === 'ok') return settled(work, called.value, incomplete);
  const { outcome } = called;
  return outcome.kind === 'rejected' && outcome.code === 'address_taken' ? onTaken(work, id, outcome) : { outcome };
}

/** PUT leaves the status of a member who is there alone, so that meeting one by surprise does no harm. */
async function create(work: Work): Promise<Step> {
  const { session, item, gate, key, wish } = work;
  const { body, incomplete } = dataBody(item, key, session.mapped.referenceTag);
  // Without a word on consent the person is held, and is not on the mailing list: Mailchimp's 'non-subscribed'.
  const status = wish === 'untouched' ? 'transactional' : wish;
  const called = await session.client.put(hashOf(key), { ...body, status_if_new: status }, gate);
  if (called.kind === 'ok') return settled(work, called.value, incomplete);
  return { outcome: outcomeOf(called) };
}

/** The new address is on the list already: our own other record takes over and the old one leaves; else a person must say. */
async function onTaken(work: Work, id: string, taken: Outcome): Promise<Step> {
  const { session, item, gate, key } = work;
  const { referenceTag } = session.mapped;
  const other = await session.client.member(hashOf(key), gate);
  if (other.kind !== 'ok' || referenceOf(other.value, referenceTag) !== item.reference) return { outcome: taken };
  const { body, incomplete } = dataBody(item, key, referenceTag);
  const called = await session.client.patch(other.value.contact_id, body, gate);
  if (called.kind !== 'ok') return { outcome: outcomeOf(called) };
  const old = await session.client.member(id, gate);
  if (old.kind === 'outcome') return { outcome: old.outcome };
  if (old.kind === 'ok' && isOurs(old.value, item, referenceTag)) {
    const left = await departOne(session, item, old.value, gate);
    if (left.kind !== 'applied' && left.kind !== 'unchanged') return { outcome: left, member: called.value };
  }
  return settled(work, called.value, incomplete);
}

/** After a write of data: an archived member who is wanted comes back, without being subscribed. */
async function settled(work: Work, member: Member, incomplete: string | null): Promise<Step> {
  let shown = member;
  const reopens = member.status === 'archived' && work.item.want.presence === 'present' && work.wish !== 'subscribed';
  if (reopens) {
    const status = work.wish === 'unsubscribed' ? 'unsubscribed' : 'transactional';
    const called = await work.session.client.patch(member.contact_id, { status }, work.gate, { skipRequired: true });
    if (called.kind !== 'ok') return { outcome: outcomeOf(called), member };
    shown = called.value;
  }
  const outcome: Outcome =
    incomplete === null ? APPLIED : { kind: 'rejected', code: 'address_incomplete', field: incomplete };
  return { outcome, member: shown };
}

/** `subscribed` over what is there: only where nothing stricter is, or where the restriction was known when consent was given. */
async function grant(work: Work, data: Outcome): Promise<Step> {
  const { session, item, gate } = work;
  if (isOpen(data)) return { outcome: later(data) };
  let { member } = work;
  if (member === undefined) {
    for (const id of work.ids) {
      const read = await session.client.member(id, gate);
      if (read.kind === 'outcome') return { outcome: read.outcome };
      if (read.kind === 'ok') {
        member = read.value;
        break;
      }
    }
  }
  if (member === undefined) {
    if (!item.parts.data) return { outcome: { kind: 'retry', code: 'gone_at_vendor' } };
    // Nobody is there to subscribe: the reason is the data part's.
    return { outcome: data };
  }
  switch (consentOf(member)) {
    case 'subscribed':
      return { outcome: data.kind === 'applied' && work.ids.length === 0 ? APPLIED : UNCHANGED, member };
    case 'pending':
    case 'undeliverable':
      // Mailchimp waits for the person's click, or cannot reach the address: writing again changes neither.
      return { outcome: UNCHANGED, member };
    case 'unsubscribed':
    case 'complained':
      if (!isKnownUnsubscribed(item, session.mapped.consentTargets)) {
        return { outcome: { kind: 'stricter', code: 'unsubscribed_at_vendor' }, member };
      }
      break;
    case 'none':
    case 'off':
  }
  const called = await session.client.patch(member.contact_id, { status: 'subscribed' }, gate, { skipRequired: true });
  if (called.kind === 'ok') return { outcome: APPLIED, member: called.value };
  return { outcome: outcomeOf(called), member };
}

/** No address, no member: what is there can only be restricted. */
async function withoutAddress(session: Session, item: Item, gate: Gate, wish: Wish): Promise<ItemResult> {
  const found = await byIds(session, item, gate);
  if (found.kind === 'outcome') return bothParts(session, item, found.outcome);
  const [member] = found.members;
  if (member === undefined) return bothParts(session, item, NOT_HELD);
  const work: Work = {
    session,
    item,
    gate,
    key: member.email_address,
    wish,
    ids: [member.contact_id],
    gone: new Set(),
    member,
  };
  const consent = wish === 'unsubscribed' ? take(work, await restrict(work)) : UNCHANGED;
  const data: Outcome = { kind: 'rejected', code: 'address_missing', field: 'email_address' };
  return resultOf(session, item, { data, consent }, work.member);
}

function isFailure(outcome: Outcome): boolean {
  return outcome.kind !== 'applied' && outcome.kind !== 'unchanged' && outcome.kind !== 'not_held';
}

/** The vendor or the account is the trouble: a further call now would meet the same. */
function isOpen(outcome: Outcome): boolean {
  return outcome.kind === 'retry' || outcome.kind === 'unknown' || outcome.kind === 'unauthorised';
}

/** The consent part after such a data part: nothing was called for it. */
function later(data: Outcome): Outcome {
  return data.kind === 'unknown' ? { kind: 'retry', code: data.code } : data;
}
