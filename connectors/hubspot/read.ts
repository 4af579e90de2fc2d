/** Reading back, listing everything, collecting one record. */
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate, Item, Observation, ObservedConsent, Page } from '../kit/connector.ts';
import type { Outcome } from '../../domain/outcome.ts';
import { readStates } from './consents.ts';
import type { States } from './consents.ts';
import { BATCH } from './limits.ts';
import { addressesOf, idsOf, isOf, observe, readRecords, recordOf, stoppedBy, wantedProperties } from './records.ts';
import type { HubSpotRecord, Session } from './records.ts';

type Reading = Observation | null | { unread: Outcome };

/**
 * By id in batches; archived ones only where somebody should have left. Reading by id does not lag. Subscriptions are a call of
 * their own: they are read where consent is part of the attempt or the address is another than before; else what was last read
 * of them stands.
 */
export async function verify(session: Session, items: Item[], gate: Gate): Promise<Reading[]> {
  const ids = items.flatMap((i) => i.externalIds);
  const leaving = items.filter((i) => !['present', 'if_there'].includes(i.want.presence));
  const unknown = items.filter((i) => i.externalIds.length === 0);
  const readings = [];
  if (ids.length > 0) readings.push(await readRecords(session, gate, ids));
  const leavingIds = leaving.flatMap((i) => i.externalIds);
  if (leavingIds.length > 0) readings.push(await readRecords(session, gate, leavingIds, { archived: true }));
  if (unknown.length > 0) {
    readings.push(
      await readRecords(
        session,
        gate,
        unknown.map((i) => i.reference),
        { by: 'reference' },
      ),
    );
  }
  // Without an id nobody counts as gone before their addresses were looked at too.
  const addresses = unknown.flatMap((i) => i.identity.addresses);
  if (addresses.length > 0) readings.push(await readRecords(session, gate, addresses, { by: 'email' }));
  const found: HubSpotRecord[] = [];
  for (const reading of readings) {
    if ('stopped' in reading) return items.map(() => ({ unread: reading.stopped }));
    found.push(...reading.ok);
  }
  const mine = items.map((item) => {
    const record = pick(session, item, found);
    return { record, known: record === undefined ? undefined : standing(session, item, record) };
  });
  const states = await readStates(
    session,
    gate,
    mine.flatMap(({ record, known }) => (record === undefined || known !== undefined ? [] : [addressOf(record)])),
  );
  if ('stopped' in states) return items.map(() => ({ unread: states.stopped }));
  return mine.map(({ record, known }) => {
    if (record === undefined) return null;
    const consents = known ?? stateOf(session, record, states.ok);
    return consents === undefined ? { unread: UNREAD } : observe(record, session.mapped, consents);
  });
}

/** The consents as last read, where this attempt neither states nor moves any; else undefined. */
function standing(session: Session, item: Item, record: HubSpotRecord): Record<string, ObservedConsent> | undefined {
  if (item.parts.consent || item.lookFirst || item.known === null) return undefined;
  const { key, consents } = item.known;
  if (key?.trim().toLowerCase() !== addressOf(record)) return undefined;
  return session.mapped.consentTargets.every((target) => consents[target] !== undefined) ? consents : undefined;
}

function addressOf(record: HubSpotRecord): string {
  return (record.properties['email'] ?? '').trim().toLowerCase();
}

const UNREAD: Outcome = { kind: 'retry', code: 'state_unread' };

/** Consents of a record; undefined where they could not be read. A record without an address has none. */
function stateOf(session: Session, record: HubSpotRecord, states: States): Record<string, ObservedConsent> | undefined {
  const address = addressOf(record);
  if (address === '' || record.archived || session.mapped.consentTargets.length === 0) return {};
  return states.get(address);
}

/** The live record of several; an erased person's further copies count too. */
function pick(session: Session, item: Item, found: HubSpotRecord[]): HubSpotRecord | undefined {
  const mine = found.filter(
    (r) =>
      item.externalIds.some((id) => idsOf(r).includes(id)) ||
      (item.externalIds.length === 0 && isOf(r, item, session.mapped)),
  );
  return mine.find((r) => !r.archived) ?? mine[0];
}

interface Cursor {
  archived: boolean;
  after: string | null;
}

/** Lists that make one page of a scan. HubSpot gives a hundred records at a time, and their subscriptions by another call. */
const LISTS = 5;

/**
 * Live records first, then archived ones. While the subscriptions of one list are read the next is listed already. What was read before a
 * failure is given; the failure shows again with the next page.
 */
