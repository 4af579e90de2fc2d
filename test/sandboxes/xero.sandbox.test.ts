/** The Xero sandbox as the official SDK sees it, held to Xero's published description. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { AccountingApi, Contact, Phone } from 'xero-node';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';
import * as xero from '../../sandboxes/xero/index.ts';
import { spokenOutOfSpec } from './xero-spec.ts';

const TENANT = '11111111-1111-4111-8111-111111111111';
const initial = structuredClone(xero.defaultSettings);
let sandbox: Sandbox;
let api: AccountingApi;
/** The SDK's `accessToken` can only be set. */
let bearer: string;

beforeAll(async () => {
  sandbox = await startSandbox({ module: xero, port: 0, controlPort: 0 });
  api = new AccountingApi(`${sandbox.url}/api.xro/2.0`);
});
afterAll(() => sandbox.close());
beforeEach(async () => {
  await control('POST', '/reset');
  Object.assign(sandbox.settings, initial, { latencyMs: 0, limits: false, clockOffsetMs: 0, searchLagMs: 0 });
  await signIn();
});

async function control<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
  const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await fetch(sandbox.controlUrl + path, init);
  return (await response.json()) as T;
}

const seed = async (...records: Record<string, unknown>[]): Promise<string[]> =>
  (await control<{ ids: string[] }>('POST', '/records', records)).ids;
const held = (id: string) => control(`GET`, `/records/${id}`);

interface Tokens {
  status: number;
  access_token?: string;
  refresh_token?: string;
  expires_in?: number;
  error?: string;
}
async function token(form: Record<string, string>, secret = 'sandbox-xero-secret'): Promise<Tokens> {
  const authorization = `Basic ${Buffer.from(`sandbox-xero-client:${secret}`).toString('base64')}`;
  const body = new URLSearchParams(form);
  const response = await fetch(`${sandbox.url}/connect/token`, { method: 'POST', headers: { authorization }, body });
  return { status: response.status, ...((await response.json()) as object) };
}
const refresh = (refreshToken: string): Promise<Tokens> =>
  token({ grant_type: 'refresh_token', refresh_token: refreshToken });

async function signIn(): Promise<void> {
  bearer = (await refresh('sandbox-xero-refresh-0')).access_token!;
  api.accessToken = bearer;
}

interface Refusal {
  statusCode: number;
  body: { Elements?: { ValidationErrors: { Message: string }[] }[]; ErrorNumber?: number; Detail?: string };
  headers: Record<string, string>;
}
/** The SDK rejects with a JSON string. */
async function refusal(promise: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(typeof error, 'expected a refusal').toBe('string');
  return (JSON.parse(error as string) as { response: Refusal }).response;
}

const post = (contacts: Contact[], key?: string) => api.updateOrCreateContacts(TENANT, { contacts }, false, key);
const put = (contacts: Contact[], key?: string) => api.createContacts(TENANT, { contacts }, false, key);
const list = async (query: Record<string, string> = {}, headers: Record<string, string> = {}) => {
  const url = `${sandbox.url}/api.xro/2.0/Contacts?${new URLSearchParams(query).toString()}`;
  const own = { authorization: `Bearer ${bearer}`, 'xero-tenant-id': TENANT };
  const response = await fetch(url, { headers: { ...own, ...headers } });
  return { status: response.status, body: (await response.json()) as { Contacts: { Name: string }[] } };
};
const names = async (query: Record<string, string>) => (await list(query)).body.Contacts.map((each) => each.Name);
const errorsOf = (contact: Contact | undefined) => contact?.validationErrors?.map((each) => each.message);

test('a contact is created, read by id, number and page, and changed without losing what was not sent', async () => {
  const made = await put([{ name: 'Ann Lee', contactNumber: 'ref-1', emailAddress: 'ann@example.com' }]);
  const [created] = made.body.contacts!;
  expect(created).toMatchObject({ contactStatus: 'ACTIVE', hasValidationErrors: false, statusAttributeString: 'OK' });
  expect(created?.updatedDateUTC).toBeInstanceOf(Date);
  await post([{ contactID: created!.contactID!, firstName: 'Ann' }]);
  const byNumber = await api.getContact(TENANT, 'ref-1');
  expect(byNumber.body.contacts?.[0]).toMatchObject({ firstName: 'Ann', emailAddress: 'ann@example.com' });
  await post([{ contactID: created!.contactID!, firstName: '' }]);
  const paged = await api.getContacts(TENANT, undefined, undefined, undefined, undefined, 1);
  expect(paged.body.pagination).toMatchObject({ page: 1, itemCount: 1 });
  expect(paged.body.contacts?.[0]?.firstName).toBeUndefined();
});

