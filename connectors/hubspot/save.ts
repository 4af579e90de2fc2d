/** Making HubSpot hold what is wanted: restrictions first, then the record, then what a consent permits. */
import type { Outcome } from '../../domain/outcome.ts';
import { isSuccess } from '../../domain/outcome.ts';
import type { Gate, Item, ItemResult } from '../kit/connector.ts';
import { halving } from '../kit/halve.ts';
import type { Called } from './client.ts';
import { changesOf, readStates, writeChanges } from './consents.ts';
import type { States } from './consents.ts';
import { existingId, refusalOf } from './faults.ts';
import type { VendorError } from './faults.ts';
import { addressesOf, idsOf, observe, readRecords, sameAddress, stoppedBy } from './records.ts';
import type { HubSpotRecord, Session } from './records.ts';

interface Work {
  item: Item;
  /** Id to write to; null makes a new record. */
  target: string | null;
  data: Outcome | null;
  consent: Outcome | null;
  externalIds: string[];
  seen: HubSpotRecord | null;
}

/** Items that are to be present, or followed where they are there. */
export async function saveAll(session: Session, items: Item[], gate: Gate): Promise<ItemResult[]> {
  const work = items.map((item): Work => ({
    item,
    target: item.externalIds[0] ?? null,
    data: null,
    consent: null,
    externalIds: item.externalIds,
    seen: null,
  }));
  await find(session, work, gate);
  const states = await statesFor(session, work, gate);
  await settle(session, work, states, 'restrict', gate);
  await writeData(session, work, gate);
  await settle(session, work, states, 'permit', gate);
  return work.map((one) => resultOf(session, one, states));
}

function resultOf(session: Session, one: Work, states: States): ItemResult {
  const { item, seen } = one;
  const data = item.parts.data ? (one.data ?? { kind: 'unchanged' }) : ({ kind: 'unchanged' } as const);
  const consent = item.parts.consent ? (one.consent ?? { kind: 'unchanged' }) : ({ kind: 'unchanged' } as const);
  if (one.consent?.kind !== 'stricter') return { data, consent, externalIds: one.externalIds };
  const key = item.want.key ?? '';
  const now = states.get(key.trim().toLowerCase()) ?? {};
  const shown = seen ?? {
    id: one.externalIds[0] ?? '',
    archived: false,
    properties: { email: key },
    updatedAt: undefined,
  };
  return { data, consent, externalIds: one.externalIds, observation: observe(shown, session.mapped, now) };
}

/** Looks before anything is written: by id, by our reference, by exact address. */
async function find(session: Session, work: Work[], gate: Gate): Promise<void> {
  const looking = work.filter((w) => w.item.lookFirst || (w.target === null && w.item.want.presence === 'if_there'));
  if (looking.length === 0) return;
  const ids = looking.flatMap((w) => w.item.externalIds);
  const byId = ids.length === 0 ? { ok: [] } : await readRecords(session, gate, ids);
  const byReference = await readRecords(
    session,
    gate,
    looking.map((w) => w.item.reference),
    { by: 'reference' },
  );
  const keys = looking.map((w) => w.item.want.key ?? w.item.known?.key).filter((k) => k !== null && k !== undefined);
  const byAddress = keys.length === 0 ? { ok: [] } : await readRecords(session, gate, keys, { by: 'email' });
  for (const reading of [byId, byReference, byAddress]) {
    if ('ok' in reading) continue;
    // A restriction needs the address alone and goes out all the same.
    for (const one of looking) one.data = reading.stopped;
    return;
  }
  const all = [byId, byReference, byAddress].flatMap((r) => ('ok' in r ? r.ok : []));
  for (const one of looking) choose(session, one, all);
}

function choose(session: Session, one: Work, all: HubSpotRecord[]): void {
  const { item } = one;
  const { mapped } = session;
  const ofId = all.find((r) => item.externalIds.some((id) => idsOf(r).includes(id)));
  const ofReference = all.find((r) => r.properties[mapped.reference] === item.reference);
  const key = item.want.key;
  const ofAddress = key === null ? undefined : all.find((r) => sameAddress(r.properties['email'] ?? '', key));
  const found = ofReference ?? ofId ?? ofAddress;
  if (found === undefined) {
    one.target = null;
    one.externalIds = [];
    if (item.want.presence === 'if_there') one.data = { kind: 'not_held' };
    return;
  }
  const reference = found.properties[mapped.reference] ?? '';
  const foreign = reference !== '' && reference !== item.reference;
  // Under the very id that the ledger has, a record is ours to write whoever held it before; a merged one, or one found by address, is not.
  const isOwnId = item.externalIds.includes(found.id);
  if (foreign && !isOwnId) {
    one.data = { kind: 'ambiguous', code: 'record_of_another' };
    return;
  }
  one.target = found.id;
  one.seen = found;
  one.externalIds = [found.id];
}