export async function scan(session: Session, cursor: string | undefined, gate: Gate): Promise<Page> {
  const parts: { from: Cursor; observations: Promise<Observation[]> }[] = [];
  let next: Cursor | null = cursor === undefined ? { archived: false, after: null } : (JSON.parse(cursor) as Cursor);
  while (next !== null && parts.length < LISTS) {
    const from: Cursor = next;
    const listed = list(session, from, gate);
    const observations = listed.then(async ({ records }) => observed(session, records, gate));
    // Looked at when all have ended.
    observations.catch(() => undefined);
    parts.push({ from, observations });
    next = await listed.then(
      (l) => l.next,
      () => null,
    );
  }
  const read: Observation[] = [];
  const settled = await Promise.allSettled(parts.map((part) => part.observations));
  for (const [at, part] of settled.entries()) {
    if (part.status === 'fulfilled') read.push(...part.value);
    else if (at === 0) throw part.reason;
    else return { observations: read, cursor: JSON.stringify(parts[at]?.from) };
  }
  return next === null ? { observations: read } : { observations: read, cursor: JSON.stringify(next) };
}

/** @throws ConnectorStop */
async function list(
  session: Session,
  { archived, after }: Cursor,
  gate: Gate,
): Promise<{ records: HubSpotRecord[]; next: Cursor | null }> {
  const called = await session.hubspot.call(
    gate,
    'contacts.list',
    'read',
    (client) =>
      client.crm.contacts.basicApi.getPageWithHttpInfo(
        BATCH,
        after ?? undefined,
        wantedProperties(session.mapped),
        undefined,
        undefined,
        archived,
      ),
    (data) => {
      const { results, paging } = (typeof data === 'object' && data !== null ? data : {}) as {
        results?: unknown[];
        paging?: { next?: { after?: string } };
      };
      if (!Array.isArray(results)) return undefined;
      const records = results.map(recordOf).filter((r) => r !== undefined);
      return records.length === results.length ? { records, after: paging?.next?.after ?? null } : undefined;
    },
  );
  if (called.kind !== 'ok') throw new ConnectorStop(stoppedBy(called).stopped);
  const records = called.value.records.map((r) => ({ ...r, archived }));
  if (called.value.after !== null) return { records, next: { archived, after: called.value.after } };
  return { records, next: archived ? null : { archived: true, after: null } };
}

/** With their subscriptions. @throws ConnectorStop */
async function observed(session: Session, records: HubSpotRecord[], gate: Gate): Promise<Observation[]> {
  const states = await readStates(
    session,
    gate,
    records.filter((r) => !r.archived).map((r) => r.properties['email'] ?? ''),
  );
  if ('stopped' in states) throw new ConnectorStop(states.stopped);
  return records.map((record) => {
    const consents = stateOf(session, record, states.ok);
    if (consents === undefined) throw new ConnectorStop(UNREAD);
    return observe(record, session.mapped, consents);
  });
}

/** All properties and subscriptions of one record (GDPR Art. 15). */
export async function collect(session: Session, id: string, gate: Gate): Promise<Record<string, unknown> | null> {
  const names = await propertyNames(session, gate);
  const get = (archived: boolean) =>
    session.hubspot.call(
      gate,
      'contacts.get',
      'read',
      (client) => client.crm.contacts.basicApi.getByIdWithHttpInfo(id, names, undefined, undefined, archived),
      recordOf,
    );
  const live = await get(false);
  // What is in the recycle bin is held too.
  const called = live.kind === 'not_found' ? await get(true) : live;
  if (called.kind === 'not_found') return null;
  if (called.kind !== 'ok') throw new ConnectorStop(stoppedBy(called).stopped);
  const states = await readStates(session, gate, addressesOf(called.value));
  if ('stopped' in states) throw new ConnectorStop(states.stopped);
  const held = Object.entries(called.value.properties).filter(([, value]) => value !== null && value !== '');
  return {
    id: called.value.id,
    properties: Object.fromEntries(held),
    subscriptions: Object.fromEntries(states.ok),
  };
}

/** Names of all contact properties. @throws ConnectorStop */
export async function propertyNames(session: Session, gate: Gate): Promise<string[]> {
  const called = await session.hubspot.call(
    gate,
    'properties.list',
    'read',
    (client) => client.crm.properties.coreApi.getAllWithHttpInfo('contacts', false),
    (data) => {
      const { results } = (typeof data === 'object' && data !== null ? data : {}) as { results?: { name?: string }[] };
      return Array.isArray(results) ? results.map((p) => p.name ?? '') : undefined;
    },
  );
  if (called.kind !== 'ok') throw new ConnectorStop(stoppedBy(called).stopped);
  return called.value;
}
