import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rows } from '../../store/db.ts';
import { addSystem, apiRig, expectProblem, settle } from './rig.ts';
import type { Answer, ApiRig } from './rig.ts';

let rig: ApiRig;
beforeAll(async () => {
  rig = await apiRig();
  await addSystem(rig.db, 'crm');
  await addSystem(rig.db, 'mail');
});
afterAll(async () => rig.close());

async function create(body: Record<string, unknown>): Promise<Answer> {
  const made = await rig.call('POST', '/v1/contacts', { as: 'writer', body });
  expect(made.text).toContain('"contact"');
  return made;
}

describe('create and read', () => {
  test('a contact is made, cleaned, and read with consents and holds', async () => {
    const made = await create({
      givenName: ' Ada ',
      emails: ['Ada@BÜCHER.example'],
      country: 'gb',
      attributes: { vip: true },
    });
    expect(made.status).toBe(201);
    const { contact } = made.json;
    expect(made.headers['location']).toBe(`/v1/contacts/${contact.id}`);
    expect(made.headers['etag']).toBe('"1"');
    expect(contact).toMatchObject({
      givenName: 'Ada',
      emails: ['Ada@xn--bcher-kva.example'],
      country: 'GB',
      attributes: { vip: true },
      version: 1,
      state: 'active',
    });
    const read = await rig.call('GET', `/v1/contacts/${contact.id}`, { as: 'reader' });
    expect(read.status).toBe(200);
    expect(read.json).toMatchObject({ ...contact, consents: { newsletter: { state: 'unknown' } }, holds: [] });
    expect(read.json.seq).toBeUndefined();
  });

  test('whoever holds an address is found by it in any spelling, with the address in the body', async () => {
    const { json } = await create({ emails: ['shared@example.org'], familyName: 'One' });
    const second = await create({ emails: ['SHARED@example.org'], familyName: 'Two' });
    const found = await rig.call('POST', '/v1/contacts/find', { as: 'reader', body: { email: 'Shared@Example.ORG.' } });
    expect(found.json.contacts.map((c: { id: string }) => c.id)).toEqual([json.contact.id, second.json.contact.id]);
    const nobody = await rig.call('POST', '/v1/contacts/find', { as: 'reader', body: { email: 'not an address' } });
    expect(nobody.json).toEqual({ contacts: [] });
  });

  test('nobody and nonsense are not found, in the same words', async () => {
    const nobody = await rig.call('GET', '/v1/contacts/00000000-0000-4000-8000-000000000000', { as: 'reader' });
    expectProblem(nobody, 404, 'not_found');
    expectProblem(await rig.call('GET', '/v1/contacts/1%27--', { as: 'reader' }), 404, 'not_found');
  });

  test('a reference is taken once', async () => {
    await create({ externalRef: 'ref-once' });
    const again = await rig.call('POST', '/v1/contacts', { as: 'writer', body: { externalRef: 'ref-once' } });
    expectProblem(again, 409, 'reference_taken');
  });

  test('the second reference of a person is taken too', async () => {
    const one = await create({ externalRef: 'alias-of' });
    await rig.db.raw(`insert into contact_aliases (ref, contact_id) values ('alias-1', ?)`, [one.json.contact.id]);
    const made = await rig.call('POST', '/v1/contacts', { as: 'writer', body: { externalRef: 'alias-1' } });
    expectProblem(made, 409, 'reference_taken');
    const other = await create({ externalRef: 'alias-other' });
    const moved = await rig.call('PATCH', `/v1/contacts/${other.json.contact.id}`, {
      as: 'writer',
      body: { externalRef: 'alias-1' },
    });
    expectProblem(moved, 409, 'reference_taken');
    const put = await rig.call('PUT', '/v1/contacts/by-reference/alias-1', { as: 'writer', body: { city: 'Ghent' } });
    expect(put.json.contact).toMatchObject({ id: one.json.contact.id, externalRef: 'alias-of', city: 'Ghent' });
  });

  test('a contact about whom nothing is said is refused', async () => {
    const empty = await rig.call('POST', '/v1/contacts', { as: 'writer', body: { givenName: '', emails: [] } });
    expectProblem(empty, 422, 'validation_failed');
  });
});

