/** The HubSpot sandbox as the official SDK sees it. */
import { Client } from '@hubspot/api-client';
import { FilterOperatorEnum } from '@hubspot/api-client/lib/codegen/crm/contacts/index.js';
import {
  PropertyCreateFieldTypeEnum,
  PropertyCreateTypeEnum,
} from '@hubspot/api-client/lib/codegen/crm/properties/index.js';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import * as hubspot from '../../sandboxes/hubspot/index.ts';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';

let sandbox: Sandbox;
let client: Client;
const initial = structuredClone(hubspot.defaultSettings);

beforeAll(async () => {
  sandbox = await startSandbox({ module: hubspot, port: 0, controlPort: 0 });
  client = new Client({ accessToken: 'sandbox-hubspot-token', basePath: sandbox.url });
});
afterAll(() => sandbox.close());
beforeEach(async () => {
  await control('POST', '/reset');
  Object.assign(sandbox.settings, structuredClone(initial), { latencyMs: 0, limits: false, clockOffsetMs: 0 });
});

async function control(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await fetch(sandbox.controlUrl + path, init);
  return (await response.json()) as Record<string, unknown>;
}

/** The SDK's error, with only what tests look at. */
async function refusal(promise: Promise<unknown>): Promise<{ code: number; body: Record<string, unknown> }> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error, 'expected a refusal').toBeDefined();
  return error as { code: number; body: Record<string, unknown> };
}

const contacts = () => client.crm.contacts;
const create = (properties: Record<string, string>) => contacts().basicApi.create({ properties, associations: [] });
const trace = (objectWriteTraceId: string, properties: Record<string, string>) => ({
  objectWriteTraceId,
  properties,
  associations: [],
});

async function plumblineRef(): Promise<void> {
  await client.crm.properties.coreApi.create('contacts', {
    name: 'plumbline_ref',
    label: 'Reference',
    type: PropertyCreateTypeEnum.String,
    fieldType: PropertyCreateFieldTypeEnum.Text,
    groupName: 'contactinformation',
    hasUniqueValue: true,
  });
}

test('a contact is created, read, changed and archived; values are trimmed, addresses in lower case', async () => {
  const made = await create({ email: ' Ann@Example.com ', firstname: ' Ann ' });
  expect(made.id).toMatch(/^\d+$/);
  expect(made.createdAt).toBeInstanceOf(Date);
  expect(made.properties).toMatchObject({ email: 'ann@example.com', firstname: 'Ann', lifecyclestage: 'lead' });
  const changed = await contacts().basicApi.update(made.id, { properties: { lastname: 'Lee', firstname: '' } });
  expect(changed.updatedAt.getTime()).toBeGreaterThanOrEqual(made.updatedAt.getTime());
  const read = await contacts().basicApi.getById(
    'ANN@example.com',
    ['firstname', 'lastname', 'phone', 'no_such'],
    undefined,
    undefined,
    false,
    'email',
  );
  expect(read.properties).toMatchObject({ firstname: '', lastname: 'Lee', phone: null, hs_object_id: made.id });
  expect(read.properties).not.toHaveProperty('no_such');

  await contacts().basicApi.archive(made.id);
  expect((await refusal(contacts().basicApi.getById(made.id))).code).toBe(404);
  const archived = await contacts().basicApi.getById(made.id, ['email'], undefined, undefined, true);
  expect(archived).toMatchObject({ archived: true, properties: { email: 'ann@example.com' } });
  expect((await refusal(contacts().basicApi.update(made.id, { properties: {} }))).code).toBe(404);
  // Its address is free again.
  expect((await create({ email: 'ann@example.com' })).id).not.toBe(made.id);
});

test.each([
  [{ no_such: 'x' }, 'PROPERTY_DOESNT_EXIST'],
  [{ email: 'nobody' }, 'INVALID_EMAIL'],
  [{ email: 'a b@example.com' }, 'INVALID_EMAIL'],
  [{ lifecyclestage: 'friend' }, 'INVALID_OPTION'],
  [{ hs_legal_basis: 'Because' }, 'INVALID_OPTION'],
  [{ closedate: 'soon' }, 'INVALID_DATE'],
  [{ createdate: '2020-01-01' }, 'READ_ONLY_VALUE'],
])('the value %o is refused with %s', async (properties, code) => {
  const { code: status, body } = await refusal(create(properties as unknown as Record<string, string>));
  expect(status).toBe(400);
  expect(body).toMatchObject({ status: 'error', category: 'VALIDATION_ERROR', errors: [{ code }] });
  expect(body['message']).toContain('Property values were not valid');
});