test('phones and addresses are replaced whole', async () => {
  const [id] = await seed({ Name: 'A', Phones: [{ PhoneType: 'FAX', PhoneNumber: '1' }] });
  const answer = await post([
    { contactID: id!, phones: [{ phoneType: Phone.PhoneTypeEnum.MOBILE, phoneNumber: '2' }] },
  ]);
  const numbers = answer.body.contacts![0]!.phones!.map((each) => `${each.phoneType}:${each.phoneNumber}`);
  expect(numbers).toEqual(['DDI:', 'DEFAULT:', 'FAX:', 'MOBILE:2']);
});

test('with summarizeErrors=false each element has its own result; without it one bad element fails all', async () => {
  const contacts = [{ name: 'Good' }, { name: 'Bad', emailAddress: 'not an address' }];
  const each = (await post(contacts)).body.contacts!;
  expect(each.map((one) => one.statusAttributeString)).toEqual(['OK', 'ERROR']);
  expect(errorsOf(each[1])).toEqual(['Email address must be valid.']);
  await control('POST', '/reset');
  await signIn();
  const refused = await refusal(api.updateOrCreateContacts(TENANT, { contacts }));
  expect(refused).toMatchObject({ statusCode: 400, body: { ErrorNumber: 10, Type: 'ValidationException' } });
  expect(refused.body.Elements).toHaveLength(1);
  expect(await control('GET', '/records')).toMatchObject({ total: 0 });
});

test('names are unique among active contacts: PUT refuses, POST without id changes the other contact', async () => {
  const [other] = await seed({ Name: 'Ann Lee', EmailAddress: 'other@example.com' });
  const refused = (await put([{ name: ' ann LEE', contactNumber: 'n' }])).body.contacts![0];
  expect(errorsOf(refused)?.[0]).toMatch(/is already assigned to another contact/);
  const taken = (await post([{ name: 'Ann Lee', contactNumber: 'n', emailAddress: 'mine@example.com' }])).body
    .contacts![0];
  expect(taken?.contactID).toBe(other);
  expect(await held(other!)).toMatchObject({ EmailAddress: 'mine@example.com', ContactNumber: 'n' });
  // An archived contact does not occupy its name.
  await post([{ contactID: other!, contactStatus: Contact.ContactStatusEnum.ARCHIVED }]);
  expect((await put([{ name: 'Ann Lee' }])).body.contacts![0]?.statusAttributeString).toBe('OK');
});

test('the ContactNumber finds its contact; another contact cannot take it, nor an AccountNumber', async () => {
  const [a, b] = await seed({ Name: 'A', ContactNumber: 'a', AccountNumber: 'acc' }, { Name: 'B' });
  await post([{ contactNumber: 'a', firstName: 'Via number' }]);
  expect(await held(a!)).toMatchObject({ FirstName: 'Via number', Name: 'A' });
  const [number, account, create] = [
    (await post([{ contactID: b!, contactNumber: 'a' }])).body.contacts![0],
    (await post([{ contactID: b!, accountNumber: 'ACC' }])).body.contacts![0],
    (await put([{ name: 'C', contactNumber: 'a' }])).body.contacts![0],
  ];
  for (const each of [number, account, create]) expect(errorsOf(each)?.[0]).toMatch(/already assigned/);
});

test.each([
  [{ name: 'x'.repeat(256) }, /Name .* 255/],
  [{ name: 'x', contactNumber: 'x'.repeat(51) }, /ContactNumber .* 50/],
  [{ name: 'x', emailAddress: 'jürgen@example.com' }, /Email address/],
  [{ emailAddress: 'a@example.com' }, /at least 1 of the following elements/],
  [{ name: 'x', addresses: [{ postalCode: 'x'.repeat(51) }] }, /address type/],
  [{ name: 'x', contactPersons: [{ firstName: 'P' }] }, /Additional people cannot be added/],
  [{ name: 'x', contactStatus: Contact.ContactStatusEnum.GDPRREQUEST }, /GDPRREQUEST/],
  [{ contactID: '99999999-9999-4999-8999-999999999999', name: 'x' }, /could not be found/],
])('validation %#', async (contact, message) => {
  const [refused] = (await post([contact as Contact])).body.contacts!;
  expect(errorsOf(refused)?.join(' ')).toMatch(message);
  expect(refused?.hasValidationErrors).toBe(true);
});