describe('patch', () => {
  test('null empties, absent fields stay, attributes merge by name', async () => {
    const { json } = await create({
      givenName: 'A',
      familyName: 'B',
      emails: ['p@example.org'],
      attributes: { vip: true, seats: 3 },
    });
    const patched = await rig.call('PATCH', `/v1/contacts/${json.contact.id}`, {
      as: 'writer',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { givenName: null, emails: null, attributes: { vip: null, tier: 'gold' } },
    });
    expect(patched.status).toBe(200);
    expect(patched.json.contact).toMatchObject({
      version: 2,
      givenName: null,
      familyName: 'B',
      emails: [],
      attributes: { seats: 3, tier: 'gold' },
    });
  });

  test('a stale change is refused with the version that stands, by header and by body', async () => {
    const { json } = await create({ familyName: 'First' });
    const url = `/v1/contacts/${json.contact.id}`;
    await rig.call('PATCH', url, { as: 'writer', headers: { 'if-match': '"1"' }, body: { familyName: 'Second' } });
    const byHeader = await rig.call('PATCH', url, {
      as: 'writer',
      headers: { 'if-match': '"1"' },
      body: { familyName: 'Late' },
    });
    expectProblem(byHeader, 412, 'version_conflict');
    expect(byHeader.json.currentVersion).toBe(2);
    expect(byHeader.headers['etag']).toBe('"2"');
    const byBody = await rig.call('PATCH', url, { as: 'writer', body: { familyName: 'Late', expectedVersion: 1 } });
    expectProblem(byBody, 412, 'version_conflict');
    const now = await rig.call('GET', url, { as: 'reader' });
    expect(now.json).toMatchObject({ familyName: 'Second', version: 2 });
  });

  test.each(['1', 'W/"1"', '"1", "2"', '"x"', '"0"'])('the precondition %s is not guessed at', async (tag) => {
    const { json } = await create({ familyName: 'F' });
    const answer = await rig.call('PATCH', `/v1/contacts/${json.contact.id}`, {
      as: 'writer',
      headers: { 'if-match': tag },
      body: { familyName: 'G' },
    });
    expectProblem(answer, 400, 'precondition_unclear');
  });

  test('fifty parallel patches of different fields and attributes are all kept, each with its version', async () => {
    const { json } = await create({ familyName: 'Parallel' });
    const url = `/v1/contacts/${json.contact.id}`;
    const fields = [
      'givenName',
      'familyName',
      'organisation',
      'city',
      'street',
      'postcode',
      'accountManager',
      'source',
    ];
    const bodies = [
      ...fields.map((field) => ({ [field]: `new ${field}` })),
      { attributes: { vip: true } },
      { attributes: { tier: 'gold' } },
      { attributes: { seats: 7 } },
      ...Array.from({ length: 39 }, (_, i) => ({ locale: `en-${String.fromCharCode(65 + (i % 26))}B` })),
    ];
    const answers = await Promise.all(bodies.map(async (body) => rig.call('PATCH', url, { as: 'writer', body })));
    expect(answers.map((a) => a.status).filter((s) => s !== 200)).toEqual([]);
    const now = await rig.call('GET', url, { as: 'reader' });
    expect(now.json).toMatchObject({
      ...Object.fromEntries(fields.map((field) => [field, `new ${field}`])),
      attributes: { vip: true, tier: 'gold', seats: 7 },
    });
    const { json: all } = await rig.call('GET', `${url}/versions?limit=500`, { as: 'reader' });
    const numbers = all.versions.map((v: { version: number }) => v.version);
    expect(numbers).toEqual(Array.from({ length: now.json.version }, (_, i) => now.json.version - i));
  });

  test('a patch that says nothing new makes no version', async () => {
    const { json } = await create({ familyName: 'Same' });
    const patched = await rig.call('PATCH', `/v1/contacts/${json.contact.id}`, {
      as: 'writer',
      body: { familyName: 'Same' },
    });
    expect(patched.json.contact.version).toBe(1);
  });
});

describe('put by reference', () => {
  test('creates, then sets the given fields, and is safe to repeat', async () => {
    const url = '/v1/contacts/by-reference/crm%2F42';
    const made = await rig.call('PUT', url, { as: 'writer', body: { familyName: 'Put', city: 'Ghent' } });
    expect(made.status).toBe(201);
    expect(made.json.contact.externalRef).toBe('crm/42');
    const again = await rig.call('PUT', url, { as: 'writer', body: { familyName: 'Put', city: 'Ghent' } });
    expect(again.status).toBe(200);
    expect(again.json.contact).toMatchObject({ id: made.json.contact.id, version: 1 });
    const changed = await rig.call('PUT', url, { as: 'writer', body: { city: 'Bruges' } });
    expect(changed.json.contact).toMatchObject({ familyName: 'Put', city: 'Bruges', version: 2 });
  });

  test('ten at once make one contact', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, async (_, i) =>
        rig.call('PUT', '/v1/contacts/by-reference/race', { as: 'writer', body: { familyName: `N${i}` } }),
      ),
    );
    expect(new Set(answers.map((a) => a.json.contact.id)).size).toBe(1);
    expect(answers.filter((a) => a.status === 201)).toHaveLength(1);
    expect(answers.filter((a) => a.status === 200)).toHaveLength(9);
  });
});