async function statesFor(session: Session, work: Work[], gate: Gate): Promise<States> {
  const asking = work.filter(
    (w) =>
      w.consent === null &&
      w.item.parts.consent &&
      Object.values(w.item.want.consents).some((c) => c.state !== 'untouched'),
  );
  const addresses = asking.map((w) => w.item.want.key).filter((k) => k !== null);
  for (const one of asking) if (one.item.want.key === null) one.consent = { kind: 'not_held' };
  if (addresses.length === 0) return new Map();
  const read = await readStates(session, gate, addresses);
  if ('ok' in read) return read.ok;
  for (const one of asking) one.consent ??= read.stopped;
  return new Map();
}

async function settle(
  session: Session,
  work: Work[],
  states: States,
  which: 'restrict' | 'permit',
  gate: Gate,
): Promise<void> {
  const changes = [];
  for (const one of work) {
    if (one.consent !== null && one.consent.kind !== 'applied') continue;
    if (which === 'permit' && !mayPermit(one)) {
      const permits = Object.values(one.item.want.consents).some((c) => c.state === 'subscribed');
      if (permits && one.item.parts.consent && one.data !== null) one.consent = one.data;
      continue;
    }
    const own = changesOf(one.item, states, which);
    if (own.unread === true) one.consent = { kind: 'retry', code: 'state_unread' };
    if (own.stricter) one.consent = { kind: 'stricter', code: 'unsubscribed_at_vendor' };
    changes.push(...own.changes);
  }
  if (changes.length === 0) return;
  const outcomes = await writeChanges(session, gate, changes);
  for (const one of work) {
    const outcome = outcomes.get(one.item);
    if (outcome !== undefined) one.consent = outcome;
  }
}

/** Nobody is subscribed who is not there, nor under an address that the data part could not make theirs. */
function mayPermit({ data, item, externalIds }: Work): boolean {
  if (data === null) return true;
  if (data.kind === 'not_held') return false;
  if (isSuccess(data)) return true;
  const { key } = item.want;
  const known = item.known?.key ?? null;
  return externalIds.length > 0 && key !== null && known !== null && sameAddress(known, key);
}

async function writeData(session: Session, work: Work[], gate: Gate): Promise<void> {
  const open = work.filter((w) => w.data === null && w.item.parts.data);
  const creates = open.filter((w) => w.target === null);
  // A record that bore our reference at the last reading is written by it: where somebody merged it into another person's record, the
  // old id would lead there. Others (linked just now, looked up just now) are written by their id.
  const byReference = open.filter((w) => w.target !== null && w.item.known !== null && w.seen === null);
  const byId = open.filter((w) => w.target !== null && !byReference.includes(w));
  await writeBatch(session, byReference, gate, updateByReference);
  // Two inputs with one id would refuse the batch.
  const ids = new Set<string>();
  const doubles = byId.filter((w) => ids.has(w.target ?? '') || !ids.add(w.target ?? ''));
  await writeBatch(
    session,
    byId.filter((w) => !doubles.includes(w)),
    gate,
    updateById,
  );
  for (const one of doubles) await writeBatch(session, [one], gate, updateById);
  await writeBatch(session, creates, gate, create);
  await linkTaken(session, creates, gate);
}

type Write = (session: Session, work: Work[], gate: Gate) => Promise<Called<BatchAnswer>>;

interface BatchAnswer {
  /** Trace or reference → id. */
  written: Map<string, string>;
  errors: VendorError[];
}

function propertiesOf(session: Session, { item, target }: Work): Record<string, string> {
  const fields = Object.entries(item.want.fields).filter(([name]) => name !== session.mapped.reference);
  // A new record needs no empty properties.
  return {
    ...Object.fromEntries(target === null ? fields.filter(([, value]) => value !== '') : fields),
    [session.mapped.reference]: item.reference,
  };
}

function readBatch(session: Session): (data: unknown) => BatchAnswer | undefined {
  return (data) => {
    const { results, errors } = (typeof data === 'object' && data !== null ? data : {}) as {
      results?: unknown;
      errors?: VendorError[];
    };
    if (!Array.isArray(results)) return undefined;
    const written = new Map<string, string>();
    for (const found of results as {
      id?: string;
      objectWriteTraceId?: string;
      properties?: Record<string, string | null>;
    }[]) {
      if (typeof found.id !== 'string') continue;
      written.set(`id:${found.id}`, found.id);
      const reference = found.properties?.[session.mapped.reference];
      if (typeof reference === 'string') written.set(`ref:${reference}`, found.id);
      if (typeof found.objectWriteTraceId === 'string') written.set(`trace:${found.objectWriteTraceId}`, found.id);
    }
    return { written, errors: errors ?? [] };
  };
}

