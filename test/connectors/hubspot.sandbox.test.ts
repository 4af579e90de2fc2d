/** HubSpot's own traps: whose a record is, merged records, states that were not read, addresses that are somebody else's. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Item, ItemResult } from '../../connectors/kit/connector.ts';
import { person, startBench } from '../conformance/fixture.ts';
import type { Bench, Facts, PersonOptions } from '../conformance/fixture.ts';

const FACTS: Facts = {
  vendor: 'hubspot',
  settings: {},
  secrets: { token: 'sandbox-hubspot-token' },
  fields: { given: 'firstname', family: 'lastname', email: 'email' },
  consentTarget: '1001',
  creates: { method: 'POST', path: '/contacts/batch/upsert' },
  updates: { method: 'POST', path: '/contacts/batch/update' },
  reads: { method: 'POST', path: '/contacts/batch/read' },
  stranger: () => ({}),
  unsubscribes: { _subscriptions: { '1001': 'UNSUBSCRIBED' }, self: true },
  family: (record) => (record['properties'] as Record<string, string>)['lastname'],
  consent: (record) => (record['_subscriptions'] as Record<string, string> | undefined)?.['1001'],
  isGone: (record) => record === null,
};
const STATES = { method: 'POST', path: '/statuses/batch/read' };

let bench: Bench;

beforeEach(async () => {
  bench = await startBench(FACTS);
  await bench.connector.check(bench.gate);
});
afterEach(async () => {
  await bench.close();
});

async function deliver(...items: Item[]): Promise<ItemResult[]> {
  return bench.connector.deliver(items, bench.gate);
}

async function made(options: PersonOptions = {}): Promise<{ item: Item; id: string }> {
  const item = person(FACTS, options);
  const [result] = await deliver(item);
  const id = result?.externalIds[0] ?? '';
  return {
    item: { ...item, externalIds: [id], known: { key: item.want.key, consents: { '1001': 'subscribed' } } },
    id,
  };
}

const propertiesOf = async (id: string) =>
  ((await bench.held(id)) as { properties: Record<string, string> } | null)?.properties;
const stateOf = async (id: string) => FACTS.consent((await bench.held(id)) ?? {});
const erased = (item: Item, ids: string[]): Item => ({
  ...item,
  externalIds: ids,
  want: { presence: 'erased', key: null, fields: {}, consents: {} },
  lookFirst: ids.length === 0,
});

test.each([[false], [true]])(
  'an erasure leaves another’s record alone that has the old address by now (known id: %s)',
  async (known) => {
    const leaving = await made({ email: 'old@example.com' });
    await bench.control('PATCH', `/records/${leaving.id}`, { properties: { email: 'new@example.com' } });
    const other = await made({ email: 'old@example.com' });
    await deliver(erased(leaving.item, known ? [leaving.id] : []));
    expect(await bench.held(leaving.id)).toBeNull();
    expect(await bench.held(other.id)).not.toBeNull();
  },
);

test('a record merged into another person’s is not written: the survivor stays theirs', async () => {
  const survivor = await made({ email: 'survivor@example.com' });
  const merged = await made({ email: 'merged@example.com' });
  await fetch(`${bench.sandbox.url}/crm/v3/objects/contacts/merge`, {
    method: 'POST',
    headers: { authorization: 'Bearer sandbox-hubspot-token', 'content-type': 'application/json' },
    body: JSON.stringify({ primaryObjectId: survivor.id, objectIdToMerge: merged.id }),
  });
  const changed: Item = {
    ...merged.item,
    want: { ...merged.item.want, fields: { ...merged.item.want.fields, lastname: 'Other' } },
  };
  const [first] = await deliver(changed);
  expect(first?.data).toMatchObject({ kind: 'retry', code: 'gone_at_vendor' });
  const [second] = await deliver({ ...changed, lookFirst: true });
  expect(second?.data.kind).toBe('ambiguous');
  const now = await propertiesOf(survivor.id);
  expect(now?.['plumbline_ref']).toBe(survivor.item.reference);
  expect(now?.['lastname']).toBe(survivor.item.want.fields['lastname']);
});

test('a consent is not written over a state that could not be read', async () => {
  const { item, id } = await made();
  await bench.control('PATCH', `/records/${id}`, FACTS.unsubscribes);
  const fired = await bench.fault('partial', STATES, { items: 1 });
  const [result] = await deliver({
    ...item,
    known: { key: item.want.key, consents: {} },
    parts: { data: false, consent: true },
  });
  expect(await fired()).toBe(1);
  expect(result?.consent).toMatchObject({ kind: 'retry', code: 'state_unread' });
  expect(await stateOf(id)).toBe('UNSUBSCRIBED');
  const again = await bench.fault('partial', STATES, { items: 1 });
  const [reading] = await bench.connector.verify([item], bench.gate);
  expect(await again()).toBe(1);
  expect(reading).toMatchObject({ unread: { kind: 'retry' } });
});

test('a withdrawal goes out although whose record it is cannot be known, and although contacts cannot be read', async () => {
  const other = await made({ email: 'shared@example.com' });
  const withdrawn = person(FACTS, { email: 'shared@example.com', consent: 'unsubscribed', lookFirst: true });
  const [result] = await deliver(withdrawn);
  expect(result?.data.kind).toBe('ambiguous');
  expect(result?.consent.kind).toBe('applied');
  expect(await stateOf(other.id)).toBe('UNSUBSCRIBED');

  const mine = await made();
  const fired = await bench.fault('500-before', FACTS.reads, {}, 5);
  const leaving: Item = {
    ...mine.item,
    lookFirst: true,
    want: { ...mine.item.want, consents: { '1001': { state: 'unsubscribed' } } },
  };
  const [unread] = await deliver(leaving);
  expect(await fired()).toBeGreaterThan(0);
  expect(unread?.data.kind).toBe('retry');
  expect(unread?.consent.kind).toBe('applied');
  expect(await stateOf(mine.id)).toBe('UNSUBSCRIBED');
});

test('nobody is subscribed under an address that is another’s, nor where they are not', async () => {
  const stranger = (
    (await bench.control('POST', '/records', [{ properties: { email: 'taken@example.com' } }])) as { ids: string[] }
  ).ids[0];
  const { item } = await made({ consent: 'untouched' });
  const moved: Item = {
    ...item,
    want: {
      ...item.want,
      key: 'taken@example.com',
      fields: { ...item.want.fields, email: 'taken@example.com' },
      consents: { '1001': { state: 'subscribed', evidence: '7' } },
    },
  };
  const [result] = await deliver(moved);
  expect(result?.data).toMatchObject({ kind: 'rejected', code: 'address_taken' });
  expect(result?.consent.kind).not.toBe('applied');
  expect(await stateOf(stranger ?? '')).toBeUndefined();
  const [absent] = await deliver(person(FACTS, { presence: 'if_there', lookFirst: true }));
  expect([absent?.data.kind, absent?.consent.kind]).toEqual(['not_held', 'not_held']);
});

test('an erasure without an id is not proven while a record is under the address; the recycle bin is held too', async () => {
  await bench.control('POST', '/records', [{ properties: { email: 'still@example.com' } }]);
  const [reading] = await bench.connector.verify(
    [erased(person(FACTS, { email: 'still@example.com' }), [])],
    bench.gate,
  );
  expect(reading).toMatchObject({ presence: 'present' });
  const { item, id } = await made();
  await deliver({ ...item, want: { presence: 'purged', key: null, fields: {}, consents: {} } });
  expect(await bench.connector.collect(id, bench.gate)).not.toBeNull();
});

test('whose record was deleted there: an update cannot say more than that it is gone, and a look ends it', async () => {
  const { item, id } = await made();
  await bench.control('DELETE', `/records/${id}`);
  const staying: Item = {
    ...item,
    want: { ...item.want, presence: 'if_there', fields: { ...item.want.fields, lastname: 'Other' } },
    parts: { data: true, consent: false },
  };
  const [blind] = await deliver(staying);
  expect(blind?.data).toMatchObject({ kind: 'retry', code: 'gone_at_vendor' });
  const [looked] = await deliver({ ...staying, lookFirst: true });
  expect(looked?.data.kind).toBe('not_held');
});

test('a scan lists on while subscriptions are read, and gives what was read before a failure', async () => {
  const people = Array.from({ length: 250 }, (_, n) => ({ properties: { email: `scanned${n}@example.com` } }));
  const { ids } = (await bench.control('POST', '/records', people)) as { ids: string[] };
  const { item, id } = await made();
  await deliver({ ...item, want: { presence: 'purged', key: null, fields: {}, consents: {} } });

  const out: string[] = [];
  let mostOut = 0;
  const gate: Bench['gate'] = {
    ...bench.gate,
    async call(name, fn) {
      out.push(name);
      mostOut = Math.max(mostOut, new Set(out).size);
      try {
        return await bench.gate.call(name, fn);
      } finally {
        out.splice(out.indexOf(name), 1);
      }
    },
  };
  const whole = await bench.connector.scan(undefined, gate);
  expect(mostOut).toBe(2);
  expect(whole.observations.map((o) => o.externalId).toSorted()).toEqual([...ids, id].toSorted());
  expect(whole.cursor).toBeUndefined();

  const fired = await bench.fault('partial', STATES, { items: 1 });
  await expect(bench.connector.scan(undefined, bench.gate)).rejects.toThrow('state_unread');
  expect(await fired()).toBe(1);
  const lists = await bench.fault('500-before', { method: 'GET', path: 'after=' }, {}, 1);
  const part = await bench.connector.scan(undefined, bench.gate);
  expect(await lists()).toBe(1);
  expect(part.observations).toHaveLength(100);
  const rest = await bench.connector.scan(part.cursor, bench.gate);
  const met = [...part.observations, ...rest.observations].map((o) => o.externalId);
  expect(met.toSorted()).toEqual([...ids, id].toSorted());
});