test('an address is unique without regard to case, further addresses included', async () => {
  const made = await create({ email: 'ann@example.com' });
  const { code, body } = await refusal(create({ email: 'ANN@example.com' }));
  expect({ code, message: body['message'] }).toEqual({
    code: 409,
    message: `Contact already exists. Existing ID: ${made.id}`,
  });
  await control('PATCH', `/records/${made.id}`, { properties: { hs_additional_emails: 'ann.lee@example.com' } });
  expect((await refusal(create({ email: 'ann.lee@example.com' }))).code).toBe(409);
  const other = await create({ email: 'bob@example.com' });
  expect((await refusal(contacts().basicApi.update(other.id, { properties: { email: 'ann@example.com' } }))).code).toBe(
    409,
  );
});

test('a stage goes forward only, unless it is cleared first', async () => {
  const { id } = await create({ lifecyclestage: 'customer' });
  const set = async (lifecyclestage: string) =>
    (await contacts().basicApi.update(id, { properties: { lifecyclestage } })).properties['lifecyclestage'];
  expect(await set('lead')).toBe('customer');
  expect(await set('')).toBe('');
  expect(await set('lead')).toBe('lead');
});

test('listing pages by 100, archived apart', async () => {
  const records = Array.from({ length: 230 }, (_unused, n) => ({
    properties: { email: `p${n}@example.com` },
    archived: n % 10 === 0,
  }));
  await control('POST', '/records', records);
  const list = async (archived: boolean) => {
    const sizes = [];
    const ids = new Set<string>();
    let after: string | undefined;
    do {
      const page = await contacts().basicApi.getPage(100, after, ['email'], undefined, undefined, archived);
      for (const { id } of page.results) ids.add(id);
      sizes.push(page.results.length);
      after = page.paging?.next?.after;
    } while (after !== undefined);
    return { sizes, ids: ids.size };
  };
  expect(await list(false)).toEqual({ sizes: [100, 100, 7], ids: 207 });
  expect(await list(true)).toEqual({ sizes: [23], ids: 23 });
  expect((await refusal(contacts().basicApi.getPage(101))).code).toBe(400);
});

test('batch read finds by id, by merged id and by unique property; what is missing costs only itself', async () => {
  await plumblineRef();
  const a = await create({ email: 'a@example.com', plumbline_ref: 'ref-a' });
  const b = await create({ email: 'b@example.com' });
  const merged = await contacts().basicApi.merge({ primaryObjectId: a.id, objectIdToMerge: b.id });
  expect(merged.id).toBe(a.id);
  const read = await contacts().batchApi.read({
    inputs: [{ id: b.id }, { id: '404' }, { id: '405' }],
    properties: ['hs_merged_object_ids', 'hs_additional_emails'],
    propertiesWithHistory: [],
  });
  expect(read).toMatchObject({
    results: [{ id: a.id, properties: { hs_merged_object_ids: b.id, hs_additional_emails: 'b@example.com' } }],
    numErrors: 1,
    errors: [{ category: 'OBJECT_NOT_FOUND', context: { ids: ['404', '405'] } }],
  });
  const byRef = await contacts().batchApi.read({
    idProperty: 'plumbline_ref',
    inputs: [{ id: 'REF-A' }],
    properties: [],
    propertiesWithHistory: [],
  });
  expect(byRef.results.map(({ id }) => id)).toEqual([a.id]);
  const wrong = contacts().batchApi.read({
    idProperty: 'firstname',
    inputs: [{ id: 'x' }],
    properties: [],
    propertiesWithHistory: [],
  });
  expect((await refusal(wrong)).code).toBe(400);
});

test('a merge may make a new id: both old ones still lead there', async () => {
  sandbox.settings['mergeMakesNewId'] = true;
  const a = await create({ email: 'a@example.com' });
  const b = await create({ email: 'b@example.com', firstname: 'Bo' });
  const { id } = await contacts().basicApi.merge({ primaryObjectId: a.id, objectIdToMerge: b.id });
  expect([a.id, b.id]).not.toContain(id);
  for (const old of [a.id, b.id]) {
    expect(await contacts().basicApi.getById(old)).toMatchObject({ id, properties: { firstname: 'Bo' } });
  }
});

