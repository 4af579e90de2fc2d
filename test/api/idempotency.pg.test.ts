/** `Idempotency-Key`: one change for one key, at every door that writes; and no new place where a person is kept. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { idempotencyKeyOf } from '../../api/once.ts';
import { asWriter, oneRow, rows } from '../../store/db.ts';
import { emptyContact, lockContact } from '../../store/erasure.ts';
import { pruneReceipts } from '../../store/idempotency.ts';
import { startRun, updateRun } from '../../store/runs.ts';
import { addSystem, apiRig, expectProblem, settle } from './rig.ts';
import type { Answer, ApiRig, CallOptions, Method } from './rig.ts';

let rig: ApiRig;
beforeAll(async () => {
  rig = await apiRig();
  await addSystem(rig.db, 'crm');
});
afterAll(async () => rig.close());

async function person(): Promise<string> {
  const body = { familyName: 'Ibex', emails: [`ibex-${randomUUID()}@example.org`] };
  return (await rig.call('POST', '/v1/contacts', { as: 'writer', body })).json.contact.id as string;
}

async function emptied(id: string, state: 'erased' | 'purged'): Promise<void> {
  await asWriter(rig.db, { actor: 'test', door: 'engine' }, async (tx) => {
    const contact = await lockContact(tx, id);
    if (contact !== undefined) await emptyContact(tx, rig.keyring, contact, state);
  });
}

interface Sample {
  url: string;
  body?: unknown;
  /** Another request at the same door. */
  other: { url?: string; body?: unknown };
}

const decision = { body: { verdict: 'approve' }, other: { body: { verdict: 'refuse', ground: 'legal_claim' } } };

/** A request for each door that writes, as the OpenAPI document names it. A door without one fails the walk. */
const SAMPLES: Record<string, () => Promise<Sample>> = {
  'post /v1/contacts': async () =>
    Promise.resolve({
      url: '/v1/contacts',
      body: { familyName: 'Dik-dik', emails: [`d-${randomUUID()}@example.org`] },
      other: { body: { familyName: 'Gerenuk' } },
    }),
  'patch /v1/contacts/{id}': async () => ({
    url: `/v1/contacts/${await person()}`,
    body: { givenName: 'Zebu' },
    other: { body: { givenName: 'Kudu' } },
  }),
  'put /v1/contacts/by-reference/{ref}': async () =>
    Promise.resolve({
      url: `/v1/contacts/by-reference/${randomUUID()}`,
      body: { familyName: 'Oryx' },
      other: { body: { familyName: 'Okapi' } },
    }),
  'post /v1/contacts/bulk': async () =>
    Promise.resolve({
      url: '/v1/contacts/bulk',
      body: { rows: [{ externalRef: randomUUID(), familyName: 'Saiga' }, { emails: ['not an address'] }] },
      other: { body: { rows: [{ externalRef: randomUUID() }] } },
    }),
  'post /v1/contacts/{id}/consents': async () => ({
    url: `/v1/contacts/${await person()}/consents`,
    body: { events: [{ purpose: 'newsletter', kind: 'withdrawn' }] },
    other: { body: { events: [{ purpose: 'newsletter', kind: 'refused' }] } },
  }),
  'post /v1/contacts/{id}/erasure': async () => ({
    url: `/v1/contacts/${await person()}/erasure`,
    body: { text: 'Please forget me.' },
    other: { body: { text: 'Please do not.' } },
  }),
  'post /v1/cases/{id}/decision': async () => {
    const opened = await rig.call('POST', `/v1/contacts/${await person()}/erasure`, { as: 'writer' });
    return { url: `/v1/cases/${opened.json.caseId as string}/decision`, ...decision };
  },
  'post /v1/runs/{id}/decision': async () => {
    const run = await startRun(rig.db, 'reconciliation', 'crm');
    await updateRun(rig.db, run, { state: 'asking' });
    return { url: `/v1/runs/${run}/decision`, ...decision };
  },
  'post /v1/systems/{name}/pause': async () =>
    Promise.resolve({ url: '/v1/systems/crm/pause', body: { code: 'tidying' }, other: { body: { code: 'moving' } } }),
  'post /v1/systems/{name}/resume': async () =>
    Promise.resolve({ url: '/v1/systems/crm/resume', other: { body: { acceptRestore: true } } }),
  'post /v1/systems/{name}/retry': async () => {
    const name = await oneMore();
    return { url: '/v1/systems/crm/retry', other: { url: `/v1/systems/${name}/retry` } };
  },
  'post /v1/systems/{name}/reconcile': async () => {
    const name = await oneMore();
    return { url: '/v1/systems/crm/reconcile', other: { url: `/v1/systems/${name}/reconcile` } };
  },
  'post /v1/retry': async () => ({
    url: '/v1/retry',
    body: { contactId: await person() },
    other: { body: { system: 'crm' } },
  }),
  'post /v1/retention/runs': async () =>
    // It takes nothing that could differ but a body that it does not look at.
    Promise.resolve({ url: '/v1/retention/runs', other: { body: { something: 'else' } } }),
  'post /v1/causes/{id}/resolution': async () =>
    Promise.resolve({
      url: `/v1/causes/${randomUUID()}/resolution`,
      body: { action: 'retry' },
      other: { body: { action: 'skip', reason: 'agreed' } },
    }),
};

