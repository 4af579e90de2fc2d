/** Mailchimp's answers and what they mean, line by line; bodies and observations. */
import { describe, expect, test } from 'vitest';
import { faultOf, TABLE } from '../../connectors/mailchimp/faults.ts';
import type { Failure } from '../../connectors/mailchimp/faults.ts';
import { consentOf, dataBody, hashOf, holds, isMember, observe, scrubBody } from '../../connectors/mailchimp/member.ts';
import type { Member } from '../../connectors/mailchimp/member.ts';
import { fanOut } from '../../connectors/mailchimp/session.ts';
import { settingsSchema } from '../../connectors/mailchimp/settings.ts';
import { itemOf } from './mailchimp-rig.ts';

const ADDRESS = 'ann.lee@example.com';
const failure = (status: number, body: unknown = {}, over: Partial<Failure> = {}): Failure => ({
  status,
  code: '',
  body,
  headers: {},
  ...over,
});
const problem = (title: string, detail: string, errors?: { field: string; message: string }[]): unknown => ({
  type: 'https://mailchimp.com/developer/marketing/docs/errors/',
  title,
  detail,
  instance: 'x',
  ...(errors === undefined ? {} : { errors }),
});

/** Answers as Mailchimp has given them, and the line of the table that they must find. */
const ANSWERS: { failure: Failure; code: string; kind: string }[] = [
  {
    failure: failure(
      400,
      problem('Member In Compliance State', `${ADDRESS} is in a compliance state due to unsubscribe`),
    ),
    kind: 'refused',
    code: 'compliance_state',
  },
  {
    failure: failure(400, problem('Invalid Resource', `${ADDRESS} is in a compliance state due to bounce`)),
    kind: 'refused',
    code: 'compliance_state',
  },
  { failure: failure(400, problem('Forgotten Email Not Subscribed', '')), kind: 'refused', code: 'forgotten_address' },
  {
    failure: failure(400, problem('Bad Request', `${ADDRESS} was permanently deleted and cannot be re-imported.`)),
    kind: 'refused',
    code: 'forgotten_address',
  },
  {
    failure: failure(400, problem('Member Exists', `${ADDRESS} is already a list member.`)),
    kind: 'rejected',
    code: 'address_taken',
  },
  {
    failure: failure(
      400,
      problem('Invalid Resource', 'See errors', [
        { field: 'email address', message: `"${ADDRESS}" is already in this list with a status of "Deleted".` },
      ]),
    ),
    kind: 'rejected',
    code: 'address_taken',
  },
  {
    failure: failure(
      400,
      problem('Invalid Resource', `${ADDRESS} looks fake or invalid, please enter a real email address.`),
    ),
    kind: 'rejected',
    code: 'email_invalid',
  },
  {
    failure: failure(400, problem('Invalid Resource', 'Please provide a valid email address.')),
    kind: 'rejected',
    code: 'email_invalid',
  },
  {
    failure: failure(
      400,
      problem(
        'Invalid Resource',
        `${ADDRESS} has signed up to a lot of lists very recently; we're not allowing more signups for now`,
      ),
    ),
    kind: 'retry',
    code: 'too_many_signups',
  },
  { failure: failure(401, problem('API Key Invalid', '')), kind: 'unauthorised', code: 'api_key_refused' },
  { failure: failure(403, problem('Forbidden', '')), kind: 'unauthorised', code: 'forbidden' },
  {
    failure: failure(405, problem('Method Not Allowed', 'This list member cannot be removed. Please contact support.')),
    kind: 'refused',
    code: 'cannot_archive',
  },
  {
    failure: failure(503, problem('Compliance Related', 'This method has been disabled.')),
    kind: 'unauthorised',
    code: 'account_suspended',
  },
];

describe('faults', () => {
  test.each(ANSWERS)('$failure.status $kind $code', ({ failure: given, kind, code }) => {
    const fault = faultOf(given, 'write', [ADDRESS]);
    expect(fault).toMatchObject({ kind: 'outcome', outcome: { kind, code } });
    expect(JSON.stringify(fault)).not.toContain('ann.lee');
  });

  test('every line of the table is found by one of these answers', () => {
    const found = ANSWERS.map(({ failure: given }) => faultOf(given, 'write')).map(
      (fault) => 'outcome' in fault && fault.outcome,
    );
    expect(TABLE.filter((row) => !found.includes(row.outcome))).toEqual([]);
    expect(TABLE).toHaveLength(ANSWERS.length);
  });

  test.each([
    { given: failure(0, undefined, { code: 'ECONNRESET' }), read: 'retry', write: 'unknown' },
    { given: failure(0, undefined, { code: 'ECONNREFUSED' }), read: 'retry', write: 'retry' },
    { given: failure(200), read: 'retry', write: 'unknown' },
    { given: failure(302), read: 'retry', write: 'retry' },
    { given: failure(500, problem('Internal Server Error', '')), read: 'retry', write: 'unknown' },
    { given: failure(503), read: 'retry', write: 'unknown' },
    { given: failure(403), read: 'retry', write: 'retry' },
    { given: failure(429, problem('Too Many Requests', '')), read: 'retry', write: 'retry' },
    { given: failure(418, problem('Teapot', '')), read: 'unclassified', write: 'unclassified' },
  ])('$given.status $given.code: $read when reading, $write when writing', ({ given, read, write }) => {
    expect(faultOf(given, 'read')).toMatchObject({ outcome: { kind: read } });
    expect(faultOf(given, 'write')).toMatchObject({ outcome: { kind: write } });
  });

  test('a field is named, its value is not', () => {
    const errors = [{ field: 'LTV', message: 'Lovelace is no number' }];
    const fault = faultOf(
      failure(400, problem('Invalid Resource', 'Your merge fields were invalid.', errors)),
      'write',
      ['Lovelace'],
    );
    expect(fault).toEqual({
      kind: 'outcome',
      outcome: { kind: 'rejected', code: 'merge_field_invalid', field: 'LTV', message: '<value> is no number' },
    });
  });

  test('a bulk call refused by its schema is halved, a member not found is told apart', () => {
    const errors = [{ field: 'members.item:3.email_address', message: 'wrong' }];
    expect(faultOf(failure(400, problem('Invalid Resource', '', errors)), 'write')).toEqual({ kind: 'refused_whole' });
    expect(faultOf(failure(404, problem('Resource Not Found', '')), 'read')).toEqual({ kind: 'not_found' });
  });
});

