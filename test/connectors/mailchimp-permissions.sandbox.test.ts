/** Marketing permissions of an audience with GDPR fields: switches beside the status, with the same rules. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Item, Observation } from '../../connectors/kit/connector.ts';
import { isStricterReading } from '../../domain/consent.ts';
import { differences } from '../../domain/compare.ts';
import { person, startBench } from '../conformance/fixture.ts';
import type { Bench, Facts } from '../conformance/fixture.ts';

const TARGET = 'permission:permit1';
const FACTS: Facts = {
  vendor: 'mailchimp',
  settings: { list: 'aud-main', server: 'us1' },
  secrets: { apiKey: 'sandbox-mailchimp-key-us1' },
  fields: { given: 'FNAME', family: 'LNAME', email: null },
  consentTarget: TARGET,
  creates: { method: 'PUT', path: '/members/' },
  updates: { method: 'PATCH', path: '/members/' },
  reads: { method: 'GET', path: '/members' },
  stranger: (n) => ({ email_address: `stranger${n}@elsewhere.example` }),
  unsubscribes: { marketing_permissions: { permit1: false } },
  family: (record) => (record['merge_fields'] as Record<string, string> | undefined)?.['LNAME'],
  consent: (record) =>
    String((record['marketing_permissions'] as Record<string, boolean> | undefined)?.['permit1'] ?? false),
  isGone: (record) => record === null,
};

let bench: Bench;

beforeAll(async () => {
  bench = await startBench(FACTS);
  expect(await bench.connector.check(bench.gate)).toEqual([]);
});
afterAll(async () => {
  await bench?.close();
});

async function read(item: Item): Promise<Observation> {
  const [reading] = await bench.connector.verify([item], bench.gate);
  if (reading === null || reading === undefined || 'unread' in reading) throw new Error('not read');
  return reading;
}

async function permitted(): Promise<{ item: Item; id: string }> {
  const item = person(FACTS);
  const [result] = await bench.connector.deliver([item], bench.gate);
  const id = result?.externalIds[0] ?? '';
  return {
    item: { ...item, externalIds: [id], known: { key: item.want.key, consents: { [TARGET]: 'subscribed' } } },
    id,
  };
}

const withdrawn = (item: Item): Item => ({
  ...item,
  want: { ...item.want, consents: { [TARGET]: { state: 'unsubscribed' } } },
  parts: { data: false, consent: true },
});

test('a given consent turns the switch on, and the status of the member is nobody’s wish', async () => {
  const { item, id } = await permitted();
  expect((await read(item)).consents[TARGET]).toBe('subscribed');
  expect((await bench.held(id))?.['status']).toBe('transactional');
});

test('a withdrawal turns it off, and off is what was wanted', async () => {
  const { item } = await permitted();
  const [result] = await bench.connector.deliver([withdrawn(item)], bench.gate);
  expect(result?.consent.kind).toBe('applied');
  const reading = await read(item);
  expect(reading.consents[TARGET]).toBe('off');
  expect(differences(withdrawn(item).want, reading, []).consents).toEqual([]);
});

test('a rectification leaves it alone', async () => {
  const { item, id } = await permitted();
  const renamed = {
    ...item,
    want: { ...item.want, fields: { ...item.want.fields, LNAME: 'Renamed' } },
    parts: { data: true, consent: false },
  };
  await bench.connector.deliver([renamed], bench.gate);
  const record = await bench.held(id);
  expect(record === null ? '' : FACTS.family(record)).toBe('Renamed');
  expect(record === null ? '' : FACTS.consent(record)).toBe('true');
});

test('who turned it off at the vendor is not turned on again: stricter, and a withdrawal', async () => {
  const { item, id } = await permitted();
  await bench.control('PATCH', `/records/${encodeURIComponent(id)}`, FACTS.unsubscribes);
  const [result] = await bench.connector.deliver([{ ...item, parts: { data: false, consent: true } }], bench.gate);
  expect(result?.consent.kind).toBe('stricter');
  expect((await read(item)).consents[TARGET]).toBe('off');
  expect(isStricterReading('off', 'given', 'subscribed')).toBe(true);
  // Never on so far: no statement of the person.
  expect(isStricterReading('off', 'given', null)).toBe(false);
  expect(isStricterReading('off', 'unknown', 'off')).toBe(false);
});

test('many with permissions are done one by one, none by the bulk endpoint', async () => {
  const items = [person(FACTS), person(FACTS), person(FACTS), person(FACTS)];
  const results = await bench.connector.deliver(items, bench.gate);
  expect(results.map((r) => r.consent.kind)).toEqual(['applied', 'applied', 'applied', 'applied']);
});