describe('versions', () => {
  test('say who, when, why and through which door; older ones can be read', async () => {
    const { json } = await create({ familyName: 'V1' });
    const url = `/v1/contacts/${json.contact.id}`;
    await rig.call('PATCH', url, {
      as: 'writer',
      headers: { 'plumbline-reason': Buffer.from('Anruf von Müller', 'utf8').toString('latin1') },
      body: { familyName: 'V2' },
    });
    const { json: all } = await rig.call('GET', `${url}/versions`, { as: 'reader' });
    expect(all.versions).toMatchObject([
      { version: 2, actor: 'key:test-writer', door: 'api', reason: 'Anruf von Müller', contact: { familyName: 'V2' } },
      { version: 1, reason: null, contact: { familyName: 'V1' } },
    ]);
    const first = await rig.call('GET', `${url}/versions/1`, { as: 'reader' });
    expect(first.json.contact.familyName).toBe('V1');
    expectProblem(await rig.call('GET', `${url}/versions/3`, { as: 'reader' }), 404, 'not_found');
  });
});

describe('wait=verified', () => {
  test('answers when every system has settled, with what came of it', async () => {
    const { json } = await create({ familyName: 'W' });
    const { id } = json.contact;
    await Promise.all([settle(rig.db, id, 'crm'), settle(rig.db, id, 'mail')]);
    const waiting = rig.call('PATCH', `/v1/contacts/${id}?wait=verified&timeoutMs=20000`, {
      as: 'writer',
      body: { familyName: 'W2' },
    });
    await settleLater(id, 'crm', 60);
    await settleLater(id, 'mail', 60);
    const answer = await waiting;
    expect(answer.status).toBe(200);
    expect(answer.json.verified).toBe(true);
    expect(answer.json.deliveries).toMatchObject([
      { system: 'crm', state: 'verified', data: { outcome: 'applied' } },
      { system: 'mail', state: 'verified' },
    ]);
  });

  test('past the time it is 202 with what is open', async () => {
    const answer = await rig.call('POST', '/v1/contacts?wait=verified&timeoutMs=50', {
      as: 'writer',
      body: { familyName: 'Slow' },
    });
    expect(answer.status).toBe(202);
    expect(answer.json.verified).toBe(false);
    expect(answer.json.deliveries.map((d: { state: string }) => d.state)).toEqual(['due', 'due']);
  });

  test('a system that refuses is settled and not verified', async () => {
    const { json } = await create({ familyName: 'R' });
    const { id } = json.contact;
    await settle(rig.db, id, 'crm');
    await settle(rig.db, id, 'mail', 'rejected');
    const answer = await rig.call('PATCH', `/v1/contacts/${id}?wait=verified`, { as: 'writer', body: {} });
    expect(answer.status).toBe(200);
    expect(answer.json.verified).toBe(false);
    expect(answer.json.deliveries[1]).toMatchObject({ system: 'mail', state: 'problem' });
  });

  test('changes that come later do not prolong it', async () => {
    const { json } = await create({ familyName: 'L' });
    const { id } = json.contact;
    const waiting = rig.call('PATCH', `/v1/contacts/${id}?wait=verified&timeoutMs=20000`, {
      as: 'writer',
      body: { familyName: 'L2' },
    });
    await settleLater(id, 'crm', 80);
    await settleLater(id, 'mail', 0);
    await rig.call('PATCH', `/v1/contacts/${id}`, { as: 'writer', body: { familyName: 'L3' } });
    expect((await waiting).status).toBe(200);
  });

  async function settleLater(id: string, system: string, afterMs: number): Promise<void> {
    // Not before the change is in, however slow the machine is.
    const isDue = 'select 1 from deliveries where contact_id = ? and system = ? and wanted > settled';
    await expect.poll(async () => (await rows(rig.db, isDue, [id, system])).length, { timeout: 15_000 }).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await settle(rig.db, id, system);
  }
});

describe('traces', () => {
  test('a read leaves one entry an hour for each key and contact', async () => {
    const { json } = await create({ familyName: 'Traced' });
    const { id } = json.contact;
    await Promise.all([1, 2, 3].map(async () => rig.call('GET', `/v1/contacts/${id}`, { as: 'reader' })));
    await rig.call('GET', `/v1/contacts/${id}/versions`, { as: 'reader' });
    await rig.call('GET', `/v1/contacts/${id}`, { as: 'lead' });
    const { json: log } = await rig.call('GET', `/v1/audit?contact=${id}`, { as: 'operator' });
    const reads = log.entries.filter((e: { kind: string }) => e.kind === 'contact.read');
    expect(reads.map((e: { actor: string }) => e.actor).toSorted()).toEqual(['key:test-lead', 'key:test-reader']);
  });
});
