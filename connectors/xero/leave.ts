/**
 * Erasure and purge. Xero deletes nothing, so both are: take out everything of the person (archived records are restored
 * for it), then archive. Where invoices keep the contact, what an invoice must bear stays (name and postal address, EU VAT
 * Directive Art. 226) and the outcome is `retained`. GDPRREQUEST is Xero's own to set.
 */
import { Contact } from 'xero-node';
import type { Outcome } from '../../domain/outcome.ts';
import type { Gate, Item, ItemResult } from '../kit/connector.ts';
import type { Refusal } from './faults.ts';
import { addressKey, addressesOf, byIds, chunks, recordsOf, whereAny, whoseIs } from './find.ts';
import { IDS_BATCH } from './limits.ts';
import { holdsNobody, withoutPerson, withoutPhones } from './mapping.ts';
import { neutralName } from './names.ts';
import { isArchived } from './observe.ts';
import { OPEN_STATUSES, retentionOf, reviewUnseen } from './retention.ts';
import type { Retention } from './retention.ts';
import { resultOf } from './session.ts';
import type { Session } from './session.ts';
import { departureElement, isShared } from './shared.ts';
import { updateAll } from './write.ts';
import type { ElementResult } from './write.ts';

/** One record of a person who leaves. */
interface Job {
  item: Item;
  contact: Contact;
  /** Number of the record among those of the person, the one with our reference first. */
  copy: number;
  retention?: Retention;
  outcome: Outcome;
}

/** Same length, same order. @throws ConnectorStop when a read failed; nothing was written then */
export async function leave(session: Session, items: Item[], gate: Gate): Promise<ItemResult[]> {
  const { jobs, doubtful } = await findJobs(session, items, gate);
  await findRetention(session, jobs, gate);
  await scrub(session, jobs, gate);
  await archive(session, jobs, gate);
  return items.map((item) => {
    const own = jobs.filter((job) => job.item === item);
    const outcomes = own.map((job) => job.outcome);
    if (doubtful.has(item)) outcomes.push({ kind: 'ambiguous', code: 'whose_record' });
    const ids = [...new Set([...own.map((job) => idOf(job.contact)), ...(doubtful.has(item) ? item.externalIds : [])])];
    return resultOf(item, gravest(outcomes), ids);
  });
}

/** All records of each person, and the persons for whom that is not sure. */
async function findJobs(session: Session, items: Item[], gate: Gate): Promise<{ jobs: Job[]; doubtful: Set<Item> }> {
  const { client } = session;
  const found = await byIds(
    client,
    items.flatMap((item) => item.externalIds),
    gate,
  );
  const known = new Map(items.map((item) => [item, recordsOf(item, found)]));
  const searched = items.filter((item) => isSearched(item, known.get(item)?.length ?? 0));
  const byNumber = await whereAny(
    client,
    'ContactNumber',
    searched.map((item) => item.reference),
    gate,
  );
  const byAddress = await whereAny(
    client,
    'EmailAddress',
    searched.flatMap((item) => item.identity.addresses),
    gate,
  );

  const jobs: Job[] = [];
  const doubtful = new Set<Item>();
  for (const item of items) {
    const records = known.get(item) ?? [];
    const ours = records.filter((contact) => whoseIs(contact, item, true) === 'ours' || isShared(contact));
    if (ours.length < records.length) doubtful.add(item);
    const taken = new Set(records.map(idOf));
    const others = searched.includes(item)
      ? [...byNumber, ...byAddress].filter((each) => isCandidate(each, item, taken))
      : [];
    let lookalikes = 0;
    for (const contact of others) {
      if (taken.has(idOf(contact))) continue;
      taken.add(idOf(contact));
      const whose = whoseIs(contact, item, false);
      if (whose === 'ours') ours.push(contact);
      if (whose === 'same_address_other_name') lookalikes += 1;
    }
    // A record of the address under another name is somebody else's, unless it is all there is.
    if (ours.length === 0 && lookalikes > 0) doubtful.add(item);
    const ordered = ours.toSorted(
      (a, b) => Number(b.contactNumber === item.reference) - Number(a.contactNumber === item.reference),
    );
    for (const [copy, contact] of ordered.entries()) jobs.push({ item, contact, copy, outcome: { kind: 'unchanged' } });
  }
  return { jobs, doubtful };
}

/**
 * An erasure looks for every copy, a purge only where nothing is known under an id. Those who do not belong are many and were
 * mostly never there: without an id, the engine's scan has said so.
 */
function isSearched(item: Item, known: number): boolean {
  switch (item.want.presence) {
    case 'erased':
      return true;
    case 'outside':
      return known === 0 && (item.lookFirst || item.externalIds.length > 0);
    case 'purged':
    case 'present':
    case 'if_there':
    case 'carried':
      return known === 0;
  }
}

function isCandidate(contact: Contact, item: Item, taken: ReadonlySet<string>): boolean {
  if (taken.has(idOf(contact)) || contact.mergedToContactID !== undefined) return false;
  if (contact.contactNumber === item.reference) return true;
  const known = new Set(item.identity.addresses.map(addressKey));
  return addressesOf(contact).some((address) => known.has(addressKey(address)));
}