test('archived contacts are left out unless asked for, and can only be restored', async () => {
  const [id] = await seed({ Name: 'Old', ContactStatus: 'ARCHIVED' }, { Name: 'New' });
  expect(await names({})).toEqual(['New']);
  expect(await names({ includeArchived: 'true', order: 'Name DESC' })).toEqual(['Old', 'New']);
  expect(await names({ IDs: id! })).toEqual([]);
  expect(errorsOf((await post([{ contactID: id!, firstName: 'F' }])).body.contacts![0])?.[0]).toMatch(/archived/);
  await post([{ contactID: id!, firstName: 'F', contactStatus: Contact.ContactStatusEnum.ACTIVE }]);
  expect(await held(id!)).toMatchObject({ FirstName: 'F', ContactStatus: 'ACTIVE' });
});

test('archiving does nothing else, and is refused while invoices are open', async () => {
  const [paid, open] = await seed(
    { Name: 'Paid', _invoices: [{ Status: 'PAID' }] },
    { Name: 'Open', _openInvoices: 1 },
  );
  const archived = Contact.ContactStatusEnum.ARCHIVED;
  const answer = await post([
    { contactID: paid!, name: 'Other', contactStatus: archived },
    { contactID: open!, contactStatus: archived },
  ]);
  expect(answer.body.contacts!.map((each) => each.statusAttributeString)).toEqual(['OK', 'ERROR']);
  expect(await held(paid!)).toMatchObject({ Name: 'Paid', ContactStatus: 'ARCHIVED' });
  expect(errorsOf(answer.body.contacts![1])?.[0]).toMatch(/outstanding invoices/);
});

test('invoices say why and until when a contact is needed', async () => {
  const [id] = await seed({ Name: 'A', _invoices: [{ DueDate: '2026-03-31' }, { Status: 'PAID' }] });
  const ask = (statuses?: string[]) => {
    const none = undefined;
    return api.getInvoices(TENANT, none, none, none, none, none, [id!], statuses, 1);
  };
  expect((await ask()).body.invoices).toHaveLength(2);
  const [invoice] = (await ask(['AUTHORISED'])).body.invoices!;
  expect(invoice).toMatchObject({ status: 'AUTHORISED', contact: { contactID: id }, amountDue: 100 });
  // Typed as a string; the SDK gives a Date.
  expect(new Date(invoice!.dueDate!).toISOString()).toBe('2026-03-31T00:00:00.000Z');
});

test('where: the forms in use, and an error for others', async () => {
  await seed(
    { Name: 'A "q"', EmailAddress: 'A@example.com' },
    { Name: 'B', ContactNumber: 'b' },
    { Name: 'C', ContactNumber: 'c' },
  );
  expect(await names({ where: 'EmailAddress=="a@example.com"' })).toEqual(['A "q"']);
  expect(await names({ where: 'Name=="A \\"q\\""' })).toEqual(['A "q"']);
  expect(await names({ where: 'ContactNumber=="b" OR ContactNumber=="c"', order: 'Name' })).toEqual(['B', 'C']);
  expect(await names({ where: 'ContactNumber=="b" AND Name=="C"' })).toEqual([]);
  expect(await list({ where: 'Shoe=="b"' })).toMatchObject({ status: 400, body: { ErrorNumber: 16 } });
});

test('pages: at most 1000, contact persons only when paged, changed since', async () => {
  const person = { FirstName: 'P', EmailAddress: 'p@example.com' };
  const people = Array.from({ length: 5 }, (_, index) => ({ Name: `N${index}`, ContactPersons: [person] }));
  const ids = await seed(...people);
  expect(await names({ page: '2', pageSize: '2', order: 'Name' })).toEqual(['N2', 'N3']);
  expect((await list({ page: '1', pageSize: '1001' })).status).toBe(400);
  expect((await list({ page: '1' })).body.Contacts[0]).toHaveProperty('ContactPersons');
  expect((await list()).body.Contacts[0]).not.toHaveProperty('ContactPersons');
  expect((await list({ page: '1', summaryOnly: 'true' })).body.Contacts[0]).not.toHaveProperty('ContactPersons');
  sandbox.settings.clockOffsetMs = 10_000;
  await control('PATCH', `/records/${ids[3]!}`, { FirstName: 'Changed' });
  const since = new Date(Date.now() + 5000).toISOString();
  expect((await list({}, { 'if-modified-since': since })).body.Contacts.map((each) => each.Name)).toEqual(['N3']);
});

