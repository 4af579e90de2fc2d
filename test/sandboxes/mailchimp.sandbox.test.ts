/** The Mailchimp sandbox as the official SDK sees it. */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';
import * as mailchimp from '../../sandboxes/mailchimp/index.ts';

type Body = Record<string, unknown>;
type Call = (...given: unknown[]) => Promise<Body>;
interface Api {
  basePath: string;
  setConfig(config: { apiKey?: string; accessToken?: string; server: string }): void;
  lists: Record<string, Call>;
  ping: { get: Call };
}
const ApiClient = createRequire(import.meta.url)('@mailchimp/mailchimp_marketing/src/ApiClient.js') as new () => Api;

let sandbox: Sandbox;
let api: Api;
const initial = structuredClone(mailchimp.defaultSettings);
const LIST = 'aud-main';
const hash = (email: string): string => createHash('md5').update(email.toLowerCase()).digest('hex');
const lists = (): Api['lists'] => api.lists;

function connect(config: { apiKey?: string; accessToken?: string }): Api {
  const made = new ApiClient();
  made.setConfig({ server: 'server', ...config });
  made.basePath = `${sandbox.url}/3.0`;
  return made;
}

beforeAll(async () => {
  sandbox = await startSandbox({ module: mailchimp, port: 0, controlPort: 0 });
  api = connect({ apiKey: 'sandbox-mailchimp-key-us1' });
});
afterAll(() => sandbox.close());
beforeEach(async () => {
  await control('POST', '/reset');
  Object.assign(sandbox.settings, structuredClone(initial), { latencyMs: 0, limits: false, clockOffsetMs: 0 });
});

async function control(method: string, path: string, body?: unknown): Promise<Body> {
  const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await fetch(sandbox.controlUrl + path, init);
  return (await response.json()) as Body;
}

/** The problem document of a refusal. */
async function refusal(promise: Promise<unknown>): Promise<Body> {
  const error = (await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )) as { status?: number; response?: { body: Body } } | undefined;
  expect(error, 'expected a refusal').toBeDefined();
  return { httpStatus: error?.status, ...error?.response?.body };
}

const add = (email: string, status = 'subscribed', more: Body = {}): Promise<Body> =>
  lists()['addListMember']!(LIST, { email_address: email, status, ...more });
const get = (id: string): Promise<Body> => lists()['getListMember']!(LIST, id);
const patch = (id: string, body: Body, options: Body = {}): Promise<Body> =>
  lists()['updateListMember']!(LIST, id, body, options);
const put = (id: string, body: Body): Promise<Body> => lists()['setListMember']!(LIST, id, body);
const bulk = (members: Body[], more: Body = {}): Promise<Body> =>
  lists()['batchListMembers']!(LIST, { members, ...more });
const page = async (options: Body = {}): Promise<{ members: Body[]; total_items: number }> =>
  (await lists()['getListMembersInfo']!(LIST, { count: 1000, ...options })) as never;
const emails = (members: Body[]): unknown[] => members.map((member) => member['email_address']);

describe('account', () => {
  test('any user with the key, or a bearer token; everything else is a 401 problem', async () => {
    expect(await api.ping.get()).toEqual({ health_status: "Everything's Chimpy!" });
    expect(await connect({ accessToken: 'sandbox-mailchimp-key-us1' }).ping.get()).toHaveProperty('health_status');
    expect(await refusal(connect({ apiKey: 'wrong-us1' }).ping.get())).toMatchObject({
      httpStatus: 401,
      title: 'API Key Invalid',
      status: 401,
    });
  });

  test('two audiences of one account; an unknown one is not found', async () => {
    const all = await lists()['getAllLists']!();
    expect((all['lists'] as Body[]).map(({ id }) => id)).toEqual(['aud-main', 'aud-second']);
    expect(await lists()['getList']!(LIST, { fields: ['id', 'marketing_permissions'] })).toEqual({
      id: LIST,
      marketing_permissions: true,
    });
    expect(await refusal(lists()['getList']!('nowhere'))).toMatchObject({
      httpStatus: 404,
      title: 'Resource Not Found',
    });
  });

  test('more than ten connections at once are refused', async () => {
    // Long enough that a slow machine has all of them under way at once.
    Object.assign(sandbox.settings, { limits: true, latencyMs: 1_000 });
    const calls = Array.from({ length: 13 }, () =>
      api.ping.get().then(
        () => 200,
        (error: { status: number }) => error.status,
      ),
    );
    const statuses = await Promise.all(calls);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(3);
    expect(await control('GET', '/counters')).toMatchObject({ limited: 3 });
  });
});