test('batch create is refused whole for one bad input, without saying which', async () => {
  await create({ email: 'a@example.com' });
  const inputs = [
    { properties: { email: 'b@example.com' }, associations: [] },
    { properties: { email: 'a@example.com' }, associations: [] },
  ];
  expect((await refusal(contacts().batchApi.create({ inputs }))).code).toBe(409);
  const twice = [inputs[0]!, { properties: { email: 'B@example.com' }, associations: [] }];
  expect((await refusal(contacts().batchApi.create({ inputs: twice }))).code).toBe(409);
  expect((await control('GET', '/records'))['total']).toBe(1);
});

test('batch create with a trace id on each input fails one by one', async () => {
  const a = await create({ email: 'a@example.com' });
  const answer = await contacts().batchApi.create({
    inputs: [
      trace('0', { email: 'a@example.com' }),
      trace('1', { email: 'b@example.com' }),
      trace('2', { email: 'nobody' }),
    ],
  });
  expect(answer).toMatchObject({
    numErrors: 2,
    results: [{ objectWriteTraceId: '1', properties: { email: 'b@example.com' } }],
    errors: [
      { category: 'CONFLICT', context: { objectWriteTraceId: ['0'], existingId: [a.id] } },
      { category: 'VALIDATION_ERROR', context: { objectWriteTraceId: ['2'] }, errors: [{ code: 'INVALID_EMAIL' }] },
    ],
  });
});

test('batch update: missing ids cost only themselves, duplicates and bad values refuse the whole', async () => {
  const a = await create({ email: 'a@example.com' });
  const b = await create({ email: 'b@example.com' });
  const update = (inputs: { id: string; properties: Record<string, string>; idProperty?: string }[]) =>
    contacts().batchApi.update({ inputs });
  const answer = await update([
    { id: a.id, properties: { firstname: 'A' } },
    { id: '404', properties: { firstname: 'X' } },
    { id: b.id, properties: { firstname: 'B' } },
  ]);
  expect(answer).toMatchObject({ numErrors: 1, errors: [{ context: { ids: ['404'] } }] });
  // Not in the order of the inputs: nobody may rely on it.
  expect(answer.results.map(({ id }) => id)).toEqual([b.id, a.id]);
  const twice = await refusal(
    update([
      { id: a.id, properties: {} },
      { id: a.id, properties: {} },
    ]),
  );
  expect(twice.body['message']).toBe(`Duplicate IDs found in batch input: [${a.id}]. IDs must be unique`);
  const bad = [
    { id: a.id, properties: { firstname: 'C' } },
    { id: b.id, properties: { email: 'nobody' } },
  ];
  expect((await refusal(update(bad))).code).toBe(400);
  expect(await contacts().basicApi.getById(a.id)).toMatchObject({ properties: { firstname: 'A' } });
  expect((await refusal(update([{ id: 'a@example.com', idProperty: 'email', properties: {} }]))).code).toBe(400);
  const many = Array.from({ length: 101 }, (_unused, n) => ({ id: String(n), properties: {} }));
  expect((await refusal(update(many))).code).toBe(400);
});

test('upsert by a unique property creates once and updates after', async () => {
  await plumblineRef();
  const input = { id: 'ref-1', idProperty: 'plumbline_ref', properties: { email: 'a@example.com' } };
  const first = await contacts().batchApi.upsert({ inputs: [input] });
  const second = await contacts().batchApi.upsert({
    inputs: [{ ...input, properties: { email: 'a@example.com', firstname: 'A' } }],
  });
  expect([first.results[0]?._new, second.results[0]?._new]).toEqual([true, false]);
  expect(second.results[0]?.id).toBe(first.results[0]?.id);
  const taken = contacts().batchApi.upsert({ inputs: [{ ...input, id: 'ref-2' }] });
  expect((await refusal(taken)).code).toBe(409);
  const unknown = contacts().batchApi.upsert({ inputs: [{ ...input, idProperty: 'no_such' }] });
  expect((await refusal(unknown)).code).toBe(400);
});

test('the property must exist before it can be used; creating it twice is a conflict', async () => {
  expect((await refusal(create({ plumbline_ref: 'r' }))).code).toBe(400);
  expect((await refusal(client.crm.properties.coreApi.getByName('contacts', 'plumbline_ref'))).code).toBe(404);
  await plumblineRef();
  expect(await client.crm.properties.coreApi.getByName('contacts', 'plumbline_ref')).toMatchObject({
    hasUniqueValue: true,
  });
  expect((await refusal(plumblineRef())).code).toBe(409);
  expect((await client.crm.properties.coreApi.getAll('contacts')).results.map(({ name }) => name)).toContain(
    'plumbline_ref',
  );
  await create({ plumbline_ref: 'r' });
  expect((await refusal(create({ plumbline_ref: 'r' }))).body).toMatchObject({
    errors: [{ code: 'CONFLICTING_UNIQUE_VALUE' }],
  });
});

