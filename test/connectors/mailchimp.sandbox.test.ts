/** What is particular to Mailchimp in the connector; what all connectors share is in the conformance suite. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { GateClosed } from '../../connectors/kit/connector.ts';
import type { Item, ItemResult, Observation } from '../../connectors/kit/connector.ts';
import { hash, itemOf, LIST, openGate, startRig } from './mailchimp-rig.ts';
import type { Rig } from './mailchimp-rig.ts';

let rig: Rig;
const A = 'aaaaaaaa-0000-4000-8000-000000000001';
const B = 'bbbbbbbb-0000-4000-8000-000000000002';
const ANN = 'ann.lee@example.com';

beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());
beforeEach(() => rig.reset());

const deliver = (...items: Item[]): Promise<ItemResult[]> => rig.connector.deliver(items, rig.gate);
const one = async (item: Item): Promise<ItemResult> => (await deliver(item))[0]!;
const verify = async (item: Item) => (await rig.connector.verify([item], rig.gate))[0];
const total = async (): Promise<number> => (await rig.control<{ total: number }>('GET', '/records')).total;
const fault = (spec: Record<string, unknown>) => rig.control('POST', '/faults', spec);
const writes = async (): Promise<string[]> => {
  const { entries } = await rig.control<{ entries: { method: string; path: string }[] }>('GET', '/journal');
  return entries.filter(({ method }) => method !== 'GET').map(({ method }) => method);
};
const known = (email = ANN, status: 'subscribed' | 'unsubscribed' = 'subscribed') => ({ key: email, status });
const seeded = (more: Record<string, unknown> = {}): Promise<string[]> =>
  rig.seed({ email_address: ANN, merge_fields: { FNAME: 'Ann', LNAME: 'Lee', PLUMBREF: A }, ...more });

describe('one who belongs', () => {
  test('is created with the status that consent permits, and read back', async () => {
    const item = itemOf(A, 'Ann Lee', { consent: 'subscribed' });
    const made = await one(item);
    expect(made).toMatchObject({ data: { kind: 'applied' }, consent: { kind: 'applied' } });
    expect(await verify({ ...item, externalIds: made.externalIds })).toMatchObject({
      reference: A,
      presence: 'present',
      addresses: [ANN],
      fields: { FNAME: 'Ann', LNAME: 'Lee', 'ADDRESS.city': '' },
      consents: { status: 'subscribed' },
    });
    expect(await writes()).toEqual(['PUT']);
  });

  test.each([
    { consent: undefined, status: 'transactional' },
    { consent: 'untouched', status: 'transactional' },
    { consent: 'unsubscribed', status: 'unsubscribed' },
  ] as const)('is created as $status where the wish is $consent', async ({ consent, status }) => {
    const item = itemOf(A, 'Ann Lee', consent === undefined ? {} : { consent });
    expect((await one(item)).data).toEqual({ kind: 'applied' });
    expect(await rig.held(hash(ANN))).toMatchObject({ status });
  });

  test('only followed where not there: nothing is created', async () => {
    const result = await one(itemOf(A, 'Ann Lee', { presence: 'if_there', consent: 'unsubscribed' }));
    expect(result).toMatchObject({ data: { kind: 'not_held' }, consent: { kind: 'not_held' } });
    expect(await total()).toBe(0);
  });

  test.each(['subscribed', 'unsubscribed', 'cleaned', 'pending', 'transactional'])(
    'a rectification leaves the status %s',
    async (status) => {
      const [id] = await seeded({ status });
      const item = itemOf(A, 'Anna Lee', { key: ANN, externalIds: [id!], known: known() });
      expect((await one(item)).data).toEqual({ kind: 'applied' });
      expect(await rig.held(id!)).toMatchObject({ status, merge_fields: { FNAME: 'Anna' } });
    },
  );

  test('a new address moves the member; status, id and history stay', async () => {
    const [id] = await seeded({ status: 'unsubscribed' });
    const item = itemOf(A, 'Ann Lee', {
      key: 'new@example.com',
      externalIds: [id!],
      known: known(ANN, 'unsubscribed'),
    });
    expect(await one(item)).toMatchObject({ data: { kind: 'applied' }, externalIds: [id] });
    expect(await rig.held(id!)).toMatchObject({ id: hash('new@example.com'), status: 'unsubscribed' });
    expect(await total()).toBe(1);
  });

  test('a new address that somebody else has is an exception; a withdrawal is stated under both', async () => {
    const [id] = await seeded();
    const [other] = await rig.seed({ email_address: 'new@example.com', merge_fields: { PLUMBREF: B } });
    const item = itemOf(A, 'Ann Lee', {
      key: 'new@example.com',
      externalIds: [id!],
      known: known(),
      consent: 'unsubscribed',
    });
    expect(await one(item)).toMatchObject({
      data: { kind: 'rejected', code: 'address_taken', field: 'email_address' },
      consent: { kind: 'applied' },
      externalIds: [id],
    });
    expect(await rig.held(id!)).toMatchObject({ status: 'unsubscribed', email_address: ANN });
    expect(await rig.held(other!)).toMatchObject({ status: 'unsubscribed' });
  });

  test('a new address under which our own second record is: that one takes over, the old one leaves', async () => {
    const [id] = await seeded();
    const [other] = await rig.seed({ email_address: 'new@example.com', merge_fields: { PLUMBREF: A } });
    const item = itemOf(A, 'Ann Lee', { key: 'new@example.com', externalIds: [id!], known: known() });
    expect(await one(item)).toMatchObject({ data: { kind: 'applied' }, externalIds: [other, id] });
    expect(await rig.held(id!)).toMatchObject({ status: 'archived', merge_fields: { FNAME: '', PLUMBREF: A } });
    expect(await rig.held(other!)).toMatchObject({ merge_fields: { FNAME: 'Ann' } });
  });

  test('a member deleted by hand is made again under the address', async () => {
    const item = itemOf(A, 'Ann Lee', { externalIds: ['0123456789abcdef0123456789abcdef'], known: known() });
    const result = await one({ ...item, parts: { data: true, consent: false } });
    expect(result.data).toEqual({ kind: 'applied' });
    expect(await rig.held(hash(ANN))).toMatchObject({ status: 'transactional' });
  });

  test('an archived member who is wanted comes back, and is subscribed only by a wish', async () => {
    const [id] = await seeded({ status: 'archived' });
    const item = itemOf(A, 'Ann Lee', { externalIds: [id!], known: known() });
    expect((await one(item)).data).toEqual({ kind: 'applied' });
    expect(await rig.held(id!)).toMatchObject({ status: 'transactional' });
    await rig.control('PATCH', `/records/${id}`, { status: 'archived' });
    const wished = itemOf(A, 'Ann Lee', { externalIds: [id!], known: known(), consent: 'subscribed' });
    expect(await one(wished)).toMatchObject({ data: { kind: 'applied' }, consent: { kind: 'applied' } });
    expect(await rig.held(id!)).toMatchObject({ status: 'subscribed' });
  });

  test('a postal address goes whole; an incomplete one empties the old one and is named', async () => {
    const whole = {
      'ADDRESS.addr1': '1 High St',
      'ADDRESS.city': 'York',
      'ADDRESS.zip': 'YO1',
      'ADDRESS.country': 'GB',
    };
    const made = await one(itemOf(A, 'Ann Lee', { fields: whole }));
    expect(await verify(itemOf(A, 'Ann Lee', { externalIds: made.externalIds }))).toMatchObject({ fields: whole });
    const half = { ...whole, 'ADDRESS.zip': '' };
    const item = itemOf(A, 'Anna Lee', { key: ANN, externalIds: made.externalIds, known: known(), fields: half });
    expect((await one(item)).data).toEqual({ kind: 'rejected', code: 'address_incomplete', field: 'ADDRESS' });
    expect(await verify(item)).toMatchObject({ fields: { FNAME: 'Anna', 'ADDRESS.city': '' } });
  });

  test.each([
    { key: 'fake@example.org', outcome: { kind: 'rejected', code: 'email_invalid', field: 'email_address' } },
    { key: 'two@@example.org', outcome: { kind: 'rejected', code: 'email_invalid', field: 'email_address' } },
  ])('bad addresses are named without being shown %#', async ({ key, outcome }) => {
    const result = await one(itemOf(A, 'Ann Lee', { key, consent: 'subscribed' }));
    expect(result).toMatchObject({ data: outcome, consent: outcome });
    expect(JSON.stringify(result)).not.toContain(key);
  });

  test('a missing required field is named, and nobody is subscribed', async () => {
    (rig.sandbox.settings['lists'] as { required?: string[] }[])[0]!.required = ['PHONE'];
    const result = await one(itemOf(A, 'Ann Lee', { consent: 'subscribed' }));
    expect(result.data).toMatchObject({ kind: 'rejected', code: 'merge_field_invalid', field: 'PHONE' });
    expect(result.consent.kind).toBe('rejected');
  });
});

describe('consent', () => {
  test('a withdrawal goes although the data are refused', async () => {
    const [id] = await seeded();
    (rig.sandbox.settings['lists'] as { required?: string[] }[])[0]!.required = ['PHONE'];
    const item = itemOf(A, 'Anna Lee', { key: ANN, externalIds: [id!], known: known(), consent: 'unsubscribed' });
    expect(await one(item)).toMatchObject({ data: { kind: 'rejected' }, consent: { kind: 'applied' } });
    expect(await rig.held(id!)).toMatchObject({ status: 'unsubscribed' });
  });

  test('what the withdrawal’s answer shows as it should be is not written again', async () => {
    const [id] = await seeded();
    const item = itemOf(A, 'Ann Lee', { externalIds: [id!], known: known(), consent: 'unsubscribed' });
    expect(await one(item)).toMatchObject({ data: { kind: 'unchanged' }, consent: { kind: 'applied' } });
    expect(await writes()).toEqual(['PATCH']);
    const other = itemOf(A, 'Ann Lee', { externalIds: [id!], fields: { FNAME: 'Anna' }, consent: 'unsubscribed' });
    expect(await one({ ...other, lookFirst: true })).toMatchObject({
      data: { kind: 'applied' },
      consent: { kind: 'unchanged' },
    });
    expect(await rig.held(id!)).toMatchObject({ merge_fields: { FNAME: 'Anna' } });
  });

  test('who left at the vendor is not brought back: nothing is written, the reading is given', async () => {
    const [id] = await seeded({ status: 'unsubscribed', by: 'admin' });
    const item = itemOf(A, 'Ann Lee', { externalIds: [id!], known: known(), consent: 'subscribed' });
    const result = await one({ ...item, parts: { data: false, consent: true } });
    expect(result.consent).toEqual({ kind: 'stricter', code: 'unsubscribed_at_vendor' });
    expect(result.observation).toMatchObject({ consents: { status: 'unsubscribed' } });
    expect(await writes()).toEqual([]);
    expect(await one(itemOf(A, 'Ann Lee', { consent: 'subscribed' }))).toMatchObject({ consent: { kind: 'stricter' } });
  });

  test('a known restriction is lifted where the vendor lets it, else refused', async () => {
    const [id] = await seeded({ status: 'unsubscribed', by: 'admin' });
    const item = itemOf(A, 'Ann Lee', { externalIds: [id!], known: known(ANN, 'unsubscribed'), consent: 'subscribed' });
    expect(await one(item)).toMatchObject({ consent: { kind: 'applied' } });
    expect(await rig.held(id!)).toMatchObject({ status: 'subscribed' });
    await rig.control('PATCH', `/records/${id}`, { status: 'unsubscribed' });
    expect((await one(item)).consent).toEqual({ kind: 'refused', code: 'compliance_state' });
    expect(await rig.held(id!)).toMatchObject({ status: 'unsubscribed' });
  });

  test('a complaint is read as one; a bounced address is nobody’s will', async () => {
    const [id] = await seeded({
      status: 'unsubscribed',
      unsubscribe_reason: 'The emails are spam and should be reported',
    });
    const item = itemOf(A, 'Ann Lee', { externalIds: [id!], known: known(), consent: 'subscribed' });
    expect(await verify(item)).toMatchObject({ consents: { status: 'complained' } });
    await rig.control('PATCH', `/records/${id}`, { status: 'cleaned' });
    expect(await verify(item)).toMatchObject({ consents: { status: 'undeliverable' } });
    expect((await one(item)).consent).toEqual({ kind: 'unchanged' });
  });

  test('a wish without evidence subscribes nobody', async () => {
    const item = itemOf(A, 'Ann Lee', { consent: 'subscribed' });
    item.want.consents['status'] = { state: 'subscribed', evidence: '' };
    await one(item);
    expect(await rig.held(hash(ANN))).toMatchObject({ status: 'transactional' });
  });

  test('a withdrawal reaches a member who was deleted and signed up again under the same address', async () => {
    await rig.seed({ email_address: ANN });
    const item = itemOf(A, 'Ann Lee', {
      externalIds: ['0123456789abcdef0123456789abcdef'],
      known: known(),
      consent: 'unsubscribed',
    });
    expect(await one({ ...item, parts: { data: false, consent: true } })).toMatchObject({
      consent: { kind: 'applied' },
    });
    expect(await rig.held(hash(ANN))).toMatchObject({ status: 'unsubscribed' });
  });
});

describe('leaving', () => {
  test('erasure looks, checks, deletes every copy for good and is proven', async () => {
    const [first] = await seeded();
    const [second] = await rig.seed({ email_address: 'ann.old@example.com' });
    const identity = { addresses: [ANN, 'ann.old@example.com'], names: ['Ann Lee'] };
    const item = itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: [first!], identity });
    expect(await verify(item)).toMatchObject({ externalId: first });
    expect(await one(item)).toMatchObject({ data: { kind: 'applied' }, externalIds: [first, second] });
    expect(await total()).toBe(0);
    expect(await verify(item)).toBeNull();
    expect((await one(item)).data).toEqual({ kind: 'not_held' });
    const again = await one(itemOf(B, 'Ann Lee', { consent: 'subscribed' }));
    expect(again.data).toEqual({ kind: 'refused', code: 'forgotten_address' });
  });

  test.each(['erased', 'purged', 'outside'] as const)('%s: somebody else’s record is left alone', async (presence) => {
    const [id] = await seeded({ merge_fields: { PLUMBREF: B } });
    const item = itemOf(A, 'Ann Lee', { presence, externalIds: [id!] });
    expect((await one(item)).data).toEqual({ kind: 'ambiguous', code: 'whose_record' });
    expect(await rig.held(id!)).toMatchObject({ status: 'subscribed' });
  });

  test.each(['subscribed', 'pending', 'cleaned', 'unsubscribed'])(
    'a purge empties and archives who is %s',
    async (status) => {
      const [id] = await seeded({ status, tags: ['vip'] });
      const item = itemOf(A, 'Ann Lee', { presence: 'purged', externalIds: [id!] });
      expect(await one(item)).toMatchObject({ data: { kind: 'applied' }, consent: { kind: 'unchanged' } });
      expect(await rig.held(id!)).toMatchObject({
        status: 'archived',
        tags: [],
        merge_fields: { FNAME: '', LNAME: '', PLUMBREF: A },
      });
      expect(await verify(item)).toMatchObject({ presence: 'archived', fields: { FNAME: '' } });
      expect((await one(item)).data).toEqual({ kind: 'unchanged' });
    },
  );

  test('who falls outside is restricted first where that is wanted', async () => {
    const [id] = await seeded();
    const item = itemOf(A, 'Ann Lee', { presence: 'outside', externalIds: [id!], consent: 'unsubscribed' });
    expect(await one(item)).toMatchObject({ data: { kind: 'applied' }, consent: { kind: 'applied' } });
    expect(await rig.held(id!)).toMatchObject({ status: 'archived', _status_before: 'unsubscribed' });
  });

  test('a copy under a former address that appears after the erasure is no proof of it', async () => {
    const item = itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: ['0123456789abcdef0123456789abcdef'] });
    expect(await verify(item)).toBeNull();
    const [copy] = await rig.seed({ email_address: ANN });
    expect(await verify(item)).toMatchObject({ externalId: copy });
  });

  test('an audience that is gone proves no erasure', async () => {
    const elsewhere = rig.another({ list: 'aud-gone' });
    const item = itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: ['0123456789abcdef0123456789abcdef'] });
    expect((await elsewhere.deliver([item], rig.gate))[0]!.data).toEqual({
      kind: 'unauthorised',
      code: 'list_not_found',
    });
    expect(await elsewhere.verify([item], rig.gate)).toEqual([
      { unread: { kind: 'unauthorised', code: 'list_not_found' } },
    ]);
    elsewhere.close();
  });
});

describe('many', () => {
  const people = (count: number, over: (at: number) => Parameters<typeof itemOf>[2] = () => ({})): Item[] =>
    Array.from({ length: count }, (_, at) => itemOf(`ref-${at}`, `P${at} Many`, over(at)));

  test('are created by one call, read back by one listing, rectified by one call', async () => {
    const items = people(60, () => ({ consent: 'subscribed' }));
    const made = await deliver(...items);
    expect(rig.gate.calls).toEqual(['members.bulk']);
    expect(made.every((result) => result.data.kind === 'applied' && result.consent.kind === 'applied')).toBe(true);
    rig.gate.calls.length = 0;
    const held = items.map((item, at) => ({ ...item, externalIds: made[at]!.externalIds }));
    const read = (await rig.connector.verify(held, rig.gate)) as Observation[];
    expect(rig.gate.calls).toEqual(['members.list']);
    expect(read.map((each) => each.reference)).toEqual(items.map((item) => item.reference));
    rig.gate.calls.length = 0;
    const changed = held.map((item) => ({
      ...item,
      want: { ...item.want, fields: { FNAME: 'Changed', LNAME: 'Many' } },
      known: { key: item.want.key, consents: { status: 'subscribed' as const } },
      parts: { data: true, consent: false },
    }));
    expect((await deliver(...changed)).every((result) => result.data.kind === 'applied')).toBe(true);
    expect(rig.gate.calls).toEqual(['members.bulk']);
  });

  test('a bulk creation brings nobody back who is there', async () => {
    await rig.seed({ email_address: 'p1.many@example.com', status: 'unsubscribed', by: 'admin' });
    await rig.seed({ email_address: 'p2.many@example.com', status: 'archived' });
    const results = await deliver(...people(4, () => ({ consent: 'subscribed' })));
    expect(results.map((result) => result.consent.kind)).toEqual(['applied', 'stricter', 'applied', 'applied']);
    expect(await rig.held(hash('p1.many@example.com'))).toMatchObject({
      status: 'unsubscribed',
      merge_fields: { FNAME: 'P1' },
    });
    expect(await rig.held(hash('p2.many@example.com'))).toMatchObject({ status: 'subscribed' });
  });

  test('a bulk update changes no status and creates nobody who has vanished meanwhile', async () => {
    const states = ['subscribed', 'unsubscribed', 'pending', 'cleaned'];
    const ids = await rig.seed(...states.map((status, at) => ({ email_address: `p${at}.many@example.com`, status })));
    const held = people(5, (at) => ({
      externalIds: [ids[at] ?? '0123456789abcdef0123456789abcdef'],
      known: known(`p${at}.many@example.com`),
      presence: at === 4 ? 'if_there' : 'present',
    }));
    const results = await deliver(...held);
    expect(results.map((result) => result.data.kind)).toEqual(['applied', 'applied', 'applied', 'applied', 'not_held']);
    const after = await Promise.all(ids.map((id) => rig.held(id)));
    expect(after.map((member) => member['status'])).toEqual(states);
    expect(await total()).toBe(4);
  });

  test('one bad item does not decide for its batch; two of one address are told apart', async () => {
    const items = people(6, (at) => ({ consent: 'subscribed', ...(at === 2 ? { key: 'fake@example.org' } : {}) }));
    items.push(itemOf('ref-double', 'P0 Many', { consent: 'subscribed' }));
    const results = await deliver(...items);
    expect(results.map((result) => result.data.kind)).toEqual([
      'applied',
      'applied',
      'rejected',
      'applied',
      'applied',
      'applied',
      'applied',
    ]);
    expect(await total()).toBe(5);
  });

  test('members that the vendor failed for reasons of its own are done one by one', async () => {
    await fault({ name: 'partial', params: { items: [0, 3] } });
    const results = await deliver(...people(5, () => ({ consent: 'subscribed' })));
    expect(results.every((result) => result.data.kind === 'applied')).toBe(true);
    expect(await total()).toBe(5);
  });

  test('an unknown bulk call leaves all of it unknown; looking first creates nothing twice', async () => {
    await fault({ name: 'cut-after', match: { method: 'POST' } });
    const items = people(5, () => ({ consent: 'subscribed' }));
    const lost = await deliver(...items);
    expect(new Set(lost.map((result) => result.data.kind))).toEqual(new Set(['unknown']));
    const again = await deliver(...items.map((item) => ({ ...item, lookFirst: true })));
    expect(new Set(again.map((result) => result.data.kind))).toEqual(new Set(['unchanged']));
    expect(await total()).toBe(5);
  });

  test('never more connections than the account has', async () => {
    rig.sandbox.settings.latencyMs = 15;
    const ids = await rig.seed(
      ...Array.from({ length: 40 }, (_, at) => ({ email_address: `p${at}.many@example.com` })),
    );
    const items = people(40, (at) => ({
      externalIds: [ids[at]!],
      known: known(`p${at}.many@example.com`),
      consent: 'unsubscribed',
    }));
    const results = await deliver(...items);
    expect(results.every((result) => result.consent.kind === 'applied')).toBe(true);
    const counters = await rig.control<{ limited: number; maxInFlight: number }>('GET', '/counters');
    expect(counters.limited).toBe(0);
    expect(counters.maxInFlight).toBeGreaterThan(4);
  });

  test('a closed gate comes out of it once all calls under way have ended', async () => {
    const gate = openGate(3);
    let left = 4;
    const closing = {
      ...gate,
      call: (async (name, fn) => {
        left -= 1;
        if (left < 0) throw new GateClosed(50);
        return gate.call(name, fn);
      }) as typeof gate.call,
    };
    await expect(
      rig.connector.deliver(
        people(9, () => ({ lookFirst: true })),
        closing,
      ),
    ).rejects.toThrow(GateClosed);
  });
});

describe('faults of the vendor', () => {
  const item = (over: Parameters<typeof itemOf>[2] = {}): Item =>
    itemOf(A, 'Ann Lee', { consent: 'subscribed', ...over });

  test.each([
    { spec: { name: '429' }, outcome: { kind: 'retry', code: 'too_many_connections' } },
    { spec: { name: '429-retry-after', params: { seconds: 7 } }, outcome: { kind: 'retry', afterMs: 7000 } },
    { spec: { name: 'bare-403' }, outcome: { kind: 'retry', code: 'throttled' } },
    { spec: { name: '500-before' }, outcome: { kind: 'unknown', code: 'server_500' } },
    { spec: { name: '500-after' }, outcome: { kind: 'unknown', code: 'server_500' } },
    { spec: { name: 'cut-before' }, outcome: { kind: 'unknown', code: 'no_answer' } },
    { spec: { name: 'cut-after' }, outcome: { kind: 'unknown', code: 'no_answer' } },
    { spec: { name: 'truncate' }, outcome: { kind: 'unknown', code: 'unreadable_answer' } },
    { spec: { name: 'html' }, outcome: { kind: 'unknown', code: 'unreadable_answer' } },
    { spec: { name: 'token-expired' }, outcome: { kind: 'unauthorised', code: 'api_key_refused' } },
    { spec: { name: 'redirect' }, outcome: { kind: 'retry', code: 'redirected' } },
  ])('$spec.name of a write: $outcome', async ({ spec, outcome }) => {
    await fault({ ...spec, match: { method: 'PUT' } });
    const result = await one(item());
    expect(result.data).toMatchObject(outcome);
    const { faults } = await rig.control<{ faults: { fired: number }[] }>('GET', '/faults');
    expect(faults[0]!.fired).toBe(1);
  });

  test.each(['429', 'bare-403', '500-before', 'cut-before', 'truncate', 'html', 'redirect'])(
    '%s of a read: retry',
    async (name) => {
      const [id] = await seeded();
      await fault({ name, match: { method: 'GET' } });
      expect(await verify(item({ externalIds: [id!] }))).toMatchObject({ unread: { kind: 'retry' } });
      await fault({ name, match: { method: 'GET' } });
      await expect(rig.connector.scan(undefined, rig.gate)).rejects.toMatchObject({ outcome: { kind: 'retry' } });
    },
  );

  test('throttling closes the account for a while', async () => {
    await fault({ name: 'bare-403', match: { method: 'PUT' } });
    await one(item());
    await fault({ name: '429-retry-after', params: { seconds: 3 }, match: { method: 'PUT' } });
    await one(item());
    expect(rig.gate.readings).toEqual([
      { blockedForMs: 2000, reason: 'rate' },
      { blockedForMs: 3000, reason: 'concurrency' },
    ]);
  });

  test('a hanging call ends at the time limit, and at the signal of the gate', async () => {
    const hasty = rig.another({ timeoutMs: 150 });
    await fault({ name: 'hang', match: { method: 'PUT' }, params: { effect: 'before' } });
    expect((await hasty.deliver([item()], rig.gate))[0]!.data).toEqual({ kind: 'unknown', code: 'no_answer' });
    hasty.close();
    await fault({ name: 'hang', match: { method: 'PUT' } });
    const signalled = {
      ...openGate(),
      call: <T>(_name: string, fn: (signal: AbortSignal) => Promise<T>) => fn(AbortSignal.timeout(100)),
    };
    expect((await rig.connector.deliver([item()], signalled))[0]!.data).toEqual({ kind: 'unknown', code: 'no_answer' });
  });

  test('nobody listens: nothing was sent', async () => {
    const dead = await startRig();
    await dead.sandbox.close();
    expect((await dead.connector.deliver([item()], dead.gate))[0]!.data).toEqual({
      kind: 'retry',
      code: 'unreachable',
    });
  });

  test('answered as if done: read back, it shows', async () => {
    const [id] = await seeded();
    await fault({ name: 'ignore', match: { method: 'PATCH' } });
    const wanted = item({ externalIds: [id!], known: known(), fields: { FNAME: 'Anna' } });
    expect((await one({ ...wanted, parts: { data: true, consent: false } })).data).toEqual({ kind: 'applied' });
    expect(await verify(wanted)).toMatchObject({ fields: { FNAME: 'Ann' } });
  });

  test('a wrong key and an unknown data centre are told as such, and the key comes out of nothing', async () => {
    const wrong = rig.another({ apiKey: 'secret-wrong-us1' });
    const results = await wrong.deliver([item()], rig.gate);
    expect(results[0]!.data).toEqual({ kind: 'unauthorised', code: 'api_key_refused' });
    const thrown: unknown = await wrong.scan(undefined, rig.gate).catch((error: unknown) => error);
    expect(JSON.stringify(results) + JSON.stringify(thrown) + String((thrown as Error).stack)).not.toContain(
      'secret-wrong',
    );
    wrong.close();
  });

  test('connections are kept, and one over which a call was ended is not used again', async () => {
    let connections = 0;
    let openSockets = 0;
    const member = { id: 'h', contact_id: 'c', email_address: ANN, status: 'subscribed', merge_fields: {} };
    const server = createServer((request, response) => {
      request.resume();
      if (request.url?.includes('stuck') === true) return;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(member));
    });
    server.on('connection', (socket) => {
      connections += 1;
      openSockets += 1;
      socket.once('close', () => {
        openSockets -= 1;
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const connector = rig.another({ baseUrl, timeoutMs: 100 });
    const read = (id: string) => connector.verify([item({ externalIds: [id] })], rig.gate);
    for (let call = 0; call < 6; call += 1) expect(await read('c')).toMatchObject([{ externalId: 'c' }]);
    expect(connections).toBe(1);
    expect(await read('stuck')).toEqual([{ unread: { kind: 'retry', code: 'no_answer' } }]);
    expect(await read('c')).toMatchObject([{ externalId: 'c' }]);
    expect(connections).toBe(2);
    const patient = rig.another({ baseUrl, timeoutMs: 60_000 });
    const signalled = {
      ...openGate(),
      call: <T>(_name: string, fn: (signal: AbortSignal) => Promise<T>) => fn(AbortSignal.timeout(50)),
    };
    expect(await patient.verify([item({ externalIds: ['stuck'] })], signalled)).toMatchObject([{ unread: {} }]);
    await vi.waitFor(() => expect(openSockets).toBe(1));
    patient.close();
    connector.close();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
});

describe('scan and changes', () => {
  async function all(read: (cursor: string | undefined) => Promise<{ observations: Observation[]; cursor?: string }>) {
    const found: Observation[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = await read(cursor);
      found.push(...page.observations);
      cursor = page.cursor;
      pages += 1;
      expect(pages).toBeLessThan(40);
    } while (cursor !== undefined);
    return found;
  }
  const record = (at: number, changed: string, more: Record<string, unknown> = {}) => ({
    email_address: `m${at}@example.com`,
    last_changed: changed,
    ...more,
  });
  const time = (second: number): string => new Date(Date.parse('2026-01-01T00:00:00Z') + second * 1000).toISOString();

  test('everything is met once: many in one second, archived ones, the other audience not', async () => {
    const records = Array.from({ length: 3300 }, (_, at) => record(at, time(at < 2500 ? 10 : at)));
    records.push(record(9001, time(3), { status: 'archived' }), record(9002, time(5000), { status: 'archived' }));
    await rig.seed(...records, record(9003, time(1), { list_id: 'aud-second' }));
    const found = await all((cursor) => rig.connector.scan(cursor, rig.gate));
    expect(found).toHaveLength(3302);
    expect(new Set(found.map((each) => each.externalId)).size).toBe(3302);
    expect(found.filter((each) => each.presence === 'archived')).toHaveLength(2);
  });

  test('nothing is missed that changes, leaves the archive or is deleted between pages', async () => {
    const ids = await rig.seed(...Array.from({ length: 2600 }, (_, at) => record(at, time(at < 1900 ? 10 : at))));
    const [archived] = await rig.seed(record(9001, time(3), { status: 'archived' }));
    let page = 0;
    const found = await all(async (cursor) => {
      page += 1;
      const read = await rig.connector.scan(cursor, rig.gate);
      if (page === 2) {
        // Members of the second that is being paged: they leave it, the others move up.
        await Promise.all(
          ids.slice(0, 60).map((id) => rig.control('PATCH', `/records/${id}`, { merge_fields: { FNAME: 'X' } })),
        );
      }
      if (
        cursor !== undefined &&
        (JSON.parse(cursor) as { pass: string }).pass === 'listed' &&
        read.cursor !== undefined
      ) {
        const { pass } = JSON.parse(read.cursor) as { pass: string };
        if (pass === 'archived') {
          rig.sandbox.settings.clockOffsetMs += 3000;
          await rig.control('PATCH', `/records/${archived}`, { status: 'transactional', by: 'admin' });
        }
      }
      return read;
    });
    const met = new Set(found.map((each) => each.externalId));
    expect([...ids, archived!].filter((id) => !met.has(id))).toEqual([]);
    expect(page).toBeGreaterThan(5);
  });

  test('members who go on leaving the second that is being paged do not keep the scan in it', async () => {
    const ids = await rig.seed(...Array.from({ length: 4500 }, (_, at) => record(at, time(10))));
    let left = 0;
    const found = await all(async (cursor) => {
      const read = await rig.connector.scan(cursor, rig.gate);
      await Promise.all(
        ids.slice(left, left + 3).map((id) => rig.control('PATCH', `/records/${id}`, { merge_fields: { FNAME: 'X' } })),
      );
      left += 3;
      return read;
    });
    const met = new Set(found.map((each) => each.externalId));
    expect(ids.filter((id) => !met.has(id))).toEqual([]);
    // Read twice at most: an overlap of each page, and who left, where they are now.
    expect(found.length).toBeLessThan(4500 * 1.2);
  });

  test('changes since a moment: that second included, archiving too', async () => {
    const ids = await rig.seed(record(1, time(1)), record(2, time(2)), record(3, time(3)));
    await rig.seed(record(4, time(9), { status: 'archived' }), record(5, time(1), { status: 'archived' }));
    const changed = await all((cursor) => rig.connector.changedSince!(time(2), cursor, rig.gate));
    expect(changed.map((each) => each.addresses[0])).toEqual(['m2@example.com', 'm3@example.com', 'm4@example.com']);
    expect(changed[0]).toMatchObject({ externalId: ids[1], changedAt: '2026-01-01T00:00:02+00:00' });
  });
});

describe('set-up', () => {
  test('check creates the reference field and says what is missing', async () => {
    await rig.control('POST', '/reset');
    expect(await rig.connector.check(rig.gate)).toEqual([]);
    expect(await rig.connector.check(rig.gate)).toEqual([]);
    (rig.sandbox.settings['lists'] as { required?: string[] }[])[0]!.required = ['PHONE'];
    await rig.connector.deliver([itemOf(A, 'Ann Lee')], rig.gate);
    const [problem] = await rig.connector.check(rig.gate);
    expect(problem).toContain("requires the merge field 'PHONE'");
    const elsewhere = rig.another({ list: 'aud-gone' });
    expect((await elsewhere.check(rig.gate))[0]).toContain("no audience 'aud-gone'");
    elsewhere.close();
  });

  test('collect gives all that is held of one person', async () => {
    const [id] = await seeded();
    const held = await rig.connector.collect(id!, rig.gate);
    expect(held).toMatchObject({ member: { email_address: ANN, list_id: LIST }, activity: {}, notes: {} });
    expect(await rig.connector.collect('0123456789abcdef0123456789abcdef', rig.gate)).toBeNull();
  });
});