const updateById: Write = (session, work, gate) => update(session, work, gate, null);
const updateByReference: Write = (session, work, gate) => update(session, work, gate, session.mapped.reference);

function update(session: Session, work: Work[], gate: Gate, idProperty: string | null): Promise<Called<BatchAnswer>> {
  return session.hubspot.call(
    gate,
    'contacts.batch_update',
    'write',
    (client) =>
      client.crm.contacts.batchApi.updateWithHttpInfo({
        inputs: work.map((one) => ({
          id: idProperty === null ? (one.target ?? '') : one.item.reference,
          ...(idProperty === null ? {} : { idProperty }),
          objectWriteTraceId: one.item.reference,
          properties: propertiesOf(session, one),
        })),
      }),
    readBatch(session),
  );
}

/** Upsert by our unique property: a repeat of the same create is harmless. */
const create: Write = (session, work, gate) =>
  session.hubspot.call(
    gate,
    'contacts.batch_upsert',
    'write',
    (client) =>
      client.crm.contacts.batchApi.upsertWithHttpInfo({
        inputs: work.map((one) => ({
          id: one.item.reference,
          idProperty: session.mapped.reference,
          objectWriteTraceId: one.item.reference,
          properties: propertiesOf(session, one),
        })),
      }),
    readBatch(session),
  );

async function writeBatch(session: Session, work: Work[], gate: Gate, write: Write): Promise<void> {
  await halving(
    work,
    async (some) => {
      const called = await write(session, some, gate);
      if (called.kind === 'refused_whole' && some.length > 1) return 'refused_whole';
      for (const one of some) take(one, called);
      return some;
    },
    (one) => one,
  );
}

function take(one: Work, called: Called<BatchAnswer>): void {
  if (called.kind !== 'ok') {
    // Its ids stay: the next attempt looks under them, and may find it under another's reference.
    one.data = called.kind === 'not_found' ? GONE : stoppedBy(called).stopped;
    if (one.data.kind === 'rejected' && one.data.code === 'address_taken' && one.target === null) {
      const taken = existingId(called.failure?.body);
      one.data = {
        kind: 'retry',
        code: 'already_exists',
        afterMs: 0,
        ...(taken === undefined ? {} : { message: 'address is taken' }),
      };
    }
    return;
  }
  const { written, errors } = called.value;
  const id =
    written.get(`ref:${one.item.reference}`) ??
    written.get(`trace:${one.item.reference}`) ??
    (one.target === null ? undefined : written.get(`id:${one.target}`));
  if (id !== undefined) {
    one.data = { kind: 'applied' };
    one.externalIds = [id];
    return;
  }
  const mine = errors.find((error) => concerns(error, one));
  if (mine === undefined) {
    one.data = { kind: 'unknown', code: 'not_in_answer' };
    return;
  }
  const outcome = refusalOf(mine, mine.category === 'CONFLICT' ? 409 : 400);
  const taken = outcome.kind === 'rejected' && outcome.code === 'address_taken' && one.target === null;
  if (taken) one.data = { kind: 'retry', code: 'already_exists', afterMs: 0 };
  else one.data = outcome.kind === 'retry' && outcome.code === 'gone_at_vendor' ? GONE : outcome;
}

const GONE: Outcome = { kind: 'retry', code: 'gone_at_vendor', afterMs: 0 };

function concerns(error: VendorError, one: Work): boolean {
  const list = (name: string): string[] => {
    const value = error.context?.[name];
    return (Array.isArray(value) ? value : [value]).filter((v) => v !== undefined).map(String);
  };
  return (
    list('objectWriteTraceId').includes(one.item.reference) ||
    list('ids').includes(one.target ?? one.item.reference) ||
    list('ids').includes(one.item.reference)
  );
}

/** A create whose address is held by a record without our reference: that record is the person's, and is updated by its id. */
async function linkTaken(session: Session, creates: Work[], gate: Gate): Promise<void> {
  const taken = creates.filter(
    (w) => w.data?.kind === 'retry' && w.data.code === 'already_exists' && w.item.want.key !== null,
  );
  if (taken.length === 0) return;
  const read = await readRecords(
    session,
    gate,
    taken.map((w) => w.item.want.key ?? ''),
    { by: 'email' },
  );
  if (!('ok' in read)) return;
  const linked: Work[] = [];
  for (const one of taken) {
    const key = one.item.want.key ?? '';
    const found = read.ok.find((r) => addressesOf(r).some((a) => sameAddress(a, key)));
    if (found === undefined) continue;
    const reference = found.properties[session.mapped.reference] ?? '';
    if (reference !== '' && reference !== one.item.reference) {
      one.data = { kind: 'ambiguous', code: 'record_of_another' };
      continue;
    }
    one.target = found.id;
    one.externalIds = [found.id];
    linked.push(one);
  }
  await writeBatch(session, linked, gate, updateById);
}