async function findRetention(session: Session, jobs: Job[], gate: Gate): Promise<void> {
  const { client, settings } = session;
  const asked = jobs.filter((job) => !isShared(job.contact) && !isDone(job));
  const statuses = settings.retain === 'open_invoices' ? OPEN_STATUSES : [];
  const pages = await Promise.all(
    chunks([...new Set(asked.map((job) => idOf(job.contact)))], IDS_BATCH).map((ids) =>
      client.invoices(ids, statuses, gate),
    ),
  );
  const invoices = Map.groupBy(pages.flat(), (invoice) => invoice.contact?.contactID ?? '');
  for (const job of asked) {
    const retention = retentionOf(invoices.get(idOf(job.contact)) ?? [], settings, Date.now());
    if (retention !== undefined) job.retention = retention;
  }
}

async function scrub(session: Session, jobs: Job[], gate: Gate): Promise<void> {
  const writes = jobs.flatMap((job) => {
    const element = scrubElement(job);
    return element === null ? [] : [{ job, element }];
  });
  const results = await updateAll(
    session,
    writes.map(({ element }) => element),
    gate,
  );
  for (const [index, { job }] of writes.entries()) job.outcome = outcomeOf(session, results[index]!);
}

/** Null where nothing is left to take out. */
function scrubElement(job: Job): Contact | null {
  const { contact, item, retention } = job;
  if (isShared(contact)) return departureElement(contact, item);
  if (isDone(job)) return null;
  const name =
    job.copy === 0 ? neutralName(item.reference) : `${neutralName(item.reference)} ${idOf(contact).slice(0, 8)}`;
  if (retention === undefined && contact.name === name && holdsNobody(contact)) return null;
  const element = retention === undefined ? withoutPerson() : withoutPhones();
  if (retention === undefined) {
    element.name = name;
    element.contactNumber = job.copy === 0 ? item.reference : '';
    element.contactPersons = [];
  } else {
    if (isReduced(contact)) return null;
    element.firstName = '';
    element.lastName = '';
    element.emailAddress = '';
  }
  element.contactID = idOf(contact);
  // An archived contact can only be changed by restoring it.
  if (isArchived(contact)) element.contactStatus = Contact.ContactStatusEnum.ACTIVE;
  return element;
}

/** What a retained contact is reduced to. */
function isReduced(contact: Contact): boolean {
  const texts = [contact.firstName, contact.lastName, contact.emailAddress];
  const phones = (contact.phones ?? []).flatMap((phone) => [
    phone.phoneNumber,
    phone.phoneAreaCode,
    phone.phoneCountryCode,
  ]);
  return [...texts, ...phones].every((text) => text === undefined || text === '');
}

/** Archived with nothing personal left. */
function isDone({ contact, item }: Job): boolean {
  return isArchived(contact) && (contact.name ?? '').startsWith(neutralName(item.reference)) && holdsNobody(contact);
}

async function archive(session: Session, jobs: Job[], gate: Gate): Promise<void> {
  const due = jobs.filter((job) => {
    const isWritten = job.outcome.kind === 'applied';
    if (!isWritten && job.outcome.kind !== 'unchanged') return false;
    if (isShared(job.contact) || job.retention?.hasOpen === true) return false;
    // Restored for scrubbing, it is active again.
    return !isArchived(job.contact) || isWritten;
  });
  const elements = due.map((job) => {
    const element = new Contact();
    element.contactID = idOf(job.contact);
    element.contactStatus = Contact.ContactStatusEnum.ARCHIVED;
    return element;
  });
  const results = await updateAll(session, elements, gate);
  for (const [index, job] of due.entries()) job.outcome = outcomeOf(session, results[index]!);
  for (const job of jobs) {
    const isWell = job.outcome.kind === 'applied' || job.outcome.kind === 'unchanged';
    if (job.retention !== undefined && isWell) {
      job.outcome = { kind: 'retained', code: 'invoices', reviewOn: job.retention.reviewOn };
    }
  }
}

function outcomeOf(session: Session, result: ElementResult): Outcome {
  switch (result.kind) {
    case 'written':
      return { kind: 'applied' };
    case 'outcome':
      return result.outcome;
    case 'refused':
      return outcomeOfRefusal(session, result.refusal);
  }
}

function outcomeOfRefusal(session: Session, refusal: Refusal): Outcome {
  switch (refusal.kind) {
    case 'outcome':
      return refusal.outcome;
    case 'open_invoices':
      return { kind: 'retained', code: 'invoices', reviewOn: reviewUnseen(session.settings, Date.now()) };
    case 'archived':
      return { kind: 'retry', code: 'archived_meanwhile' };
    case 'gone':
      return { kind: 'retry', code: 'gone_at_vendor' };
    case 'name_taken':
    case 'number_taken':
      return { kind: 'ambiguous', code: 'reference_on_other_record' };
  }
}

/** Gravest first: what is open, then what needs a person, then what is kept. */
const GRAVITY: Outcome['kind'][] = [
  'unknown',
  'retry',
  'unauthorised',
  'unclassified',
  'ambiguous',
  'rejected',
  'refused',
  'not_supported',
  'retained',
  'stricter',
  'applied',
  'carried',
  'unchanged',
  'not_held',
];

/** One outcome for all records of a person; nothing found is `not_held`. */
function gravest(outcomes: Outcome[]): Outcome {
  const [first] = outcomes.toSorted((a, b) => GRAVITY.indexOf(a.kind) - GRAVITY.indexOf(b.kind));
  return first ?? { kind: 'not_held' };
}

function idOf(contact: Contact): string {
  return contact.contactID ?? '';
}