test('gdpr-delete erases for good, blocks the address, and may be repeated', async () => {
  const { id } = await create({ email: 'a@example.com' });
  await contacts().basicApi.purge({ objectId: id });
  await contacts().basicApi.purge({ objectId: id });
  expect((await refusal(contacts().basicApi.getById(id, [], [], [], true))).code).toBe(404);
  expect((await refusal(create({ email: 'A@example.com' }))).body).toMatchObject({
    errors: [{ code: 'BLOCKLISTED_EMAIL' }],
  });
  expect((await refusal(contacts().basicApi.purge({ objectId: '12' }))).code).toBe(404);
});

test('gdpr-delete by an unknown address blocks a stranger for ever', async () => {
  await contacts().basicApi.purge({ objectId: 'stranger@example.com', idProperty: 'email' });
  expect((await refusal(create({ email: 'stranger@example.com' }))).code).toBe(400);
});

test('search lags behind writes and ends at 10,000', async () => {
  sandbox.settings.searchLagMs = 5000;
  const { id } = await create({ email: 'a@example.com', firstname: 'Old' });
  const search = async (firstname: string, more: { after?: string; limit?: number } = {}) =>
    contacts().searchApi.doSearch({
      filterGroups: [{ filters: [{ propertyName: 'firstname', operator: FilterOperatorEnum.Eq, value: firstname }] }],
      properties: [],
      sorts: [],
      limit: 10,
      ...more,
    });
  expect((await search('old')).total).toBe(0);
  sandbox.settings.clockOffsetMs = 6000;
  expect(await search('old')).toMatchObject({ total: 1, results: [{ id }] });
  await contacts().basicApi.update(id, { properties: { firstname: 'New' } });
  await contacts().basicApi.update(id, { properties: { firstname: 'Newer' } });
  expect([(await search('old')).total, (await search('newer')).total]).toEqual([1, 0]);
  sandbox.settings.clockOffsetMs = 12_000;
  expect([(await search('old')).total, (await search('newer')).total]).toEqual([0, 1]);
  await contacts().basicApi.archive(id);
  expect((await search('newer')).total).toBe(1);
  sandbox.settings.clockOffsetMs = 18_000;
  expect((await search('newer')).total).toBe(0);
  expect((await refusal(search('x', { after: '9990', limit: 20 }))).code).toBe(400);
  expect((await refusal(search('x', { limit: 201 }))).code).toBe(400);
});

test("limits: 190 in ten seconds, by day, search by itself, with HubSpot's headers and body", async () => {
  Object.assign(sandbox.settings, { limits: true, tenSecondLimit: 3, searchPerSecond: 1, clockOffsetMs: 60_000 });
  const info = await contacts().basicApi.getPageWithHttpInfo(1);
  expect(info.headers).toMatchObject({
    'x-hubspot-ratelimit-max': '3',
    'x-hubspot-ratelimit-remaining': '2',
    'x-hubspot-ratelimit-interval-milliseconds': '10000',
    'x-hubspot-ratelimit-daily': '650000',
  });
  await contacts().basicApi.getPage(1);
  await contacts().basicApi.getPage(1);
  const ten = await refusal(contacts().basicApi.getPage(1));
  expect(ten).toMatchObject({ code: 429, body: { errorType: 'RATE_LIMIT', policyName: 'TEN_SECONDLY_ROLLING' } });
  const search = () => contacts().searchApi.doSearchWithHttpInfo({ filterGroups: [], properties: [], sorts: [] });
  expect(Object.keys((await search()).headers).join()).not.toContain('ratelimit');
  expect((await refusal(search())).body).toMatchObject({ policyName: 'SECONDLY' });
  sandbox.settings.clockOffsetMs = 71_000;
  await contacts().basicApi.getPage(1);
  sandbox.settings['dailyLimit'] = 5;
  expect((await refusal(contacts().basicApi.getPage(1))).body).toMatchObject({ policyName: 'DAILY' });
  expect(await control('GET', '/counters')).toMatchObject({ limited: 3 });
});

