/** What a hostile or broken caller may send: refused without a word of it in the answer or the log, or stored exactly. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiRig, expectProblem } from './rig.ts';
import type { Answer, ApiRig } from './rig.ts';

let rig: ApiRig;
beforeAll(async () => {
  rig = await apiRig();
});
afterAll(async () => rig.close());

/** A text that must be nowhere afterwards. */
const CANARY = 'zebra.quagga@canary.example';

async function post(body: unknown, url = '/v1/contacts'): Promise<Answer> {
  return rig.call('POST', url, { as: 'writer', body });
}

describe('mass assignment', () => {
  test.each([
    'id',
    'seq',
    'version',
    'state',
    'erasedAt',
    'createdAt',
    'changedAt',
    'role',
    'consents',
    'holds',
    'external_ref',
    'byPerson',
  ])('the field %s is refused at every door that writes, and named', async (field) => {
    for (const [method, url] of [
      ['POST', '/v1/contacts'],
      ['PUT', '/v1/contacts/by-reference/mass'],
      ['PATCH', '/v1/contacts/00000000-0000-4000-8000-000000000000'],
    ] as const) {
      const answer = await rig.call(method, url, { as: 'admin', body: { familyName: 'X', [field]: 'erased' } });
      expectProblem(answer, 422, 'validation_failed');
      expect(answer.json.faults[0].expected).toContain(field);
    }
    const none = await rig.db('contacts').count({ n: '*' }).first<{ n: number }>();
    expect(Number(none?.n)).toBe(0);
  });

  test('a prototype cannot be reached', async () => {
    const answer = await post('{"familyName":"X","__proto__":{"isAdmin":true}}');
    expectProblem(answer, 400, 'body_not_json');
    const inner = await post('{"attributes":{"constructor":{"prototype":{"x":1}}}}');
    expect(inner.status).toBeGreaterThanOrEqual(400);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });
});