async function oneMore(): Promise<string> {
  const name = `more-${randomUUID().slice(0, 8)}`;
  await addSystem(rig.db, name);
  return name;
}

interface Described {
  paths: Record<
    string,
    Record<string, { parameters?: { name: string }[]; responses: Record<string, { description: string }> }>
  >;
}

async function described(): Promise<Described> {
  return (await rig.call('GET', '/docs/json')).json as Described;
}

function sent(method: string, url: string, key: string, body: unknown, as: CallOptions['as'] = 'admin') {
  const payload = body === undefined ? {} : { body };
  return rig.call(method.toUpperCase() as Method, url, { as, headers: { 'idempotency-key': `"${key}"` }, ...payload });
}

/** What writes leave behind: entries of the audit log, and what was asked of Temporal. */
async function traces(): Promise<unknown> {
  const { n } = await oneRow<{ n: number }>(rig.db, `select count(*) as n from audit where kind <> 'contact.read'`);
  // Handing a case over again is safe, and needed after a crash between the commit and the word to Temporal.
  const asked = rig.operations.asked.filter(
    ({ name }) => !['openErasure', 'decideErasure', 'decideRun'].includes(name),
  );
  return { audit: n, asked: asked.length };
}

/** Without what goes on by itself: how long something has waited. */
function steady(answer: unknown): unknown {
  return JSON.parse(JSON.stringify(answer ?? null, (key, value: unknown) => (key.endsWith('Seconds') ? null : value)));
}

/** Doors that take a body and change nothing. */
const ONLY_READ = new Set(['/v1/contacts/find', '/v1/codec/decode', '/v1/codec/encode']);

test('every door of the OpenAPI document that writes is walked, says so, and takes a key', async () => {
  const { paths } = await described();
  const writing: string[] = [];
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const takes = (operation.parameters ?? []).some((p) => p.name === 'Idempotency-Key');
      const writes = method !== 'get' && !ONLY_READ.has(path);
      expect([method, path, takes]).toEqual([method, path, writes]);
      if (!writes) continue;
      expect(operation.responses['409']?.description, path).toContain('idempotency_key_busy');
      expect(operation.responses['422']?.description, path).toContain('idempotency_key_reused');
      writing.push(`${method} ${path}`);
    }
  }
  expect(writing.toSorted()).toEqual(Object.keys(SAMPLES).toSorted());
});

