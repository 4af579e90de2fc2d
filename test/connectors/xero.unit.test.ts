/** Xero's fault table, names and targets, without a call. */
import { Contact } from 'xero-node';
import { expect, test } from 'vitest';
import { answerOf, faultOf, refusalOf } from '../../connectors/xero/faults.ts';
import { limitReading } from '../../connectors/xero/limits.ts';
import { elementOf, holdsNobody, parseTarget, readTarget, withoutPerson } from '../../connectors/xero/mapping.ts';
import { bareName, markedName, neutralName, wantedName } from '../../connectors/xero/names.ts';
import { retentionOf } from '../../connectors/xero/retention.ts';
import { settingsSchema } from '../../connectors/xero/settings.ts';

const REF = 'aaaaaaaa-0000-4000-8000-000000000001';
const TENANT = '11111111-1111-4111-8111-111111111111';

/** [status, body, headers, outcome of a read, outcome of a write] */
const TABLE: [number, unknown, Record<string, string>, object, object][] = [
  [0, 'socket hang up', {}, { kind: 'retry', code: 'no_answer' }, { kind: 'unknown', code: 'no_answer' }],
  [0, 'timeout of 5ms exceeded', {}, { kind: 'retry', code: 'no_answer' }, { kind: 'unknown', code: 'no_answer' }],
  [
    0,
    'connect ECONNREFUSED 127.0.0.1:1',
    {},
    { kind: 'retry', code: 'unreachable' },
    { kind: 'retry', code: 'unreachable' },
  ],
  [200, '<html>', {}, { kind: 'retry', code: 'unreadable_answer' }, { kind: 'unknown', code: 'unreadable_answer' }],
  [302, '', {}, { kind: 'retry', code: 'redirected' }, { kind: 'retry', code: 'redirected' }],
  [403, '', {}, { kind: 'retry', code: 'forbidden' }, { kind: 'retry', code: 'forbidden' }],
  [
    403,
    { Detail: 'AuthenticationUnsuccessful' },
    {},
    { kind: 'unauthorised', code: 'tenant_refused' },
    { kind: 'unauthorised', code: 'tenant_refused' },
  ],
  [
    401,
    { Detail: 'AuthorizationUnsuccessful' },
    {},
    { kind: 'unauthorised', code: 'scope_missing' },
    { kind: 'unauthorised', code: 'scope_missing' },
  ],
  [
    429,
    '',
    { 'retry-after': '30', 'x-rate-limit-problem': 'minute' },
    { kind: 'retry', code: 'limit_minute', afterMs: 30_000 },
    { kind: 'retry', code: 'limit_minute', afterMs: 30_000 },
  ],
  [429, '', {}, { kind: 'retry', code: 'limit' }, { kind: 'retry', code: 'limit' }],
  [
    503,
    '',
    { 'retry-after': '5' },
    { kind: 'retry', code: 'server_503', afterMs: 5000 },
    { kind: 'unknown', code: 'server_503' },
  ],
  [418, {}, {}, { kind: 'unclassified', code: 'status_418' }, { kind: 'unclassified', code: 'status_418' }],
];

test.each(TABLE)('answer %i %j %j', (status, body, headers, read, write) => {
  expect(faultOf({ status, body, headers }, 'read')).toEqual({ kind: 'outcome', outcome: read });
  expect(faultOf({ status, body, headers }, 'write')).toEqual({ kind: 'outcome', outcome: write });
});

test('a write refused for its data is halved, a read in that state is not understood', () => {
  const answer = { status: 400, body: { ErrorNumber: 10, Message: 'A validation exception occurred' }, headers: {} };
  expect(faultOf(answer, 'write')).toEqual({ kind: 'refused_whole' });
  expect(faultOf(answer, 'read')).toMatchObject({ outcome: { kind: 'unclassified', code: 'bad_request_10' } });
  expect(faultOf({ status: 401, body: { Detail: 'TokenExpired: at' }, headers: {} }, 'write')).toEqual({
    kind: 'token_refused',
  });
});

test('only rejections of the SDK are answers', () => {
  expect(answerOf('{"response":{"statusCode":429,"body":"","headers":{}}}')).toEqual({
    status: 429,
    body: '',
    headers: {},
  });
  const bug = new TypeError('x is not a function');
  expect(() => answerOf(bug)).toThrow(bug);
});

test.each([
  ['Email address must be valid.', { kind: 'rejected', code: 'email_invalid', field: 'EmailAddress' }],
  [
    'The field LastName must be a string with a maximum length of 255.',
    { kind: 'rejected', code: 'too_long', field: 'LastName' },
  ],
  [
    'The account number is already assigned to another contact.',
    { kind: 'rejected', code: 'account_number_taken', field: 'AccountNumber' },
  ],
])('refusal: %s', (message, outcome) => {
  expect(refusalOf([message], [])).toEqual({ kind: 'outcome', outcome });
});

