/** Makes contacts hold what they should: updates by id in bulk, creates under our reference, never by name alone. */
import { Contact } from 'xero-node';
import { canonicalValue } from '../../domain/compare.ts';
import type { Outcome } from '../../domain/outcome.ts';
import type { Gate, Item, ItemResult } from '../kit/connector.ts';
import type { Refusal } from './faults.ts';
import { byIds, nameKey, recordsOf, whereAny, whoseIs } from './find.ts';
import { elementOf, readTarget } from './mapping.ts';
import { bareName, canBeAsked, markedName, neutralName, sameName, wantedName } from './names.ts';
import { isArchived } from './observe.ts';
import { resultOf } from './session.ts';
import type { Session } from './session.ts';
import { isShared, personElement, placeOf } from './shared.ts';
import { createAll, updateAll } from './write.ts';
import type { ElementResult } from './write.ts';

interface Plan {
  item: Item;
  element: Contact;
  /** Undefined for a create. */
  current?: Contact;
  /** Ids of all records of the person, this one first. */
  ids: string[];
}

/** Same length, same order. @throws ConnectorStop when a read failed; nothing was written then */
export async function save(session: Session, items: Item[], gate: Gate): Promise<ItemResult[]> {
  const results = new Map<Item, ItemResult>();
  const settle = (item: Item, data: Outcome, ids?: string[]): void => {
    results.set(item, resultOf(item, data, ids));
  };
  const found = await byIds(
    session.client,
    items.flatMap((item) => item.externalIds),
    gate,
  );
  const here = new Map(items.map((item) => [item, recordsOf(item, found)]));
  const absent = items.filter((item) => here.get(item)?.length === 0);
  const looked = await lookUp(
    session,
    absent.filter((item) => item.lookFirst || item.externalIds.length > 0),
    gate,
  );

  const updates: Plan[] = [];
  const toCreate: Item[] = [];
  for (const item of items) {
    const records = looked.get(item) ?? here.get(item) ?? [];
    if (records === 'ambiguous') settle(item, { kind: 'ambiguous', code: 'several_records' });
    else if (records.length > 0) {
      const plan = planUpdate(session, item, records);
      if ('kind' in plan) settle(item, plan, records.map(idOf));
      else updates.push(plan);
    } else if (item.want.presence === 'present') toCreate.push(item);
    else settle(item, { kind: 'not_held' }, []);
  }
  const creates = await planCreates(session, toCreate, gate);
  for (const item of toCreate) {
    const ours = creates.found.get(item);
    if (ours === undefined) continue;
    const plan = planUpdate(session, item, [ours]);
    if ('kind' in plan) settle(item, plan, [idOf(ours)]);
    else updates.push(plan);
  }

  for (const [plan, result] of await write(session, [...updates, ...creates.plans], gate)) {
    settle(plan.item, ...settled(plan, result));
  }
  return items.map((item) => results.get(item) ?? resultOf(item, { kind: 'unclassified', code: 'no_result' }));
}

/** By our reference, else by exact address: a single record of the same name, or of a person whose names are not known. */
async function lookUp(session: Session, items: Item[], gate: Gate): Promise<Map<Item, Contact[] | 'ambiguous'>> {
  const { client } = session;
  const byReference = await whereAny(
    client,
    'ContactNumber',
    items.map((item) => item.reference),
    gate,
  );
  const referenced = new Map(byReference.map((contact) => [contact.contactNumber, contact]));
  const others = items.filter((item) => !referenced.has(item.reference));
  const byAddress = await whereAny(
    client,
    'EmailAddress',
    others.flatMap((item) => item.identity.addresses),
    gate,
  );
  return new Map(
    items.map((item) => {
      const ours = referenced.get(item.reference);
      if (ours !== undefined) return [item, [ours]];
      const matches = byAddress.filter((contact) => whoseIs(contact, item, false) === 'ours');
      return [item, matches.length > 1 ? 'ambiguous' : matches];
    }),
  );
}

function planUpdate(session: Session, item: Item, records: Contact[]): Plan | Outcome {
  const [current, ...more] = records.toSorted((a, b) => rank(b, item) - rank(a, item));
  const { fields, presence, key } = item.want;
  if (current === undefined || Object.keys(fields).length === 0) return { kind: 'unchanged' };
  if (isArchived(current) && presence !== 'present') return { kind: 'unchanged' };
  const ids = [current, ...more].map(idOf);
  const wanted = withKey(fields, key);
  if (isShared(current)) {
    const place = placeOf(current, item);
    if (place.kind === 'none') return { kind: 'ambiguous', code: 'person_not_in_record' };
    const element = personElement(current, place, wanted);
    return element === null ? { kind: 'unchanged' } : { item, element, current, ids };
  }

  const { Name: _name, ...others } = wanted;
  const differing = Object.entries(others).filter(([target, value]) => {
    const kind = session.kinds.get(target) ?? 'text';
    return canonicalValue(kind, value) !== canonicalValue(kind, readTarget(current, target));
  });
  const element = elementOf(Object.fromEntries(differing), current);
  const name = wantedName(fields, item.reference);
  const held = current.name ?? '';
  const isNamed = name === undefined || bareName(held, item.reference) === bareName(name, item.reference);
  if (!isNamed) element.name = name;
  if ((current.contactNumber ?? '') === '') element.contactNumber = item.reference;
  if (isArchived(current)) {
    element.contactStatus = Contact.ContactStatusEnum.ACTIVE;
    // Its name may have been taken since.
    element.name ??= held;
  }
  if (Object.values(element).every((value) => value === undefined)) return { kind: 'unchanged' };
  element.contactID = idOf(current);
  return { item, element, current, ids };
}