describe.each(Object.keys(SAMPLES))('%s', (door) => {
  const [method = ''] = door.split(' ');

  test('the same key twice is one change and one answer', async () => {
    const { url, body } = await SAMPLES[door]!();
    const key = randomUUID();
    const first = await sent(method, url, key, body);
    expect([first.status, first.text], door).toEqual([expect.toSatisfy((s: number) => s < 300), first.text]);
    expect(first.headers).not.toHaveProperty('idempotent-replayed');
    const before = await traces();
    const again = await sent(method, url, key, body);
    expect(again.headers).toMatchObject({ 'idempotent-replayed': 'true' });
    expect([again.status, steady(again.json)]).toEqual([first.status, steady(first.json)]);
    expect(again.headers['etag']).toBe(first.headers['etag']);
    expect(again.headers['location']).toBe(first.headers['location']);
    expect(await traces()).toEqual(before);
  });

  test('with another request the key is refused, and nothing changes', async () => {
    const { url, body, other } = await SAMPLES[door]!();
    const key = randomUUID();
    expect((await sent(method, url, key, body)).status).toBeLessThan(300);
    const before = await traces();
    expectProblem(await sent(method, other.url ?? url, key, other.body), 422, 'idempotency_key_reused');
    expect(await traces()).toEqual(before);
  });

  test('while the first is under way the second is told so', async () => {
    const { url, body } = await SAMPLES[door]!();
    const key = randomUUID();
    // The first waits inside its transaction until the table is free.
    const blocked = await rig.db.transaction();
    let first: Promise<Answer>;
    try {
      await blocked.raw('lock table idempotency_keys in access exclusive mode');
      first = sent(method, url, key, body);
      await expect
        .poll(async () => {
          const waiting = await rows(
            rig.db,
            `select 1 from pg_locks where not granted and relation = 'idempotency_keys'::regclass`,
          );
          return waiting.length;
        })
        .toBe(1);
      const second = await sent(method, url, key, body);
      expectProblem(second, 409, 'idempotency_key_busy');
      expect(second.headers['retry-after']).toBe('1');
    } finally {
      await blocked.commit();
    }
    expect((await first).status).toBeLessThan(300);
    expect((await sent(method, url, key, body)).headers).toHaveProperty('idempotent-replayed');
  });
});