test('consent v3: definitions, status, subscribe with legal basis, unsubscribe for good', async () => {
  const { definitionApi, statusApi } = client.communicationPreferences;
  const { subscriptionDefinitions } = await definitionApi.getPage();
  expect(subscriptionDefinitions.map(({ id, name }) => [id, name])).toEqual([
    ['1001', 'Newsletter'],
    ['1002', 'Product news'],
  ]);
  const request = { emailAddress: 'a@example.com', subscriptionId: '1001' };
  expect((await refusal(statusApi.subscribe(request))).code).toBe(400);
  const basis = { legalBasis: 'CONSENT_WITH_NOTICE', legalBasisExplanation: 'Opted in on the form' } as never;
  expect(await statusApi.subscribe({ ...request, ...(basis as object) })).toMatchObject({
    id: '1001',
    status: 'SUBSCRIBED',
  });
  expect((await refusal(statusApi.subscribe({ ...request, ...(basis as object) }))).body['message']).toContain(
    'already subscribed',
  );
  await statusApi.unsubscribe(request);
  const status = await statusApi.getEmailStatus('A@example.com');
  expect(status.subscriptionStatuses.map((one) => one.status)).toEqual(['NOT_SUBSCRIBED', 'NOT_SUBSCRIBED']);
  expect((await refusal(statusApi.subscribe({ ...request, ...(basis as object) }))).code).toBe(400);
});

test('consent v4: batches; who left by themselves cannot be brought back', async () => {
  const v4 = async (path: string, body: unknown) => {
    const response = await client.apiRequest({
      method: 'POST',
      path: `/communication-preferences/v4/statuses/${path}`,
      body,
    });
    return {
      status: response.status,
      body: (await response.json()) as { results: Record<string, unknown>[]; errors?: unknown[] },
    };
  };
  const write = (email: string, statusState: string) => ({
    subscriberIdString: email,
    channel: 'EMAIL',
    subscriptionId: 1001,
    statusState,
    legalBasis: 'CONSENT_WITH_NOTICE',
    legalBasisExplanation: 'Opted in on the form',
  });
  const { id } = await create({ email: 'self@example.com' });
  await control('PATCH', `/records/${id}`, { _subscriptions: { 1001: 'UNSUBSCRIBED' }, self: true });
  const first = await v4('batch/write', {
    inputs: [write('a@example.com', 'SUBSCRIBED'), write('self@example.com', 'SUBSCRIBED')],
  });
  expect(first).toMatchObject({
    status: 207,
    body: {
      results: [{ subscriberIdString: 'a@example.com', status: 'SUBSCRIBED', subscriptionId: 1001 }],
      errors: [{ category: 'VALIDATION_ERROR' }],
    },
  });
  const read = await v4('batch/read?channel=EMAIL', {
    inputs: ['a@example.com', 'self@example.com', 'new@example.com'],
  });
  const states = read.body.results.map(({ subscriberIdString, statuses }) => [
    subscriberIdString,
    (statuses as { status: string }[]).map(({ status }) => status),
  ]);
  expect(Object.fromEntries(states as [string, string[]][])).toEqual({
    'a@example.com': ['SUBSCRIBED', 'NOT_SPECIFIED'],
    'self@example.com': ['UNSUBSCRIBED', 'NOT_SPECIFIED'],
    'new@example.com': ['NOT_SPECIFIED', 'NOT_SPECIFIED'],
  });
  expect((await v4('batch/write', { inputs: [write('a@example.com', 'UNSUBSCRIBED')] })).status).toBe(200);
  expect((await v4('batch/write', { inputs: [write('a@example.com', 'SUBSCRIBED')] })).status).toBe(200);
  expect(await control('GET', `/records/${id}`)).toMatchObject({ _subscriptions: { 1001: 'UNSUBSCRIBED' } });
  const optOut = await contacts().basicApi.getById(id, ['hs_email_optout_1001', 'hs_email_optout_1002']);
  expect(optOut.properties).toMatchObject({ hs_email_optout_1001: 'true', hs_email_optout_1002: null });
});

test('a token must be known, in time and have the scope', async () => {
  const stranger = new Client({ accessToken: 'other', basePath: sandbox.url });
  expect(await refusal(stranger.crm.contacts.basicApi.getPage())).toMatchObject({
    code: 401,
    body: { category: 'INVALID_AUTHENTICATION' },
  });
  const issued = await client.oauth.tokensApi.create(
    'refresh_token',
    undefined,
    undefined,
    'sandbox-hubspot-client',
    'sandbox-hubspot-secret',
    'sandbox-hubspot-refresh',
  );
  expect(issued).toMatchObject({ expiresIn: 1800, refreshToken: 'sandbox-hubspot-refresh' });
  const app = new Client({ accessToken: issued.accessToken, basePath: sandbox.url });
  await app.crm.contacts.basicApi.getPage();
  sandbox.settings.clockOffsetMs = 1_801_000;
  expect(await refusal(app.crm.contacts.basicApi.getPage())).toMatchObject({
    code: 401,
    body: { category: 'EXPIRED_AUTHENTICATION' },
  });
  sandbox.settings['missingScopes'] = ['crm.objects.contacts.write'];
  await contacts().basicApi.getPage();
  expect(await refusal(create({ email: 'a@example.com' }))).toMatchObject({
    code: 403,
    body: { category: 'MISSING_SCOPES' },
  });
});