describe('text', () => {
  const sound = [
    ['right to left names', 'محمد بن سلمان'],
    ['emoji with parts', 'Zoë 👩‍👩‍👧‍👦'],
    ['Persian joiners', 'می‌خواهم'],
    ['quotes and markup', `O'Brien "<b>" & \\ / %s \${x}`],
    ['SQL', `'); drop table contacts; --`],
  ] as const;
  test.each(sound)('%s are stored exactly', async (_what, familyName) => {
    const answer = await post({ familyName });
    expect(answer.status).toBe(201);
    expect(answer.json.contact.familyName).toBe(familyName.normalize('NFC'));
  });

  test.each([
    ['NUL', '{"familyName":"a\\u0000b"}'],
    ['half a surrogate pair', '{"familyName":"a\\ud800b"}'],
    ['a NUL in a name of a field', '{"attributes":{"a\\u0000":1}}'],
    ['a NUL deep inside', '{"attributes":{"vip":"\\u0000"}}'],
  ])('%s is refused', async (_what, body) => {
    expectProblem(await post(body), 400, 'text_not_allowed');
  });

  test('bytes that are no UTF-8 are refused, not replaced', async () => {
    const body = Buffer.concat([Buffer.from('{"familyName":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expectProblem(await post(body), 400, 'body_not_json');
  });

  test('a NUL in an address asked for is refused', async () => {
    expectProblem(
      await rig.call('PUT', '/v1/contacts/by-reference/a%00b', { as: 'writer', body: {} }),
      400,
      'text_not_allowed',
    );
  });

  test.each([
    ['line break in an address', { emails: [`a@example.org\r\nBcc: ${CANARY}`] }, '/emails/0', 'line_break'],
    ['line break in a name', { familyName: `A\r\nX-Evil: ${CANARY}` }, '/familyName', 'line_break'],
    ['no address', { emails: ['fine@example.org', 'zebra quagga'] }, '/emails/1', 'space'],
    ['unknown attribute', { attributes: { zebra: 'quagga' } }, '/attributes/zebra', 'unknown_attribute'],
    ['date that is none', { contractEnd: '2023-02-30' }, '/contractEnd', 'impossible_date'],
  ])('%s: the field is named, with what was expected', async (_what, body, path, code) => {
    const answer = await post(body);
    expectProblem(answer, 422, 'validation_failed');
    expect(answer.json.faults[0]).toMatchObject({ in: 'body', path, expected: expect.any(String) });
    expect(answer.json.faults[0].code).toBe(code);
    expect(answer.text).not.toContain('quagga');
  });
});

test('what SQL wrote in any form can be read', async () => {
  const made = await rig.db.raw<{ rows: { id: string }[] }>(
    `insert into contacts (family_name, emails, phones, country, locale, attributes)
     values (E'two\\nlines', '{"no address at all"}', '{""}', 'zz', 'no locale', '{"deep": {"er": [1]}}') returning id`,
  );
  const id = made.rows[0]?.id ?? '';
  const read = await rig.call('GET', `/v1/contacts/${id}`, { as: 'reader' });
  expect(read.status).toBe(200);
  expect(read.json).toMatchObject({
    familyName: 'two\nlines',
    emails: ['no address at all'],
    attributes: { deep: { er: [1] } },
  });
  expect((await rig.call('GET', `/v1/contacts/${id}/versions`, { as: 'reader' })).status).toBe(200);
});

describe('size and form', () => {
  test('a body over the limit is refused', async () => {
    expectProblem(await post({ familyName: 'x'.repeat(1024 * 1024) }), 413, 'body_too_large');
  });

  test('a body of another type is refused', async () => {
    const answer = await rig.call('POST', '/v1/contacts', {
      as: 'writer',
      body: 'a=b',
      headers: { 'content-type': 'text/plain' },
    });
    expectProblem(answer, 415, 'media_type_not_supported');
  });

  test.each(['{', '{"familyName":}', 'nonsense', '[1,'])('%s is no JSON', async (body) => {
    expectProblem(await post(body), 400, 'body_not_json');
  });

  test('no body where one is needed', async () => {
    expectProblem(await post(''), 422, 'validation_failed');
  });

  test('nesting without end', async () => {
    expectProblem(await post(`{"attributes":${'['.repeat(100_000)}${']'.repeat(100_000)}}`), 400, 'body_not_json');
  });

  test('unknown and doubled query parameters', async () => {
    for (const query of [
      '?wiat=verified',
      '?wait=verified&wait=verified',
      '?wait=yes',
      '?timeoutMs=99999',
      '?timeoutMs=-1',
    ]) {
      const answer = await rig.call('POST', `/v1/contacts${query}`, { as: 'writer', body: { familyName: 'Q' } });
      expect([query, answer.status, answer.json.faults[0].in]).toEqual([query, 422, 'query']);
    }
    for (const [method, url] of [
      ['GET', '/v1/systems?x=1'],
      ['POST', '/v1/systems/crm/pause?wait=verified'],
      ['POST', '/v1/contacts/bulk?wait=verified'],
    ] as const) {
      const body = url.includes('bulk') ? { body: { rows: [{ externalRef: 'q-1' }] } } : {};
      expectProblem(await rig.call(method, url, { as: 'admin', ...body }), 422, 'validation_failed');
    }
  });

  test.each(['/v1/nothing', '/v1/contacts/%E0%A4%A', '/%', '/v1/contacts/..%2f..%2fetc'])(
    '%s is not there',
    async (url) => {
      const answer = await rig.call('GET', url, { as: 'admin' });
      expect(answer.status).toBe(404);
      expect(answer.json.code).toMatch(/^(?:no_such_route|not_found)$/);
    },
  );
});

test('no value of a refused request is in the answer or in the log', async () => {
  const hidden = [
    { emails: [CANARY, `${CANARY} ${CANARY}`] },
    { [CANARY]: CANARY },
    { familyName: [CANARY] },
    { attributes: { [CANARY]: CANARY } },
    { relationship: CANARY, country: CANARY, locale: CANARY, obtainedAt: CANARY, contractEnd: CANARY },
    { phones: [CANARY], emails: 'zebra.quagga@canary.example' },
    { givenName: `zebra.quagga ${'x'.repeat(300)}` },
    `{"familyName": "${CANARY}" ${CANARY}`,
    `"${CANARY}"`,
  ];
  for (const body of hidden) {
    for (const [method, url] of [
      ['POST', `/v1/contacts`],
      ['PUT', `/v1/contacts/by-reference/${encodeURIComponent(`${CANARY}\u0000`)}`],
      ['POST', '/v1/contacts/find'],
      ['POST', '/v1/contacts/00000000-0000-4000-8000-000000000000/consents'],
    ] as const) {
      const answer = await rig.call(method, `${url}?email=${encodeURIComponent(CANARY)}`, {
        as: 'admin',
        body,
        headers: { 'plumbline-reason': CANARY, 'if-match': CANARY },
      });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.text).not.toMatch(/quagga/);
    }
  }
  await rig.call('GET', `/v1/${encodeURIComponent(CANARY)}`, { as: 'admin' });
  await rig.call('GET', '/v1/systems', { headers: { authorization: `Bearer ${CANARY}` } });
  expect(rig.logged()).toContain('"msg":"request"');
  expect(rig.logged()).not.toMatch(/quagga|canary/);
  for (const key of Object.values(rig.keys)) expect(rig.logged()).not.toContain(key);
});

test('an accepted request leaves nothing of the person in the log either', async () => {
  const made = await rig.call('PUT', '/v1/contacts/by-reference/okapi-7', {
    as: 'writer',
    body: { familyName: 'Okapi', emails: ['okapi@canary2.example'] },
    headers: { 'plumbline-reason': 'okapi called' },
  });
  expect(made.status).toBe(201);
  expect(rig.logged()).not.toMatch(/okapi/i);
});