describe('one member', () => {
  test('is found by hash of any case, by address and by contact id', async () => {
    const made = await add('Ada.One@Example.com', 'subscribed', { merge_fields: { FNAME: ' Ada ', LNAME: 'One' } });
    expect(made).toMatchObject({
      id: hash('ada.one@example.com'),
      email_address: 'Ada.One@Example.com',
      status: 'subscribed',
      full_name: 'Ada One',
      merge_fields: { FNAME: 'Ada', LNAME: 'One', ADDRESS: '', PHONE: '' },
    });
    expect(made['last_changed']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
    for (const id of [hash('ADA.ONE@example.com'), 'ada.one@example.com', made['contact_id'] as string]) {
      expect(await get(id)).toMatchObject({ contact_id: made['contact_id'] });
    }
    expect(await refusal(get(hash('nobody@example.com')))).toMatchObject({ httpStatus: 404 });
  });

  test('POST refuses who is there, PUT needs status_if_new for the new and leaves the status of others alone', async () => {
    await add('a@example.com', 'unsubscribed');
    expect(await refusal(add('A@example.com'))).toMatchObject({ httpStatus: 400, title: 'Member Exists' });
    expect(await refusal(put(hash('b@example.com'), { email_address: 'b@example.com' }))).toMatchObject({
      title: 'Invalid Resource',
      errors: [{ field: 'status_if_new' }],
    });
    const body = { email_address: 'a@example.com', status_if_new: 'subscribed', merge_fields: { FNAME: 'A' } };
    expect(await put(hash('a@example.com'), body)).toMatchObject({
      status: 'unsubscribed',
      merge_fields: { FNAME: 'A' },
    });
    const other = { email_address: 'b@example.com', status_if_new: 'transactional' };
    expect(await put(hash('b@example.com'), other)).toMatchObject({ status: 'transactional' });
  });

  test('a new address moves the hash and keeps status and contact id; a taken one is refused', async () => {
    const made = await add('old@example.com', 'unsubscribed');
    await add('taken@example.com');
    expect(await refusal(patch(hash('old@example.com'), { email_address: 'taken@example.com' }))).toMatchObject({
      httpStatus: 400,
      title: 'Invalid Resource',
      errors: [{ field: 'email address', message: expect.stringContaining('already in this list') as string }],
    });
    const moved = await patch(hash('old@example.com'), { email_address: 'new@example.com' });
    expect(moved).toMatchObject({
      id: hash('new@example.com'),
      status: 'unsubscribed',
      contact_id: made['contact_id'],
    });
    expect(await refusal(get(hash('old@example.com')))).toMatchObject({ httpStatus: 404 });
  });

  test('DELETE archives once, a write without a status leaves the archive shut, a status opens it', async () => {
    await add('a@example.com');
    await lists()['deleteListMember']!(LIST, hash('a@example.com'));
    expect(await get(hash('a@example.com'))).toMatchObject({ status: 'archived' });
    expect(await refusal(lists()['deleteListMember']!(LIST, hash('a@example.com')))).toMatchObject({ httpStatus: 405 });
    const data = { email_address: 'a@example.com', status_if_new: 'subscribed', merge_fields: { FNAME: 'B' } };
    expect(await put(hash('a@example.com'), data)).toMatchObject({ status: 'archived' });
    expect(await patch(hash('a@example.com'), { status: 'subscribed' })).toMatchObject({ status: 'subscribed' });
    await control('PATCH', `/records/${hash('a@example.com')}`, { status: 'pending' });
    expect(await refusal(lists()['deleteListMember']!(LIST, hash('a@example.com')))).toMatchObject({ httpStatus: 405 });
  });

  test('permanent deletion takes the hash only and bars the address for good, by every door', async () => {
    const made = await add('gone@example.com');
    const erase = (id: unknown): Promise<unknown> => lists()['deleteListMemberPermanent']!(LIST, id);
    expect(await refusal(erase(made['contact_id']))).toMatchObject({ httpStatus: 404 });
    await erase(hash('gone@example.com'));
    expect(await refusal(get(made['contact_id'] as string))).toMatchObject({ httpStatus: 404 });
    const barred = { httpStatus: 400, title: 'Forgotten Email Not Subscribed' };
    expect(await refusal(add('GONE@example.com'))).toMatchObject(barred);
    expect(
      await refusal(put(hash('gone@example.com'), { email_address: 'gone@example.com', status_if_new: 'pending' })),
    ).toMatchObject(barred);
    expect(await bulk([{ email_address: 'gone@example.com', status: 'subscribed' }])).toMatchObject({
      error_count: 1,
      errors: [{ error: expect.stringContaining('permanently deleted') as string }],
    });
    await add('other@example.com');
    expect(await refusal(patch(hash('other@example.com'), { email_address: 'gone@example.com' }))).toMatchObject(
      barred,
    );
    expect(
      await lists()['addListMember']!('aud-second', { email_address: 'gone@example.com', status: 'pending' }),
    ).toMatchObject({
      status: 'pending',
    });
  });

  test('tags are set and taken away', async () => {
    await add('a@example.com', 'subscribed', { tags: ['one'] });
    await lists()['updateListMemberTags']!(LIST, hash('a@example.com'), {
      tags: [
        { name: 'two', status: 'active' },
        { name: 'one', status: 'inactive' },
      ],
    });
    expect((await get(hash('a@example.com')))['tags']).toMatchObject([{ name: 'two' }]);
  });

  test('marketing permissions of the audience are kept', async () => {
    const permission = { marketing_permission_id: 'permit1', enabled: true };
    await add('a@example.com', 'subscribed', { marketing_permissions: [permission] });
    expect((await get(hash('a@example.com')))['marketing_permissions']).toMatchObject([
      { marketing_permission_id: 'permit1', enabled: true },
      { marketing_permission_id: 'permit2', enabled: false },
    ]);
  });
});

describe('addresses and fields', () => {
  test.each([
    'fake@example.org',
    'two@@example.com',
    'no-at.example.com',
    'a b@example.com',
    'a@nodot',
    '.a@example.com',
  ])('refused: address %#', async (email) => {
    expect(await refusal(add(email))).toMatchObject({ httpStatus: 400, title: 'Invalid Resource' });
  });

  test.each(['a+tag@sub.example.com', 'p@people.test', 'ö@xn--bcher-kva.example', "o'hara@example.net"])(
    'taken: address %#',
    async (email) => {
      expect(await add(email)).toMatchObject({ email_address: email });
    },
  );

  test('a postal address is taken whole or not at all, long text is cut, unknown fields vanish', async () => {
    await lists()['addListMergeField']!(LIST, { tag: 'PLUMBREF', name: 'Reference', type: 'text' });
    const whole = { addr1: '1 High St', city: 'York', zip: 'YO1', country: 'GB' };
    const merge = { ADDRESS: whole, PLUMBREF: 'x'.repeat(300), NOSUCH: 'lost' };
    const made = await add('a@example.com', 'subscribed', { merge_fields: merge });
    expect(made['merge_fields']).toEqual({
      FNAME: '',
      LNAME: '',
      PHONE: '',
      ADDRESS: { ...whole, addr2: '', state: '' },
      PLUMBREF: 'x'.repeat(255),
    });
    const half = { merge_fields: { ADDRESS: { addr1: '2 Low St' }, FNAME: 'A' } };
    expect(await patch(hash('a@example.com'), half)).toMatchObject({ merge_fields: { FNAME: 'A', ADDRESS: whole } });
    sandbox.settings['incompleteAddress'] = 'refused';
    expect(await refusal(patch(hash('a@example.com'), half))).toMatchObject({ errors: [{ field: 'ADDRESS' }] });
  });

  test('required fields refuse unless validation is skipped', async () => {
    (sandbox.settings['lists'] as { required?: string[] }[])[0]!.required = ['LNAME'];
    expect(await refusal(add('a@example.com'))).toMatchObject({
      detail: 'Your merge fields were invalid.',
      errors: [{ field: 'LNAME', message: 'Please enter a value' }],
    });
    await lists()['addListMember']!(
      LIST,
      { email_address: 'a@example.com', status: 'pending' },
      { skipMergeValidation: true },
    );
    expect(await get(hash('a@example.com'))).toMatchObject({ status: 'pending' });
  });
});

describe('compliance', () => {
  test.each([
    { how: { status: 'unsubscribed' }, pending: true },
    { how: { status: 'cleaned' }, pending: false },
    {
      how: { status: 'unsubscribed', unsubscribe_reason: 'The emails are spam and should be reported' },
      pending: false,
    },
  ])('after $how the API may not subscribe; pending allowed: $pending', async ({ how, pending }) => {
    await add('a@example.com');
    await control('PATCH', `/records/${LIST}:${hash('a@example.com')}`, how);
    const barred = { httpStatus: 400, title: 'Member In Compliance State' };
    expect(await refusal(patch(hash('a@example.com'), { status: 'subscribed' }))).toMatchObject(barred);
    expect(
      await bulk([{ email_address: 'a@example.com', status: 'subscribed' }], { update_existing: true }),
    ).toMatchObject({
      errors: [{ error: expect.stringContaining('compliance state') as string }],
    });
    if (how.status === 'unsubscribed') {
      await lists()['deleteListMember']!(LIST, hash('a@example.com'));
      expect(await refusal(patch(hash('a@example.com'), { status: 'subscribed' }))).toMatchObject(barred);
    }
    const ask = patch(hash('a@example.com'), { status: 'pending' });
    if (pending) expect(await ask).toMatchObject({ status: 'pending' });
    else expect(await refusal(ask)).toMatchObject(barred);
  });

  test('who was unsubscribed by API can be subscribed by API', async () => {
    await add('a@example.com');
    expect(await patch(hash('a@example.com'), { status: 'unsubscribed' })).toMatchObject({
      unsubscribe_reason: 'N/A (Unsubscribed by admin)',
    });
    expect(await patch(hash('a@example.com'), { status: 'subscribed' })).toMatchObject({ status: 'subscribed' });
    expect(await refusal(patch(hash('a@example.com'), { status: 'archived' }))).toMatchObject({
      errors: [{ field: 'status' }],
    });
  });
});

describe('many', () => {
  test('bulk answers 200 with an error per member; without a status the status stays', async () => {
    await add('there@example.com', 'unsubscribed');
    const there = { email_address: 'there@example.com', merge_fields: { FNAME: 'T' } };
    expect(await bulk([{ ...there, status: 'subscribed' }])).toMatchObject({
      error_count: 1,
      errors: [{ error_code: 'ERROR_CONTACT_EXISTS', email_address: 'there@example.com' }],
    });
    const fresh = { email_address: 'new@example.com', status: 'subscribed' };
    const bad = { email_address: 'nonsense', status: 'subscribed' };
    const bare = { email_address: 'bare@example.com' };
    const answer = await bulk([there, fresh, fresh, bad, bare], { update_existing: true });
    expect(answer).toMatchObject({ total_created: 1, total_updated: 1, error_count: 3 });
    expect(answer['updated_members']).toMatchObject([{ status: 'unsubscribed', merge_fields: { FNAME: 'T' } }]);
  });

  test('bulk takes 500 and refuses whole what the schema refuses', async () => {
    const members = Array.from({ length: 501 }, (_, at) => ({
      email_address: `m${at}@example.com`,
      status: 'subscribed',
    }));
    expect(await refusal(bulk(members))).toMatchObject({ httpStatus: 400 });
    expect(await bulk(members.slice(1))).toMatchObject({ total_created: 500 });
    const wrong = [
      { email_address: 'x@example.com', status: '' },
      { email_address: 'y@example.com', status: 'pending' },
    ];
    expect(await refusal(bulk(wrong))).toMatchObject({ errors: [{ field: 'members.item:0.status' }] });
    expect(await refusal(get(hash('y@example.com')))).toMatchObject({ httpStatus: 404 });
  });

  test('the fault partial fails the members it names', async () => {
    await control('POST', '/faults', { name: 'partial', params: { items: [1] } });
    const answer = await bulk(
      ['a', 'b', 'c'].map((who) => ({ email_address: `${who}@example.com`, status: 'pending' })),
    );
    expect(answer).toMatchObject({ total_created: 2, errors: [{ email_address: 'b@example.com' }] });
  });

  test('a listing leaves archived members out unless asked, pages shift under changes, fields trim', async () => {
    const who = ['a', 'b', 'c', 'd'].map((one) => `${one}@example.com`);
    await bulk(who.map((email) => ({ email_address: email, status: 'subscribed' })));
    expect(emails((await page({ count: 2 })).members)).toEqual(who.slice(0, 2));
    await lists()['deleteListMember']!(LIST, hash('a@example.com'));
    expect(emails((await page({ count: 2, offset: 2 })).members)).toEqual(['d@example.com']);
    expect(emails((await page({ status: 'archived' })).members)).toEqual(['a@example.com']);
    expect((await page({ status: ['archived', 'subscribed'] })).total_items).toBe(4);
    expect(await page({ status: 'archived', fields: ['members.email_address', 'total_items'] })).toEqual({
      members: [{ email_address: 'a@example.com' }],
      total_items: 1,
    });
    const less = await page({ excludeFields: ['members.merge_fields.FNAME', 'members._links'], count: 1 });
    expect(less.members[0]).not.toHaveProperty('_links');
    expect(less.members[0]).toHaveProperty('merge_fields.LNAME');
    expect(await refusal(page({ count: 1001 }))).toMatchObject({ httpStatus: 400 });
  });

  test('changes are listed by whole seconds, oldest first, and only real changes count', async () => {
    await add('a@example.com');
    await add('b@example.com');
    sandbox.settings.clockOffsetMs = 10_000;
    const since = new Date(Date.now() + 5000).toISOString();
    await patch(hash('b@example.com'), { merge_fields: { FNAME: 'B' } });
    await patch(hash('a@example.com'), { merge_fields: { FNAME: '' } });
    expect(emails((await page({ sinceLastChanged: since })).members)).toEqual(['b@example.com']);
    const ordered = await page({ sortField: 'last_changed', sortDir: 'ASC' });
    expect(emails(ordered.members)).toEqual(['a@example.com', 'b@example.com']);
    expect(emails((await page({ beforeLastChanged: since })).members)).toEqual(['a@example.com']);
  });

  test('state survives a copy: members, forgotten addresses and fields', async () => {
    await add('a@example.com');
    await add('gone@example.com');
    await lists()['deleteListMemberPermanent']!(LIST, hash('gone@example.com'));
    await lists()['addListMergeField']!(LIST, { tag: 'PLUMBREF', name: 'Reference', type: 'text' });
    sandbox.vendor.restore(JSON.parse(JSON.stringify(sandbox.vendor.snapshot())));
    expect(await get(hash('a@example.com'))).toMatchObject({ merge_fields: { PLUMBREF: '' } });
    expect(await refusal(add('gone@example.com'))).toMatchObject({ title: 'Forgotten Email Not Subscribed' });
  });

  test('counters and records of the control API', async () => {
    const ids = (
      await control('POST', '/records', [
        {
          email_address: 's@example.com',
          status: 'cleaned',
          list_id: 'aud-second',
          last_changed: '2020-01-01T00:00:00Z',
        },
      ])
    )['ids'] as string[];
    expect(await control('GET', `/records/${ids[0]}`)).toMatchObject({
      list_id: 'aud-second',
      _compliance: 'cleaned',
      last_changed: '2020-01-01T00:00:00+00:00',
    });
    await add('a@example.com');
    await get(hash('a@example.com'));
    expect(await control('GET', '/counters')).toMatchObject({
      calls: { 'POST /3.0/lists/{list}/members': 1, 'GET /3.0/lists/{list}/members/{hash}': 1 },
    });
  });
});
