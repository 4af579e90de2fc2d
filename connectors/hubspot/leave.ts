/** Leaving HubSpot: archive for who does not belong or was purged, the privacy delete for who was erased. */
import type { Outcome } from '../../domain/outcome.ts';
import type { Gate, Item, ItemResult } from '../kit/connector.ts';
import { changesOf, readStates, writeChanges } from './consents.ts';
import { BATCH } from './limits.ts';
import { idsOf, isOf, readRecords, stoppedBy } from './records.ts';
import type { HubSpotRecord, Session } from './records.ts';

export async function leaveAll(session: Session, items: Item[], gate: Gate): Promise<ItemResult[]> {
  const restricted = await restrictFirst(session, items, gate);
  const found = await findAll(session, items, gate);
  const results = new Map<Item, ItemResult>();
  const archiving: { item: Item; ids: string[] }[] = [];
  for (const item of items) {
    const consent = restricted.get(item) ?? { kind: 'not_held' };
    const put = (data: Outcome, externalIds: string[]): void => void results.set(item, { data, consent, externalIds });
    if ('stopped' in found) {
      put(found.stopped, item.externalIds);
      continue;
    }
    const mine = found.ok.filter((r) => isOf(r, item, session.mapped));
    const byId = found.ok.filter((r) => item.externalIds.some((id) => idsOf(r).includes(id)));
    if (byId.some((r) => !mine.includes(r))) {
      // The stored id leads to somebody else: nothing irreversible by guess.
      put({ kind: 'ambiguous', code: 'record_of_another' }, item.externalIds);
      continue;
    }
    const copies = [...new Map(mine.map((r) => [r.id, r])).values()];
    if (item.want.presence === 'erased') {
      const data = await eraseAll(session, copies, gate);
      put(data, data.kind === 'applied' || data.kind === 'not_held' ? copies.map((c) => c.id) : item.externalIds);
      continue;
    }
    const live = copies.filter((r) => !r.archived).map((r) => r.id);
    put(
      live.length > 0 ? { kind: 'applied' } : { kind: copies.length > 0 ? 'unchanged' : 'not_held' },
      copies.map((c) => c.id),
    );
    if (live.length > 0) archiving.push({ item, ids: live });
  }
  await archiveAll(session, archiving, results, gate);
  return items.map((item) => results.get(item)!);
}

async function restrictFirst(session: Session, items: Item[], gate: Gate): Promise<Map<Item, Outcome>> {
  const asking = items.filter(
    (i) =>
      i.parts.consent && i.want.key !== null && Object.values(i.want.consents).some((c) => c.state === 'unsubscribed'),
  );
  if (asking.length === 0) return new Map();
  const read = await readStates(
    session,
    gate,
    asking.map((i) => i.want.key ?? ''),
  );
  if (!('ok' in read)) return new Map(asking.map((i) => [i, read.stopped]));
  const changes = asking.flatMap((i) => changesOf(i, read.ok, 'restrict').changes);
  const outcomes = await writeChanges(session, gate, changes);
  return new Map(asking.map((i) => [i, outcomes.get(i) ?? { kind: 'unchanged' }]));
}

/** Everything that could be theirs: by id (archived too), by our reference, by each address. */
async function findAll(
  session: Session,
  items: Item[],
  gate: Gate,
): Promise<{ ok: HubSpotRecord[] } | { stopped: Outcome }> {
  const ids = items.flatMap((i) => i.externalIds);
  const readings = [];
  if (ids.length > 0) {
    readings.push(await readRecords(session, gate, ids), await readRecords(session, gate, ids, { archived: true }));
  }
  const looking = items.filter((i) => i.want.presence === 'erased' || i.lookFirst || i.externalIds.length === 0);
  if (looking.length > 0) {
    readings.push(
      await readRecords(
        session,
        gate,
        looking.map((i) => i.reference),
        { by: 'reference' },
      ),
    );
    const addresses = looking.flatMap((i) => i.identity.addresses);
    if (addresses.length > 0) readings.push(await readRecords(session, gate, addresses, { by: 'email' }));
  }
  const found: HubSpotRecord[] = [];
  for (const reading of readings) {
    if ('stopped' in reading) return reading;
    found.push(...reading.ok);
  }
  return { ok: found };
}

/** By id alone: an address that HubSpot does not know would be blocked for ever. */
async function eraseAll(session: Session, copies: HubSpotRecord[], gate: Gate): Promise<Outcome> {
  if (copies.length === 0) return { kind: 'not_held' };
  for (const { id } of copies) {
    const called = await session.hubspot.call(
      gate,
      'contacts.gdpr_delete',
      'write',
      (client) => client.crm.contacts.basicApi.purgeWithHttpInfo({ objectId: id }),
      () => true,
    );
    if (called.kind !== 'ok' && called.kind !== 'not_found') return stoppedBy(called).stopped;
  }
  return { kind: 'applied' };
}

async function archiveAll(
  session: Session,
  archiving: { item: Item; ids: string[] }[],
  results: Map<Item, ItemResult>,
  gate: Gate,
): Promise<void> {
  // Ids one by one with whose they are: several copies of one person may be in different calls.
  const all = archiving.flatMap(({ item, ids }) => ids.map((id) => ({ item, id })));
  for (let at = 0; at < all.length; at += BATCH) {
    const some = all.slice(at, at + BATCH);
    const inputs = some.map(({ id }) => ({ id }));
    const called = await session.hubspot.call(
      gate,
      'contacts.batch_archive',
      'write',
      (client) => client.crm.contacts.batchApi.archiveWithHttpInfo({ inputs }),
      () => true,
    );
    if (called.kind === 'ok') continue;
    for (const { item } of some) {
      const result = results.get(item);
      if (result !== undefined) result.data = stoppedBy(called).stopped;
    }
  }
}