test('without an order, a change between two pages makes another contact slip through', async () => {
  const ids = await seed(...Array.from({ length: 4 }, (_, index) => ({ Name: `N${index}` })));
  const first = await names({ page: '1', pageSize: '2' });
  sandbox.settings.clockOffsetMs = 1000;
  for (const id of ids) {
    if (first.includes(String((await held(id))['Name']))) await control('PATCH', `/records/${id}`, {});
  }
  const second = await names({ page: '2', pageSize: '2' });
  expect(new Set([...first, ...second]).size).toBeLessThan(4);
});

test('long lists of ids are not found', async () => {
  const ids = Array.from({ length: 60 }, () => crypto.randomUUID());
  const ask = (some: string[]) => api.getContacts(TENANT, undefined, undefined, undefined, some, 1, true);
  expect((await ask(ids.slice(0, 50))).body.contacts).toEqual([]);
  expect((await refusal(ask(ids))).statusCode).toBe(404);
});

test('an idempotency key answers the same request again without effect, and no other request', async () => {
  const first = await put([{ name: 'A' }], 'key-1');
  const again = await put([{ name: 'A' }], 'key-1');
  expect(again.body.contacts![0]?.contactID).toBe(first.body.contacts![0]?.contactID);
  expect(await control('GET', '/records')).toMatchObject({ total: 1 });
  expect((await refusal(put([{ name: 'B' }], 'key-1'))).statusCode).toBe(400);
  sandbox.settings.clockOffsetMs = initial.idempotencyMs;
  expect((await put([{ name: 'B' }], 'key-1')).body.contacts![0]?.statusAttributeString).toBe('OK');
});

test('access tokens expire; refresh tokens rotate, and the used one works for 30 minutes more', async () => {
  const minutes = (count: number) => {
    sandbox.settings.clockOffsetMs = count * 60_000;
  };
  const second = await refresh('sandbox-xero-refresh-0');
  expect(second).toMatchObject({ status: 200, expires_in: 1800 });
  minutes(29);
  expect((await refresh('sandbox-xero-refresh-0')).status).toBe(200);
  expect((await list()).status).toBe(200);
  minutes(31);
  expect(await refresh('sandbox-xero-refresh-0')).toMatchObject({ status: 400, error: 'invalid_grant' });
  expect(await list()).toMatchObject({
    status: 401,
    body: { Detail: expect.stringMatching(/^TokenExpired/) as string },
  });
  expect((await refresh(second.refresh_token!)).status).toBe(200);
  minutes(61 * 24 * 60);
  expect((await refresh(second.refresh_token!)).error).toBe('invalid_grant');
});

test('client, token and tenant are checked; a custom connection needs no tenant', async () => {
  expect((await token({ grant_type: 'client_credentials' }, 'wrong')).error).toBe('invalid_client');
  const custom = (await token({ grant_type: 'client_credentials' })).access_token!;
  const call = async (given: string, tenant: string) =>
    (
      await fetch(`${sandbox.url}/api.xro/2.0/Contacts`, {
        headers: { authorization: `Bearer ${given}`, 'xero-tenant-id': tenant },
      })
    ).status;
  expect(await call(custom, '')).toBe(200);
  expect(await call(bearer, '')).toBe(403);
  expect(await call(bearer, crypto.randomUUID())).toBe(403);
  expect(await call('unknown', TENANT)).toBe(401);
  const response = await fetch(`${sandbox.url}/connections`, { headers: { authorization: `Bearer ${custom}` } });
  expect(await response.json()).toMatchObject([{ tenantId: TENANT, tenantType: 'ORGANISATION' }]);
});