describe('members', () => {
  const member: Member = {
    id: hashOf(ADDRESS),
    contact_id: 'c1',
    email_address: ADDRESS,
    status: 'unsubscribed',
    merge_fields: { FNAME: 'Ann', SCORE: 7, ADDRESS: { addr1: '1 High St', city: 'York' }, PLUMBREF: 'r1', EMPTY: '' },
  };

  test('observations hold mapped values only, numbers as text, absent ones empty', () => {
    const targets = ['FNAME', 'SCORE', 'ADDRESS.city', 'ADDRESS', 'EMPTY', 'NOSUCH', 'language'];
    const seen = observe(member, { targets, consentTargets: ['status'], permissions: [], referenceTag: 'PLUMBREF' });
    expect(seen).toEqual({
      externalId: 'c1',
      reference: 'r1',
      presence: 'present',
      addresses: [ADDRESS],
      fields: { FNAME: 'Ann', SCORE: '7', 'ADDRESS.city': 'York', ADDRESS: '', EMPTY: '', NOSUCH: '', language: '' },
      consents: { status: 'unsubscribed' },
    });
  });

  test.each([
    ['subscribed', '', 'subscribed'],
    ['unsubscribed', 'N/A (Unsubscribed by admin)', 'unsubscribed'],
    ['unsubscribed', 'N/A (Abuse complaint)', 'complained'],
    ['cleaned', '', 'undeliverable'],
    ['pending', '', 'pending'],
    ['transactional', '', 'none'],
    ['archived', '', 'none'],
    ['something_new', '', 'none'],
  ])('status %s %s is read as %s', (status, unsubscribe_reason, read) => {
    expect(consentOf({ ...member, status, unsubscribe_reason })).toBe(read);
  });

  test('bodies never hold a status; scrubbing keeps our reference', () => {
    const { body, incomplete } = dataBody(itemOf('r1', 'Ann Lee', { fields: { language: 'de' } }), ADDRESS, 'PLUMBREF');
    expect(body).toEqual({
      email_address: ADDRESS,
      language: 'de',
      merge_fields: { FNAME: 'Ann', LNAME: 'Lee', PLUMBREF: 'r1' },
    });
    expect(incomplete).toBeNull();
    expect(scrubBody(member, 'PLUMBREF')).toEqual({ FNAME: '', SCORE: '', ADDRESS: '' });
  });

  test.each([
    { fields: {}, is: true },
    { fields: { SCORE: '8' }, is: false },
    { fields: { EMPTY: 'x' }, is: false },
    { fields: { NOSUCH: '' }, is: false },
    { fields: { 'ADDRESS.addr1': '1 High St', 'ADDRESS.city': 'York', 'ADDRESS.zip': 'YO1' }, is: false },
    { fields: { language: 'de' }, is: false },
  ])('a member holds $fields: $is', ({ fields, is }) => {
    const held = { ...member, merge_fields: { ...member.merge_fields, LNAME: 'Lee' } };
    expect(holds(held, dataBody(itemOf('r1', 'Ann Lee', { fields }), ADDRESS, 'PLUMBREF'))).toBe(is);
    expect(holds(held, dataBody(itemOf('r1', 'Ann Lee', { fields }), 'other@example.com', 'PLUMBREF'))).toBe(false);
    expect(holds(held, dataBody(itemOf('r2', 'Ann Lee', { fields }), ADDRESS, 'PLUMBREF'))).toBe(false);
  });

  test('what is no member is none', () => {
    expect([null, 'html', {}, { ...member, status: undefined }].map(isMember)).toEqual([false, false, false, false]);
    expect(hashOf(' Ann.Lee@Example.com ')).toBe(member.id);
  });
});

describe('parts', () => {
  test('tasks run at most so many at once, in order, and a failure stops those not begun', async () => {
    let running = 0;
    let most = 0;
    const begun: number[] = [];
    const task = (at: number) => async (): Promise<number> => {
      begun.push(at);
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
      if (at === 4) throw new Error('broken');
      return at;
    };
    expect(await fanOut([0, 1, 2, 3].map(task), 2)).toEqual([0, 1, 2, 3]);
    expect(most).toBe(2);
    begun.length = 0;
    await expect(fanOut([4, 5, 6, 7].map(task), 2)).rejects.toThrow('broken');
    expect(begun).toEqual([4, 5]);
    expect(running).toBe(0);
  });

  test('settings: nothing but a data centre gets into a host name', () => {
    expect(settingsSchema.parse({ list: 'a1b2c3' })).toMatchObject({
      reference: 'PLUMBREF',
      skipMergeValidation: false,
    });
    for (const wrong of [
      { list: 'a/b' },
      { list: 'a', server: 'evil.example/' },
      { list: 'a', reference: 'TOOLONGATAGX' },
      { list: 'a', more: 1 },
    ]) {
      expect(settingsSchema.safeParse(wrong).success).toBe(false);
    }
  });
});
