import { afterAll, beforeAll, expect, test } from 'vitest';
import { asWriter } from '../../store/db.ts';
import { emptyContact, lockContact } from '../../store/erasure.ts';
import { addSystem, apiRig, expectProblem } from './rig.ts';
import type { Answer, ApiRig } from './rig.ts';

let rig: ApiRig;
beforeAll(async () => {
  rig = await apiRig();
  await addSystem(rig.db, 'crm');
});
afterAll(async () => rig.close());

async function bulk(rows: unknown[]): Promise<Answer> {
  return rig.call('POST', '/v1/contacts/bulk', { as: 'writer', body: { rows } });
}

test('each row has its own result, and a bad one does not decide for the others', async () => {
  const gone = await bulk([{ externalRef: 'b-gone', emails: ['b-gone@example.org'] }]);
  await asWriter(rig.db, { actor: 'test', door: 'engine' }, async (tx) => {
    const contact = await lockContact(tx, gone.json.results[0].id as string);
    if (contact === undefined) throw new Error('no contact');
    await emptyContact(tx, rig.keyring, contact, 'erased');
  });
  await bulk([
    { emails: ['b-shared@example.org'], familyName: 'One' },
    { emails: ['b-shared@example.org'], familyName: 'Two' },
  ]);
  const answer = await bulk([
    { externalRef: 'b-1', familyName: 'First' },
    { externalRef: 'b-1', familyName: 'First' },
    { externalRef: 'b-1', city: 'Ghent' },
    { externalRef: 'b-2', emails: ['no address'], version: 7 },
    { externalRef: 'b-2', emails: ['no address'] },
    { emails: ['B-GONE@example.org'] },
    { emails: ['b-shared@example.org'] },
    { familyName: 'Nobody' },
    { familyName: ['not a text'] },
  ]);
  expect(answer.status).toBe(200);
  expect(answer.json.results.map((r: { result: string }) => r.result)).toEqual([
    'created',
    'unchanged',
    'updated',
    'rejected',
    'rejected',
    'suppressed',
    'ambiguous',
    'rejected',
    'rejected',
  ]);
  expect(answer.json.counts).toEqual({
    created: 1,
    unchanged: 1,
    updated: 1,
    rejected: 4,
    suppressed: 1,
    ambiguous: 1,
  });
  const { results } = answer.json;
  expect(results[3].faults).toMatchObject([{ path: '', expected: expect.stringContaining('version') }]);
  expect(results[4].faults).toMatchObject([{ path: '/emails/0', code: 'space' }]);
  expect(results[7].faults).toMatchObject([{ code: 'no_identity' }]);
  expect(results[8].faults).toMatchObject([{ path: '/familyName', expected: expect.stringContaining('string') }]);
  const read = await rig.call('GET', `/v1/contacts/${results[0].id}`, { as: 'reader' });
  expect(read.json).toMatchObject({ familyName: 'First', city: 'Ghent' });
});

test('a thousand rows are one request; sent again they write nothing', async () => {
  const rows = Array.from({ length: 1_000 }, (_, i) => ({ externalRef: `k-${i}`, familyName: `Name ${i}` }));
  expect((await bulk(rows)).json.counts).toEqual({ created: 1_000 });
  const [before] = (await rig.db.raw<{ rows: { n: number }[] }>('select count(*) as n from audit')).rows;
  expect((await bulk(rows)).json.counts).toEqual({ unchanged: 1_000 });
  const [after] = (await rig.db.raw<{ rows: { n: number }[] }>('select count(*) as n from audit')).rows;
  expect(after).toEqual(before);
  expectProblem(await bulk([...rows, { externalRef: 'one-more' }]), 422, 'validation_failed');
});

test('the bulk door takes more than the others, and not everything', async () => {
  const row = { externalRef: 'big', street: 'x'.repeat(200) };
  const many = Array.from({ length: 1_000 }, () => row);
  // White space counts for the size and not for the meaning.
  const padded = JSON.stringify({ rows: many }) + ' '.repeat(2 * 1024 * 1024);
  const taken = await rig.call('POST', '/v1/contacts/bulk', { as: 'writer', body: padded });
  expect(taken.status).toBe(200);
  const over = await rig.call('POST', '/v1/contacts/bulk', {
    as: 'writer',
    body: `{"rows":[]}${' '.repeat(8 * 1024 * 1024)}`,
  });
  expectProblem(over, 413, 'body_too_large');
});

test('a NUL anywhere refuses the whole request before anything is written', async () => {
  const answer = await rig.call('POST', '/v1/contacts/bulk', {
    as: 'writer',
    body: '{"rows":[{"externalRef":"nul-1"},{"externalRef":"nul-2","city":"\\u0000"}]}',
  });
  expectProblem(answer, 400, 'text_not_allowed');
  expect(answer.json.faults[0].path).toBe('/rows/1/city');
  const found = await rig.db('contacts').where({ external_ref: 'nul-1' });
  expect(found).toEqual([]);
});