describe('a key', () => {
  const make = (familyName: string) => ({ familyName });

  test('belongs to one API key and one door', async () => {
    const key = randomUUID();
    const one = await sent('POST', '/v1/contacts', key, make('Addax'), 'writer');
    const other = await sent('POST', '/v1/contacts', key, make('Addax'), 'admin');
    expect([one.status, other.status]).toEqual([201, 201]);
    expect(other.json.contact.id).not.toBe(one.json.contact.id);
    const elsewhere = await sent('PUT', `/v1/contacts/by-reference/${randomUUID()}`, key, make('Addax'), 'writer');
    expect(elsewhere.status).toBe(201);
  });

  test('takes the order of fields and white space for the same request', async () => {
    const key = randomUUID();
    const headers = { 'idempotency-key': `"${key}"` };
    const call = async (body: string) => rig.call('POST', '/v1/contacts', { as: 'writer', body, headers });
    const first = await call('{"familyName":"Bongo","givenName":"A"}');
    const second = await call('{ "givenName": "A", "familyName": "Bongo" }');
    expect(second.json).toEqual(first.json);
  });

  test('is one text of visible ASCII, in quotes or bare', async () => {
    expect(idempotencyKeyOf(undefined)).toBeNull();
    expect(idempotencyKeyOf('"a b"')).toBe('a b');
    expect(idempotencyKeyOf('"a\\"b\\\\"')).toBe('a"b\\');
    expect(idempotencyKeyOf('8e03978e-40d5-43dd-bc93-6894a57f9324')).toBe('8e03978e-40d5-43dd-bc93-6894a57f9324');
    expect(idempotencyKeyOf(`"${'k'.repeat(255)}"`)).toHaveLength(255);
    for (const header of ['', '""', 'a b', '"a', '"a", "b"', `"${'k'.repeat(256)}"`, '"ä"', '"a"b']) {
      expect(() => idempotencyKeyOf(header), header).toThrow('cannot be read');
    }
    const answer = await rig.call('POST', '/v1/contacts', {
      as: 'writer',
      body: make('Nyala'),
      headers: { 'idempotency-key': 'quagga here' },
    });
    expectProblem(answer, 422, 'validation_failed');
    expect(answer.json.faults[0]).toMatchObject({ in: 'header', path: '/idempotency-key' });
    expect(answer.text).not.toContain('quagga');
  });

  test('of a refused request is free: the same request is judged anew', async () => {
    const key = randomUUID();
    const url = `/v1/contacts/${await person()}`;
    const stale = { givenName: 'Late', expectedVersion: 2 };
    expectProblem(await sent('PATCH', url, key, stale), 412, 'version_conflict');
    await rig.call('PATCH', url, { as: 'writer', body: { givenName: 'Between' } });
    expect((await sent('PATCH', url, key, stale)).status).toBe(200);
  });

  test('with another precondition is another request', async () => {
    const key = randomUUID();
    const url = `/v1/contacts/${await person()}`;
    const call = async (etag: string) =>
      rig.call('PATCH', url, {
        as: 'writer',
        body: { givenName: 'Same' },
        headers: { 'idempotency-key': key, 'if-match': etag },
      });
    expect((await call('"1"')).status).toBe(200);
    expect((await call('"1"')).headers).toHaveProperty('idempotent-replayed');
    expectProblem(await call('"2"'), 422, 'idempotency_key_reused');
  });

  test('that is older than it is kept is forgotten, and its row goes', async () => {
    const key = randomUUID();
    const first = await sent('POST', '/v1/contacts', key, make('Sitatunga'));
    await rows(rig.db, `update idempotency_keys set at = at - interval '25 hours'`);
    const second = await sent('POST', '/v1/contacts', key, make('Sitatunga'));
    expect(second.json.contact.id).not.toBe(first.json.contact.id);
    const { old } = await oneRow<{ old: number }>(
      rig.db,
      `select count(*) as old from idempotency_keys where at < clock_timestamp() - interval '24 hours'`,
    );
    expect(old).toBeGreaterThan(10);
    expect(await pruneReceipts(rig.db, 24, 7)).toBe(7);
    expect(await pruneReceipts(rig.db, 24)).toBe(old - 7);
    expect(await pruneReceipts(rig.db, 24)).toBe(0);
    // The renewed one is young.
    expect((await sent('POST', '/v1/contacts', key, make('Sitatunga'))).json.contact.id).toBe(second.json.contact.id);
  });
});

test('the answer given again is the version of the first time, though the contact went on', async () => {
  const key = randomUUID();
  const url = `/v1/contacts/${await person()}`;
  const first = await sent('PATCH', url, key, { givenName: 'First' });
  await rig.call('PATCH', url, { as: 'writer', body: { givenName: 'Second' } });
  const again = await sent('PATCH', url, key, { givenName: 'First' });
  expect(again.json).toEqual(first.json);
  expect(again.headers['etag']).toBe('"2"');
  expect((await rig.call('GET', url, { as: 'reader' })).json.givenName).toBe('Second');
});

test('told again, what a system holds is told as it is now', async () => {
  const key = randomUUID();
  const body = { familyName: 'Waterbuck' };
  const url = '/v1/contacts?wait=verified&timeoutMs=300';
  const first = await sent('POST', url, key, body);
  expect([first.status, first.json.verified]).toEqual([202, false]);
  for (const { name } of await rows<{ name: string }>(rig.db, 'select name from systems'))
    await settle(rig.db, first.json.contact.id as string, name);
  const again = await sent('POST', url, key, body);
  expect([again.status, again.json.verified, again.json.contact.id]).toEqual([201, true, first.json.contact.id]);
});

