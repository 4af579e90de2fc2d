/** Reading back, scanning, collecting. */
import type { Contact } from 'xero-node';
import type { Connector, Gate, Item, Observation, Page } from '../kit/connector.ts';
import { byIds, recordsOf, whereAny, whoseIs } from './find.ts';
import { IDS_BATCH } from './limits.ts';
import { observe } from './observe.ts';
import { stopOutcome } from './session.ts';
import type { Session } from './session.ts';

type Reading = Awaited<ReturnType<Connector['verify']>>[number];

/** More items than this are read by last change, at 1,000 contacts a call, where that is fewer calls. */
const FEW = 3 * IDS_BATCH;
/** Xero keeps whole seconds of If-Modified-Since, and its clock is its own. */
const SINCE_MARGIN_MS = 2000;
/** Above this many changed records for each that is asked for, reading by id carries less. Happens only without a rate limit. */
const CROWD = 3;

/** Same length, same order. */
export async function verify(session: Session, items: Item[], gate: Gate): Promise<Reading[]> {
  try {
    const ids = items.flatMap((item) => item.externalIds);
    const recent = items.length > FEW ? await readRecent(session, items, gate) : new Map<string, Contact>();
    const found = await byIds(
      session.client,
      ids.filter((id) => !recent.has(id)),
      gate,
    );
    for (const [id, contact] of recent) found.set(id, contact);
    const looked = await lookUp(
      session,
      items.filter((item) => item.externalIds.length === 0),
      gate,
    );
    return items.map((item) => {
      const records = item.externalIds.length === 0 ? (looked.get(item) ?? []) : recordsOf(item, found);
      return observationOf(session, item, records);
    });
  } catch (error) {
    const unread = stopOutcome(error);
    return items.map(() => ({ unread }));
  }
}

/** Of several records, the one that says most against "gone", then against "archived". */
function observationOf(session: Session, item: Item, records: Contact[]): Observation | null {
  const order = { present: 0, archived: 1, gone: 2 };
  const seen = records.map((contact) => observe(contact, session.kinds.keys(), item));
  const [first] = seen.toSorted((a, b) => order[a.presence] - order[b.presence]);
  return first ?? null;
}

/** What changed since the earliest of our writes to these items; empty where that is not known or would be more calls. */
async function readRecent(session: Session, items: Item[], gate: Gate): Promise<Map<string, Contact>> {
  const found = new Map<string, Contact>();
  const since = session.recent.since(items.flatMap((item) => item.externalIds.slice(0, 1)));
  if (since === undefined || session.recent.countSince(since - SINCE_MARGIN_MS) > CROWD * items.length) return found;
  const pagesAtMost = Math.ceil(items.length / IDS_BATCH) - 1;
  for (let page = 1; page <= pagesAtMost; page += 1) {
    const read = await session.client.contactsPage(page, new Date(since - SINCE_MARGIN_MS), gate);
    // A merged record is read by id, which follows to the survivor.
    for (const contact of read.contacts) {
      if (contact.mergedToContactID === undefined) found.set(contact.contactID ?? '', contact);
    }
    if (read.isLast) break;
  }
  return found;
}

async function lookUp(session: Session, items: Item[], gate: Gate): Promise<Map<Item, Contact[]>> {
  const { client } = session;
  const byNumber = await whereAny(
    client,
    'ContactNumber',
    items.map((item) => item.reference),
    gate,
  );
  const byAddress = await whereAny(
    client,
    'EmailAddress',
    items.flatMap((item) => item.identity.addresses),
    gate,
  );
  const isOurs = (contact: Contact, item: Item): boolean => whoseIs(contact, item, false) === 'ours';
  return new Map(items.map((item) => [item, [...byNumber, ...byAddress].filter((contact) => isOurs(contact, item))]));
}

/** One page of everything, or of what changed. The cursor is the number of the next page. @throws ConnectorStop */
export async function readPage(
  session: Session,
  cursor: string | undefined,
  since: string | undefined,
  gate: Gate,
): Promise<Page> {
  const page = cursor === undefined ? 1 : Number(cursor);
  const changed = since === undefined ? undefined : new Date(since);
  const { contacts, isLast } = await session.client.contactsPage(page, changed, gate);
  // A record that was merged into another is empty but for its history; its survivor is listed itself.
  const listed = contacts.filter((contact) => contact.mergedToContactID === undefined);
  const observations = listed.map((contact) => observe(contact, session.kinds.keys()));
  return isLast ? { observations } : { observations, cursor: String(page + 1) };
}

/** All that Xero tells of one contact and its invoices. @throws ConnectorStop */
export async function collect(
  session: Session,
  externalId: string,
  gate: Gate,
): Promise<Record<string, unknown> | null> {
  const contact = await session.client.contact(externalId, gate);
  if (contact === null) return null;
  const invoices = await session.client.invoices([externalId], [], gate);
  const held = {
    contact,
    invoices: invoices.map(({ invoiceNumber, type, status, date, dueDate, total, amountDue, currencyCode }) => {
      return { invoiceNumber, type, status, date, dueDate, total, amountDue, currencyCode };
    }),
  };
  // Plain data: dates as text, nothing that is undefined.
  return JSON.parse(JSON.stringify(held)) as Record<string, unknown>;
}

/** Problems as sentences for an operator. @throws ConnectorStop when Xero cannot be reached, or does not let us in */
export async function check(
  session: Session,
  targets: readonly string[],
  isTarget: (target: string) => boolean,
  gate: Gate,
): Promise<string[]> {
  const problems = targets
    .filter((target) => !isTarget(target))
    .map((target) => `Xero has no contact field '${target}' that this connector knows. Take it out of the mapping.`);
  const { tenantId } = session.settings;
  const tenants = await session.client.tenants(gate);
  if (tenantId !== undefined && !tenants.includes(tenantId)) {
    return [
      ...problems,
      'The configured tenantId is not among the organisations connected to this Xero app. Connect it again.',
    ];
  }
  await session.client.contactsWhere('ContactNumber=="plumbline-check"', gate);
  await session.client.invoices(['00000000-0000-0000-0000-000000000000'], [], gate);
  return problems;
}