test('the token endpoint says what is wrong with whom, and a connected app outlives a reset', async () => {
  const app = {
    grant_type: 'refresh_token',
    client_id: 'sandbox-hubspot-client',
    client_secret: 'sandbox-hubspot-secret',
    refresh_token: 'sandbox-hubspot-refresh',
  };
  const ask = async (change: Partial<typeof app> = {}): Promise<Record<string, unknown>> => {
    const body = new URLSearchParams({ ...app, ...change });
    const answer = await fetch(`${sandbox.url}/oauth/2026-03/token`, { method: 'POST', body });
    return { http: answer.status, ...((await answer.json()) as Record<string, unknown>) };
  };
  const invalidClient = { http: 400, error: 'invalid_client' };
  expect(await ask({ client_id: 'other' })).toMatchObject({ ...invalidClient, status: 'BAD_CLIENT_ID' });
  expect(await ask({ client_secret: 'other' })).toMatchObject({ ...invalidClient, status: 'BAD_CLIENT_SECRET' });
  expect(await ask({ grant_type: 'password' })).toMatchObject({ http: 400, error: 'unsupported_grant_type' });
  const granted = await ask();
  expect(granted).toMatchObject({ http: 200, expires_in: 1800, refresh_token: app.refresh_token });
  // Revoked: what was given out before goes on to its end.
  sandbox.settings['oauth'] = { ...initial.oauth, refreshTokens: [] };
  expect(await ask()).toMatchObject({ http: 400, error: 'invalid_grant', status: 'BAD_REFRESH_TOKEN' });
  await control('POST', '/reset');
  const connected = new Client({ accessToken: String(granted['access_token']), basePath: sandbox.url });
  await connected.crm.contacts.basicApi.getPage();
});

test.each(['create', 'update', 'upsert', 'read'] as const)(
  'a scripted partial failure of batch %s costs only its item',
  async (verb) => {
    await plumblineRef();
    const a = await create({ email: 'a@example.com', plumbline_ref: 'a' });
    const b = await create({ email: 'b@example.com', plumbline_ref: 'b' });
    await control('POST', '/faults', { name: 'partial', params: { items: [1] } });
    const api = contacts().batchApi;
    const calls = {
      create: () =>
        api.create({ inputs: [trace('0', { email: 'c@example.com' }), trace('1', { email: 'd@example.com' })] }),
      update: () =>
        api.update({
          inputs: [
            { id: a.id, properties: {} },
            { id: b.id, properties: {} },
          ],
        }),
      upsert: () =>
        api.upsert({ inputs: ['a', 'b'].map((id) => ({ id, idProperty: 'plumbline_ref', properties: {} })) }),
      read: () => api.read({ inputs: [{ id: a.id }, { id: b.id }], properties: [], propertiesWithHistory: [] }),
    };
    const answer = await calls[verb]();
    expect(answer).toMatchObject({ numErrors: 1 });
    expect(answer.results).toHaveLength(1);
  },
);

test('the state of an account survives a round trip through JSON', async () => {
  await plumblineRef();
  const a = await create({ email: 'a@example.com', plumbline_ref: 'a' });
  const b = await create({ email: 'b@example.com' });
  await contacts().basicApi.merge({ primaryObjectId: a.id, objectIdToMerge: b.id });
  await contacts().basicApi.purge({ objectId: 'x@example.com', idProperty: 'email' });
  const before = JSON.stringify(sandbox.vendor.snapshot());
  sandbox.vendor.reset();
  sandbox.vendor.restore(JSON.parse(before));
  expect(JSON.stringify(sandbox.vendor.snapshot())).toBe(before);
  expect((await contacts().basicApi.getById(b.id)).id).toBe(a.id);
  expect((await refusal(create({ email: 'b@example.com' }))).code).toBe(409);
  expect((await refusal(create({ plumbline_ref: 'a' }))).code).toBe(400);
});