test('a decision whose hand-over failed is handed over by the same request, and once only', async () => {
  const { url, body } = await SAMPLES['post /v1/cases/{id}/decision']!();
  const key = randomUUID();
  rig.operations.asked.length = 0;
  rig.operations.failure = new Error('away');
  expectProblem(await sent('POST', url, key, body), 503, 'temporal_unavailable');
  rig.operations.failure = null;
  const told = await sent('POST', url, key, body);
  expect(told.status).toBe(202);
  const ids = rig.operations.asked.filter((a) => a.name === 'decideErasure').map((a) => a.args[1]);
  expect(ids).toEqual([told.json.decisionId, told.json.decisionId]);
  await rows(rig.db, 'update decisions set used_at = clock_timestamp() where id = ?', [told.json.decisionId]);
  expect((await sent('POST', url, key, body)).json).toEqual(told.json);
  expect(rig.operations.asked.filter((a) => a.name === 'decideErasure')).toHaveLength(2);
});

describe('an erased person', () => {
  const body = { familyName: 'Quagga', givenName: 'Thorbjorg' };

  test('is not in what is stored, neither in clear nor as a plain hash', async () => {
    const key = 'thorbjorg.quagga@example.org';
    await sent('POST', '/v1/contacts', key, body);
    await sent('POST', '/v1/contacts/bulk', randomUUID(), { rows: [{ ...body, externalRef: 'quagga-1' }] });
    const kept = await rows<{ text: string }>(rig.db, 'select k::text as text from idempotency_keys k');
    const text = kept.map((k) => k.text).join('\n');
    expect(text).not.toMatch(/quagga|thorbjorg/i);
    const hashes = await rows<{ hash: string }>(
      rig.db,
      `select encode(sha256(convert_to(v, 'UTF8')), 'hex') as hash from unnest(?::text[]) v`,
      [[key, JSON.stringify(body), '{"familyName":"Quagga","givenName":"Thorbjorg"}']],
    );
    for (const { hash } of hashes) expect(text).not.toContain(hash);
    expect(rig.logged()).not.toMatch(/quagga|thorbjorg/i);
  });

  test('is neither shown nor brought back by an old request', async () => {
    const key = randomUUID();
    const made = await sent('POST', '/v1/contacts', key, body);
    const id = made.json.contact.id as string;
    const consent = { events: [{ purpose: 'newsletter', kind: 'withdrawn' }] };
    const consentKey = randomUUID();
    await sent('POST', `/v1/contacts/${id}/consents`, consentKey, consent);
    await emptied(id, 'erased');
    // A name alone leaves no tombstone: without the receipt this request would make the person anew.
    const again = await sent('POST', '/v1/contacts', key, body);
    expectProblem(again, 410, 'erased');
    expect(again.text).not.toMatch(/quagga|thorbjorg/i);
    expectProblem(await sent('POST', `/v1/contacts/${id}/consents`, consentKey, consent), 410, 'erased');
    const { n } = await oneRow<{ n: number }>(
      rig.db,
      `select count(*) as n from contacts where family_name = 'Quagga' and given_name = 'Thorbjorg' and id = ?`,
      [id],
    );
    expect(n).toBe(0);
  });

  test('and after a purge there is only what stands', async () => {
    const key = randomUUID();
    const made = await sent('POST', '/v1/contacts', key, body);
    await emptied(made.json.contact.id as string, 'purged');
    const again = await sent('POST', '/v1/contacts', key, body);
    expect(again.json.contact).toMatchObject({ id: made.json.contact.id, state: 'purged', familyName: null });
  });
});

test('a change that fails leaves no receipt, and a receipt that fails leaves no change', async () => {
  const key = randomUUID();
  await rig.db.raw(`create function refuse_receipt() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
    create trigger refuse_receipt before insert on idempotency_keys for each row execute function refuse_receipt();
    grant execute on function refuse_receipt() to public`);
  const body = { externalRef: `both-${key}`, familyName: 'Impala' };
  try {
    expectProblem(await sent('POST', '/v1/contacts', key, body), 500, 'internal');
    expect(await rig.db('contacts').where({ external_ref: body.externalRef })).toEqual([]);
  } finally {
    await rig.db.raw('drop trigger refuse_receipt on idempotency_keys; drop function refuse_receipt()');
  }
  const made = await sent('POST', '/v1/contacts', key, body);
  expect([made.status, made.headers['idempotent-replayed']]).toEqual([201, undefined]);
});