test.each([
  ['The contact name Ann Lee is already assigned to another contact. …', 'name_taken'],
  ['The contact number is already assigned to another contact.', 'number_taken'],
  ['The contact is archived. Archived contacts can only be restored.', 'archived'],
  ['The contact cannot be archived because it has outstanding invoices or bills.', 'open_invoices'],
])('refusal: %s', (message, kind) => {
  expect(refusalOf([message], []).kind).toBe(kind);
});

test('bad data is told before what can be solved without a person', () => {
  const messages = ['The contact name X is already assigned to another contact.', 'Email address must be valid.'];
  expect(refusalOf(messages, [])).toMatchObject({ outcome: { code: 'email_invalid' } });
});

test('an unknown message is kept without what the element held', () => {
  const refusal = refusalOf(['Something about Ann Lee at ann@example.com'], ['Ann Lee', 'ann@example.com']);
  expect(refusal).toMatchObject({ outcome: { kind: 'unclassified', code: 'validation' } });
  expect(JSON.stringify(refusal)).not.toMatch(/Ann|example/);
});

test('headers of limits', () => {
  const headers = { 'x-minlimit-remaining': '3', 'x-daylimit-remaining': '100' };
  expect(limitReading(200, headers)).toEqual({ remaining: 3, windowMs: 60_000, dayRemaining: 100 });
  expect(limitReading(429, { 'x-rate-limit-problem': 'concurrent' })).toEqual({ reason: 'concurrency' });
  expect(limitReading(200, {})).toBeUndefined();
});

test('names: marked when taken, bare when read, neutral when there is none', () => {
  const long = 'x'.repeat(255);
  expect(markedName(long, REF)).toHaveLength(255);
  for (const name of ['Ann Lee', '']) {
    const wanted = wantedName({ Name: name }, REF)!;
    expect(bareName(wanted, REF)).toBe(name);
    expect(bareName(markedName(wanted, REF), REF)).toBe(name);
  }
  expect(wantedName({ FirstName: 'Ann', LastName: 'Lee' }, REF)).toBe('Ann Lee');
  expect(wantedName({ EmailAddress: 'a@example.com' }, REF)).toBeUndefined();
  expect(bareName(`${neutralName(REF)} 1234abcd`, REF)).toBe('');
});

test('targets are written where they are read', () => {
  const targets = ['FirstName', 'Phones.MOBILE', 'Addresses.POBOX.PostalCode', 'Addresses.STREET.City'];
  const element = elementOf(Object.fromEntries(targets.map((target) => [target, `value of ${target}`])), undefined);
  for (const target of targets) expect(readTarget(element, target)).toBe(`value of ${target}`);
  for (const bad of [
    'Shoe',
    'Phones.OFFICE',
    'Phones.MOBILE.x',
    'Addresses.STREET',
    'Addresses.HOME.City',
    'constructor',
  ]) {
    expect(parseTarget(bad)).toBeUndefined();
  }
});

test('a phone that Xero keeps in parts is read whole', () => {
  const contact = Object.assign(new Contact(), {
    phones: [{ phoneType: 'DDI', phoneNumber: '7946 0000', phoneAreaCode: '20', phoneCountryCode: '44' }],
  });
  expect(readTarget(contact, 'Phones.DDI')).toBe('44 20 7946 0000');
});

test('the scrubbing element leaves nobody', () => {
  expect(holdsNobody(withoutPerson())).toBe(true);
  expect(holdsNobody(elementOf({ TaxNumber: '1' }, undefined))).toBe(false);
});

test('retention: the last due date and the years of the law; void invoices keep nobody', () => {
  const settings = settingsSchema.parse({ tenantId: TENANT, retentionYears: 6 });
  const now = Date.parse('2026-11-25');
  const invoice = (status: string, dueDate: string, amountDue: number) => ({ status, dueDate, amountDue }) as never;
  const open = [invoice('AUTHORISED', '2026-12-31', 5), invoice('DRAFT', '2026-01-31', 5)];
  expect(retentionOf(open, settings, now)).toEqual({ hasOpen: true, reviewOn: '2032-12-31' });
  expect(
    retentionOf([invoice('PAID', '2026-12-31', 0), invoice('VOIDED', '2026-12-31', 5)], settings, now),
  ).toBeUndefined();
  const all = settingsSchema.parse({ tenantId: TENANT, retain: 'any_invoice' });
  expect(retentionOf([invoice('PAID', '2010-12-31', 0)], all, now)).toBeUndefined();
  expect(retentionOf([invoice('AUTHORISED', '2010-12-31', 5)], all, now)).toEqual({
    hasOpen: true,
    reviewOn: '2026-12-25',
  });
});

test('settings need a tenant unless the connection is a custom one', () => {
  expect(settingsSchema.safeParse({}).success).toBe(false);
  expect(settingsSchema.safeParse({ grant: 'client_credentials' }).success).toBe(true);
  expect(settingsSchema.safeParse({ tenantId: TENANT, tenant: 'x' }).success).toBe(false);
});