test('limits: a minute, a day, five at once, with the headers that tell of them', async () => {
  Object.assign(sandbox.settings, { limits: true, minuteLimit: 2 });
  const ask = () => api.getContacts(TENANT, undefined, undefined, undefined, undefined, 1);
  const { headers } = (await ask()).response;
  expect(headers['x-minlimit-remaining']).toBe('1');
  expect(headers['x-daylimit-remaining']).toMatch(/^\d+$/);
  await ask();
  const minute = await refusal(ask());
  expect(minute).toMatchObject({ statusCode: 429, headers: { 'x-rate-limit-problem': 'minute' } });
  expect(Number(minute.headers['retry-after'])).toBeGreaterThan(50);
  Object.assign(sandbox.settings, { minuteLimit: 60, dayLimit: 1 });
  expect((await refusal(ask())).headers['x-rate-limit-problem']).toBe('day');
  Object.assign(sandbox.settings, { dayLimit: 5000, latencyMs: 50 });
  const results = await Promise.allSettled(Array.from({ length: 8 }, ask));
  expect(results.filter((each) => each.status === 'rejected')).toHaveLength(3);
});

test('the fault `partial` fails elements, not the batch', async () => {
  await control('POST', '/faults', { name: 'partial', match: { method: 'PUT' }, params: { items: [1] } });
  const answer = await put([{ name: 'A' }, { name: 'B' }, { name: 'C' }]);
  expect(answer.body.contacts!.map((each) => each.statusAttributeString)).toEqual(['OK', 'ERROR', 'OK']);
});

test('stale reads show old contacts to a token of today', async () => {
  await control('POST', '/faults', { name: 'stale-reads', params: { ms: 60_000 } });
  await put([{ name: 'A' }]);
  await signIn();
  expect(await list()).toMatchObject({ status: 200, body: { Contacts: [] } });
  await control('DELETE', '/faults');
  expect(await names({})).toEqual(['A']);
});

test('state survives its way through JSON', async () => {
  await put([{ name: 'A', contactNumber: 'n' }]);
  sandbox.vendor.restore(JSON.parse(JSON.stringify(sandbox.vendor.snapshot())));
  expect((await put([{ name: 'B', contactNumber: 'n' }])).body.contacts![0]?.statusAttributeString).toBe('ERROR');
});

test('answers are as Xero publishes them', async () => {
  const address = { AddressType: 'STREET', AddressLine1: '1 Street', City: 'Leeds', Country: 'GB' };
  const phone = { PhoneType: 'DEFAULT', PhoneNumber: '123', PhoneAreaCode: '', PhoneCountryCode: '' };
  const person = { FirstName: 'P', LastName: 'Q', EmailAddress: 'p@example.com', IncludeInEmails: false };
  const full = { EmailAddress: 'a@example.com', Addresses: [address], Phones: [phone], ContactPersons: [person] };
  const [id] = await seed({ Name: 'Full', ...full, ContactNumber: 'n', _openInvoices: 1 }, { Name: 'Bare' });
  const call = async (method: string, path: string, body?: unknown): Promise<[number, unknown]> => {
    const headers = { authorization: `Bearer ${bearer}`, 'xero-tenant-id': TENANT };
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const response = await fetch(`${sandbox.url}/api.xro/2.0${path}`, init);
    return [response.status, await response.json()];
  };
  const bad = { Contacts: [{ Name: 'Bad', EmailAddress: 'x', Phones: [phone] }, { Name: 'Fine' }] };
  const one = { Contacts: [{ FirstName: 'F' }] };
  const path = '/Contacts/{ContactID}';
  expect(spokenOutOfSpec('/Contacts', 'get', ...(await call('GET', '/Contacts?page=1')))).toEqual([]);
  expect(spokenOutOfSpec('/Contacts', 'get', ...(await call('GET', '/Contacts?summaryOnly=true')))).toEqual([]);
  expect(spokenOutOfSpec(path, 'get', ...(await call('GET', `/Contacts/${id!}`)))).toEqual([]);
  expect(spokenOutOfSpec('/Contacts', 'put', ...(await call('PUT', '/Contacts?summarizeErrors=false', bad)))).toEqual(
    [],
  );
  expect(spokenOutOfSpec('/Contacts', 'post', ...(await call('POST', '/Contacts', bad)))).toEqual([]);
  expect(spokenOutOfSpec(path, 'post', ...(await call('POST', `/Contacts/${id!}`, one)))).toEqual([]);
  expect(spokenOutOfSpec('/Invoices', 'get', ...(await call('GET', `/Invoices?ContactIDs=${id!}&page=1`)))).toEqual([]);
  // The validator itself can say no.
  expect(spokenOutOfSpec('/Contacts', 'get', 200, { Contacts: [{ ContactID: 'x', Shoe: 1 }] })).toHaveLength(2);
});