/** Which of several records is written to. */
function rank(contact: Contact, item: Item): number {
  return (isArchived(contact) ? 0 : 2) + (contact.contactNumber === item.reference ? 1 : 0);
}

function withKey(fields: Readonly<Record<string, string>>, key: string | null): Record<string, string> {
  return { ...fields, EmailAddress: fields['EmailAddress'] ?? key ?? '' };
}

/**
 * Elements of new contacts. A name that is taken is marked with our reference from the start: Xero has been seen to change the contact
 * of that name instead of creating one. A record found on the way that carries our reference is ours already.
 */
async function planCreates(
  session: Session,
  items: Item[],
  gate: Gate,
): Promise<{ plans: Plan[]; found: Map<Item, Contact> }> {
  const nameOf = (item: Item): string => wantedName(item.want.fields, item.reference) ?? neutralName(item.reference);
  const sameNamed = await whereAny(session.client, 'Name', items.map(nameOf), gate);
  const ours = new Map(sameNamed.map((contact) => [contact.contactNumber, contact]));
  const taken = new Set(sameNamed.filter((each) => !isArchived(each)).map((each) => nameKey(each.name ?? '')));
  const plans: Plan[] = [];
  const found = new Map<Item, Contact>();
  for (const item of items) {
    const existing = ours.get(item.reference);
    if (existing !== undefined) {
      found.set(item, existing);
      continue;
    }
    const fields = withKey(item.want.fields, item.want.key);
    const element = elementOf(
      Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== '')),
      undefined,
    );
    const name = nameOf(item);
    const isFree = canBeAsked(name) && !taken.has(nameKey(name));
    element.name = isFree ? name : markedName(name, item.reference);
    element.contactNumber = item.reference;
    taken.add(nameKey(name));
    plans.push({ item, element, ids: [] });
  }
  return { plans, found };
}

/** Writes all; what was refused for a name or a reference that is taken is written once more, differently. */
async function write(session: Session, plans: Plan[], gate: Gate): Promise<Map<Plan, ElementResult>> {
  const results = new Map<Plan, ElementResult>();
  const round = async (some: Plan[]): Promise<void> => {
    const updates = some.filter((plan) => plan.current !== undefined);
    const creates = some.filter((plan) => plan.current === undefined);
    const updated = await updateAll(
      session,
      updates.map((plan) => plan.element),
      gate,
    );
    for (const [index, plan] of updates.entries()) results.set(plan, updated[index]!);
    const created = await createAll(
      session,
      creates.map((plan) => plan.element),
      gate,
    );
    for (const [index, plan] of creates.entries()) results.set(plan, created[index]!);
  };
  await round(plans);

  const again: Plan[] = [];
  for (const plan of plans) {
    if (refusalIn(results.get(plan)) !== 'name_taken') continue;
    const name = plan.element.name ?? '';
    const marked = markedName(name, plan.item.reference);
    if (sameName(name, marked) || bareName(name, plan.item.reference) !== name) continue;
    plan.element.name = marked;
    again.push(plan);
  }
  if (again.length > 0) await round(again);
  return results;
}

function settled(plan: Plan, result: ElementResult): [Outcome, string[]] {
  const { item, ids } = plan;
  switch (result.kind) {
    case 'outcome':
      return [result.outcome, plan.current === undefined ? item.externalIds : ids];
    case 'refused':
      return [outcomeOfRefusal(result.refusal, plan), plan.current === undefined ? item.externalIds : ids];
    case 'written': {
      const id = idOf(result.contact);
      // A create that came back under another reference changed somebody else's record.
      const isOurs = plan.current !== undefined || result.contact.contactNumber === item.reference;
      if (!isOurs) return [{ kind: 'unclassified', code: 'created_elsewhere' }, item.externalIds];
      return [{ kind: 'applied' }, [id, ...ids.filter((each) => each !== id)]];
    }
  }
}

function outcomeOfRefusal(refusal: Refusal, plan: Plan): Outcome {
  switch (refusal.kind) {
    case 'outcome':
      return refusal.outcome;
    case 'name_taken':
      return { kind: 'rejected', code: 'name_taken', field: 'Name' };
    case 'number_taken':
      // A create: it happened before. An update: two records of one person, which one is a person's to say.
      return plan.current === undefined
        ? { kind: 'retry', code: 'already_exists' }
        : { kind: 'ambiguous', code: 'reference_on_other_record' };
    case 'archived':
      return { kind: 'retry', code: 'archived_meanwhile' };
    case 'gone':
      return { kind: 'retry', code: 'gone_at_vendor' };
    case 'open_invoices':
      return { kind: 'unclassified', code: 'open_invoices' };
  }
}

function refusalIn(result: ElementResult | undefined): Refusal['kind'] | undefined {
  return result?.kind === 'refused' ? result.refusal.kind : undefined;
}

function idOf(contact: Contact): string {
  return contact.contactID ?? '';
}
