/** What is particular to Xero in the connector; what all connectors share is in the conformance suite. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { LEFT } from '../../connectors/kit/connector.ts';
import type { Item, ItemResult } from '../../connectors/kit/connector.ts';
import * as xero from '../../sandboxes/xero/index.ts';
import { itemOf, startRig } from './xero-rig.ts';
import type { Rig } from './xero-rig.ts';

let rig: Rig;
const A = 'aaaaaaaa-0000-4000-8000-000000000001';
const B = 'bbbbbbbb-0000-4000-8000-000000000002';

beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());
beforeEach(async () => {
  await rig.control('POST', '/reset');
  Object.assign(rig.sandbox.settings, structuredClone(xero.defaultSettings), {
    latencyMs: 0,
    limits: false,
    clockOffsetMs: 0,
  });
  rig.store.saved = null;
  rig.gate.calls.length = 0;
});

const deliver = (...items: Item[]) => rig.connector.deliver(items, rig.gate);
const one = async (item: Item) => (await deliver(item))[0]!;
const verify = async (item: Item) => (await rig.connector.verify([item], rig.gate))[0];
const total = async () => (await rig.control<{ total: number }>('GET', '/records')).total;
const fault = (spec: Record<string, unknown>) => rig.control('POST', '/faults', spec);

test('a contact is created under our reference, read back, and left alone when it holds all', async () => {
  const fields = { 'Phones.DEFAULT': '+44 20 7946 0000', 'Addresses.STREET.City': 'Leeds' };
  const item = itemOf(A, 'Ann Lee', { fields });
  const made = await one(item);
  expect(made.data).toEqual({ kind: 'applied' });
  const again = { ...item, externalIds: made.externalIds };
  expect(await verify(again)).toMatchObject({ reference: A, presence: 'present', fields: item.want.fields });
  expect((await one(again)).data).toEqual({ kind: 'unchanged' });
  expect(await rig.held(made.externalIds[0]!)).toMatchObject({ ContactNumber: A, Name: 'Ann Lee' });
});

test('a name that another contact has is marked with our reference, and reads back without it', async () => {
  const [other] = await rig.seed({ Name: 'Ann Lee', EmailAddress: 'other@example.com' });
  const [first, second] = await deliver(itemOf(A, 'Ann Lee'), itemOf(B, 'ann lee'));
  expect([first!.data.kind, second!.data.kind]).toEqual(['applied', 'applied']);
  expect(await rig.held(other!)).toMatchObject({ EmailAddress: 'other@example.com', Name: 'Ann Lee' });
  expect(await rig.held(first!.externalIds[0]!)).toMatchObject({ Name: `Ann Lee (${A})` });
  const read = await verify(itemOf(A, 'Ann Lee', { externalIds: first!.externalIds }));
  expect(read).toMatchObject({ fields: { Name: 'Ann Lee' } });
  // Corrected to a name that is taken as well.
  const [renamed] = await deliver(itemOf(B, 'Ann Lee', { externalIds: second!.externalIds }));
  expect(renamed!.data.kind).toBe('applied');
  expect(await rig.held(second!.externalIds[0]!)).toMatchObject({ Name: `Ann Lee (${B})` });
});

test.each(['O"Neil Pat', 'x'.repeat(255), '名'.repeat(250)])(
  'a name that cannot be asked for does not decide for its batch %#',
  async (name) => {
    const item = itemOf(A, name, { fields: { EmailAddress: 'a@example.com' } });
    const results = await deliver(item, itemOf(B, 'Ann Lee'));
    expect(results.map((result) => result.data.kind)).toEqual(['applied', 'applied']);
  },
);

test('what is not mapped stays: other phones, other parts of an address', async () => {
  const [id] = await rig.seed({
    Name: 'Ann Lee',
    ContactNumber: A,
    Phones: [{ PhoneType: 'FAX', PhoneNumber: '99' }],
    Addresses: [{ AddressType: 'STREET', City: 'York', Region: 'North' }],
  });
  const fields = { 'Phones.DEFAULT': '123456789', 'Addresses.STREET.City': 'Leeds' };
  await one(itemOf(A, 'Ann Lee', { externalIds: [id!], fields }));
  const held = (await rig.held(id!)) as { Phones: Record<string, string>[]; Addresses: Record<string, string>[] };
  expect(held.Phones.filter((each) => each['PhoneNumber'] !== '').map((each) => each['PhoneType'])).toEqual(
    expect.arrayContaining(['FAX', 'DEFAULT']) as string[],
  );
  expect(held.Addresses.find((each) => each['AddressType'] === 'STREET')).toMatchObject({
    City: 'Leeds',
    Region: 'North',
  });
});

test('each element has its own outcome, and names the field', async () => {
  const bad = itemOf(A, 'Ann Lee', { fields: { EmailAddress: 'nonsense' } });
  const results = await deliver(bad, itemOf(B, 'Bob Ray'));
  expect(results[0]!.data).toEqual({ kind: 'rejected', code: 'email_invalid', field: 'EmailAddress' });
  expect(results[1]!.data).toEqual({ kind: 'applied' });
});

test('a create whose answer was lost is found by our reference, not made again', async () => {
  await fault({ name: 'cut-after', match: { method: 'PUT' } });
  const item = itemOf(A, 'Ann Lee');
  expect((await one(item)).data.kind).toBe('unknown');
  const found = await one({ ...item, lookFirst: true });
  expect(found.data).toEqual({ kind: 'unchanged' });
  expect(found.externalIds).toHaveLength(1);
  expect(await total()).toBe(1);
});

test('a create that is blindly repeated makes no second record', async () => {
  const item = itemOf(A, 'Ann Lee');
  await one(item);
  const again = await one({
    ...item,
    want: { ...item.want, fields: { ...item.want.fields, Name: 'Ann Li', LastName: 'Li' } },
  });
  expect(again.data).toEqual({ kind: 'retry', code: 'already_exists' });
  expect(await total()).toBe(1);
});

test('an archived contact that belongs again is restored, even if its name was taken meanwhile', async () => {
  const [id] = await rig.seed({ Name: 'Ann Lee', ContactNumber: A, ContactStatus: 'ARCHIVED' }, { Name: 'Ann Lee' });
  const result = await one(itemOf(A, 'Ann Lee', { externalIds: [id!] }));
  expect(result.data).toEqual({ kind: 'applied' });
  expect(await rig.held(id!)).toMatchObject({ ContactStatus: 'ACTIVE', Name: `Ann Lee (${A})` });
});

test('a merged contact is followed to the one that survived', async () => {
  const [survivor] = await rig.seed({ Name: 'Ann Lee', EmailAddress: 'ann.lee@example.com' });
  const [old] = await rig.seed({ Name: 'A Lee', ContactStatus: 'ARCHIVED', MergedToContactID: survivor! });
  const result = await one(itemOf(A, 'Ann Lee', { externalIds: [old!] }));
  expect(result).toMatchObject({ data: { kind: 'applied' }, externalIds: [survivor] });
  expect(await rig.held(survivor!)).toMatchObject({ ContactNumber: A, FirstName: 'Ann' });
});

test('erasing scrubs everything, then archives; a copy under the same address goes too', async () => {
  const person = { EmailAddress: 'ann.lee@example.com', FirstName: 'Ann', LastName: 'Lee' };
  const [id, copy, other] = await rig.seed(
    {
      ...person,
      Name: 'Ann Lee',
      ContactNumber: A,
      TaxNumber: 'T1',
      Phones: [{ PhoneType: 'MOBILE', PhoneNumber: '1' }],
      Addresses: [{ AddressType: 'POBOX', City: 'York' }],
    },
    { ...person, Name: 'Lee Ann' },
    { EmailAddress: person.EmailAddress, Name: 'Bob Ray', FirstName: 'Bob', LastName: 'Ray' },
  );
  const item = itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: [id!] });
  const result = await one(item);
  expect(result.data).toEqual({ kind: 'applied' });
  expect(new Set(result.externalIds)).toEqual(new Set([id, copy]));
  for (const each of [id!, copy!]) {
    const text = JSON.stringify(await rig.held(each));
    for (const trace of ['Ann', 'Lee', 'example.com', 'York', 'T1']) expect(text).not.toContain(trace);
    expect(text).toContain('ARCHIVED');
  }
  expect(await rig.held(other!)).toMatchObject({ EmailAddress: person.EmailAddress, ContactStatus: 'ACTIVE' });
  expect(await verify({ ...item, externalIds: result.externalIds })).toMatchObject({ presence: 'gone', addresses: [] });
  expect((await one(item)).data).toEqual({ kind: 'unchanged' });
});

test('an archived contact is restored, scrubbed and archived again', async () => {
  const [id] = await rig.seed({ Name: 'Ann Lee', ContactNumber: A, ContactStatus: 'ARCHIVED', FirstName: 'Ann' });
  const item = itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: [id!] });
  expect(await verify(item)).toMatchObject({ presence: 'archived' });
  expect((await one(item)).data).toEqual({ kind: 'applied' });
  expect(await rig.held(id!)).toMatchObject({ Name: `Contact ${A}`, ContactStatus: 'ARCHIVED' });
});

test('erasing without an id looks by reference and exact address, and asks where only the address fits', async () => {
  const gone = itemOf(A, 'Ann Lee', { presence: 'erased' });
  expect((await one(gone)).data).toEqual({ kind: 'not_held' });
  await rig.seed({ Name: 'Bob Ray', EmailAddress: 'ann.lee@example.com' });
  expect((await one(gone)).data).toEqual({ kind: 'ambiguous', code: 'whose_record' });
  await rig.seed({ Name: 'Ann Lee', EmailAddress: 'ANN.LEE@example.com' });
  expect((await one(gone)).data).toEqual({ kind: 'applied' });
});

test('who does not belong and was never there costs no call', async () => {
  const result = await one(itemOf(A, 'Ann Lee', { presence: 'outside' }));
  expect(result.data).toEqual({ kind: 'not_held' });
  expect(rig.gate.calls).toEqual([]);
});

test("somebody else's record under a known id is not touched", async () => {
  const [id] = await rig.seed({ Name: 'Bob Ray', EmailAddress: 'bob.ray@example.com' });
  const item = itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: [id!] });
  expect((await one(item)).data).toEqual({ kind: 'ambiguous', code: 'whose_record' });
  expect(await rig.held(id!)).toMatchObject({ Name: 'Bob Ray', ContactStatus: 'ACTIVE' });
});

test('open invoices: reduced to what an invoice must bear, and retained until the law lets go', async () => {
  const [open, paid] = await rig.seed(
    {
      Name: 'Ann Lee',
      ContactNumber: A,
      FirstName: 'Ann',
      EmailAddress: 'ann.lee@example.com',
      Addresses: [{ AddressType: 'STREET', City: 'York' }],
      Phones: [{ PhoneType: 'MOBILE', PhoneNumber: '1' }],
      _invoices: [{ DueDate: '2027-03-31' }, { DueDate: '2026-01-31' }],
    },
    { Name: 'Bob Ray', ContactNumber: B, FirstName: 'Bob', _invoices: [{ Status: 'PAID', DueDate: '2026-06-30' }] },
  );
  const items = [
    itemOf(A, 'Ann Lee', { presence: 'purged', externalIds: [open!] }),
    itemOf(B, 'Bob Ray', { presence: 'purged', externalIds: [paid!] }),
  ];
  const results = await deliver(...items);
  expect(results.map((result) => result.data)).toEqual([
    { kind: 'retained', code: 'invoices', reviewOn: '2034-03-31' },
    { kind: 'applied' },
  ]);
  const held = await rig.held(open!);
  expect(held).toMatchObject({ Name: 'Ann Lee', ContactStatus: 'ACTIVE', Addresses: [{ City: 'York' }] });
  expect(held).not.toHaveProperty('EmailAddress');
  expect(JSON.stringify(held['Phones'])).not.toContain('"1"');
  // Looked at again, nothing is written.
  const effects = (await rig.control<{ effects: number }>('GET', '/counters')).effects;
  expect((await one(items[0]!)).data.kind).toBe('retained');
  expect((await rig.control<{ effects: number }>('GET', '/counters')).effects).toBe(effects);
});

test('with `retain: any_invoice` paid invoices keep the name too, archived', async () => {
  const [id] = await rig.seed({
    Name: 'Ann Lee',
    ContactNumber: A,
    _invoices: [{ Status: 'PAID', DueDate: '2026-06-30' }],
  });
  const connector = rig.another({ tenantId: xero.defaultSettings.tenantId, retain: 'any_invoice', retentionYears: 10 });
  const item = itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: [id!] });
  const [result] = await connector.deliver([item], rig.gate);
  connector.close();
  expect(result!.data).toEqual({ kind: 'retained', code: 'invoices', reviewOn: '2036-06-30' });
  expect(await rig.held(id!)).toMatchObject({ Name: 'Ann Lee', ContactStatus: 'ARCHIVED' });
});

test("an organisation's record: only our person's fields are touched, and it is never archived", async () => {
  const others = [{ FirstName: 'Bob', LastName: 'Ray', EmailAddress: 'bob@example.com' }];
  const [primary, person] = await rig.seed(
    { Name: 'Acme', FirstName: 'Ann', EmailAddress: 'ann.lee@example.com', ContactPersons: others },
    {
      Name: 'Globex',
      EmailAddress: 'office@example.com',
      ContactPersons: [...others, { FirstName: 'A', LastName: 'Lee', EmailAddress: 'ann.lee@example.com' }],
    },
  );
  const at = (id: string, presence: 'present' | 'erased') => itemOf(A, 'Ann Lee', { presence, externalIds: [id] });
  expect((await one(at(primary!, 'present'))).data).toEqual({ kind: 'applied' });
  expect(await rig.held(primary!)).toMatchObject({ Name: 'Acme', LastName: 'Lee', ContactPersons: others });
  expect((await one(at(person!, 'present'))).data).toEqual({ kind: 'applied' });
  expect(await verify(at(person!, 'present'))).toMatchObject({
    shared: true,
    fields: { FirstName: 'Ann', LastName: 'Lee', EmailAddress: 'ann.lee@example.com' },
  });
  for (const id of [primary!, person!]) {
    expect((await one(at(id, 'erased'))).data).toEqual({ kind: 'applied' });
    const held = await rig.held(id);
    expect(held).toMatchObject({ ContactStatus: 'ACTIVE', ContactPersons: others });
    expect(JSON.stringify(held)).not.toContain('Lee');
    expect(await verify(at(id, 'erased'))).toMatchObject({ presence: 'gone' });
  }
});

test('the last further person leaves, and the organisation stays', async () => {
  const [id] = await rig.seed({
    Name: 'Acme',
    EmailAddress: 'office@example.com',
    ContactPersons: [{ FirstName: 'Ann', LastName: 'Lee', EmailAddress: 'ann.lee@example.com' }],
  });
  const item = itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: [id!] });
  expect((await one(item)).data).toEqual({ kind: 'applied' });
  expect(await verify(item)).toMatchObject({ presence: 'gone' });
  expect(await rig.held(id!)).toMatchObject({
    Name: 'Acme',
    EmailAddress: 'office@example.com',
    ContactStatus: 'ACTIVE',
  });
});

test('GDPRREQUEST is left to Xero', async () => {
  const [id] = await rig.seed({ Name: 'Ann Lee', ContactNumber: A, ContactStatus: 'GDPRREQUEST' });
  const result = await one(itemOf(A, 'Ann Lee', { presence: 'erased', externalIds: [id!] }));
  expect(result.data).toEqual({ kind: 'refused', code: 'gdpr_request' });
});

test('many are read back by last change, few by id', async () => {
  const items = Array.from({ length: 200 }, (_, index) => itemOf(`ref-${index}`, `Given${index} Family`));
  const results: ItemResult[] = [];
  for (let start = 0; start < 200; start += 50) results.push(...(await deliver(...items.slice(start, start + 50))));
  const written = items.map((item, index) => ({ ...item, externalIds: results[index]!.externalIds }));
  rig.gate.calls.length = 0;
  const read = await rig.connector.verify(written, rig.gate);
  expect(rig.gate.calls).toEqual(['contacts.page']);
  expect(read.map((each) => (each !== null && 'reference' in each ? each.reference : null))).toEqual(
    items.map((item) => item.reference),
  );
});

test('a hurried batch begins no more writes: who is left was not touched', async () => {
  const items = Array.from({ length: 120 }, (_, index) => itemOf(`ref-${index}`, `Given${index} Family`));
  let isHurried = false;
  const gate: typeof rig.gate = {
    ...rig.gate,
    get isHurried() {
      return isHurried;
    },
    call(name, fn) {
      isHurried ||= name === 'contacts.create';
      return rig.gate.call(name, fn);
    },
  };
  const results = await rig.connector.deliver(items, gate);
  expect(results.slice(0, 50).map(({ data }) => data.kind)).toEqual(Array.from({ length: 50 }, () => 'applied'));
  expect(results.slice(50).every(({ data, consent }) => data === LEFT && consent === LEFT)).toBe(true);
  expect(results).toHaveLength(120);
  expect(await total()).toBe(50);
});

test('by id again where an answer by last change would carry many others that were written meanwhile', async () => {
  const items = Array.from({ length: 200 }, (_, index) => itemOf(`ref-${index}`, `Given${index} Family`));
  const others = Array.from({ length: 450 }, (_, index) => itemOf(`other-${index}`, `Other${index} Family`));
  const results: ItemResult[] = [];
  for (let start = 0; start < 200; start += 50) results.push(...(await deliver(...items.slice(start, start + 50))));
  for (let start = 0; start < 450; start += 50) await deliver(...others.slice(start, start + 50));
  const written = items.map((item, index) => ({ ...item, externalIds: results[index]!.externalIds }));
  rig.gate.calls.length = 0;
  const read = await rig.connector.verify(written, rig.gate);
  expect(rig.gate.calls).toEqual(Array.from({ length: 4 }, () => 'contacts.by_ids'));
  expect(read.map((each) => (each !== null && 'reference' in each ? each.reference : null))).toEqual(
    items.map((item) => item.reference),
  );
});

test('a scan gives everything once, archived ones too, over pages', async () => {
  const records = Array.from({ length: 1500 }, (_, index) => ({
    Name: `N${index}`,
    EmailAddress: `n${index}@example.com`,
    ContactStatus: index % 3 === 0 ? 'ARCHIVED' : 'ACTIVE',
  }));
  await rig.seed(...records);
  const seen = new Set<string>();
  let cursor: string | undefined;
  let pages = 0;
  do {
    const page = await rig.connector.scan(cursor, rig.gate);
    for (const each of page.observations) seen.add(each.addresses[0]!);
    cursor = page.cursor;
    pages += 1;
  } while (cursor !== undefined);
  expect([seen.size, pages]).toEqual([1500, 2]);
});

test('what the headers and a 429 say reaches the gate', async () => {
  await fault({ name: '429-retry-after', match: { path: 'Contacts' }, params: { seconds: 7, problem: 'day' } });
  const [id] = await rig.seed({ Name: 'Ann Lee', ContactNumber: A });
  const result = await one(itemOf(A, 'Ann Lee', { externalIds: [id!] }));
  expect(result.data).toEqual({ kind: 'retry', code: 'limit_day', afterMs: 7000 });
  expect(rig.gate.readings.at(-1)).toMatchObject({ blockedForMs: 7000, reason: 'day', remaining: 60 });
});

test.each([
  [{ name: '500-after' }, 'unknown'],
  [{ name: 'truncate' }, 'unknown'],
  [{ name: 'html', params: { effect: 'before' } }, 'unknown'],
  [{ name: 'hang' }, 'unknown'],
  [{ name: 'redirect' }, 'retry'],
  [{ name: 'bare-403' }, 'retry'],
  [{ name: '429' }, 'retry'],
  [{ name: 'token-expired' }, 'retry'],
])('a write that meets %j', async (spec, kind) => {
  await fault({ ...spec, match: { method: 'PUT' } });
  const item = itemOf(A, 'Ann Lee');
  expect((await one(item)).data.kind).toBe(kind);
  expect((await one({ ...item, lookFirst: true })).data.kind).toMatch(/applied|unchanged/);
  expect(await total()).toBe(1);
});

test('a subject access request gets the contact and its invoices', async () => {
  const [id] = await rig.seed({ Name: 'Ann Lee', _openInvoices: 2 });
  const held = await rig.connector.collect(id!, rig.gate);
  expect(held).toMatchObject({ contact: { name: 'Ann Lee' }, invoices: [{ status: 'AUTHORISED' }, {}] });
  expect(await rig.connector.collect(crypto.randomUUID(), rig.gate)).toBeNull();
});

test('check says what is wrong in sentences, and stops where Xero does not let us in', async () => {
  expect(await rig.connector.check(rig.gate)).toEqual([]);
  const elsewhere = rig.another({ tenantId: crypto.randomUUID() });
  expect((await elsewhere.check(rig.gate)).join()).toMatch(/tenantId/);
  rig.sandbox.settings['clientSecret'] = 'changed';
  rig.store.saved = null;
  const stranger = rig.another();
  await expect(stranger.check(rig.gate)).rejects.toMatchObject({
    outcome: { kind: 'unauthorised', code: 'client_refused' },
  });
  elsewhere.close();
  stranger.close();
});
