/** The codec endpoint: Temporal's protocol, behind the same keys and roles, for pages of the one Web UI. */
import { payloadToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKey, revokeKey } from '../../store/api-keys.ts';
import { createCodec } from '../../temporal/codec.ts';
import { apiRig, CODEC_KEYS, expectProblem, UI_ORIGIN } from './rig.ts';
import type { Answer, ApiRig } from './rig.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const PLAIN = { metadata: { encoding: base64('json/plain') }, data: base64('{"case":"of somebody"}') };

let rig: ApiRig;
beforeAll(async () => {
  rig = await apiRig();
});
afterAll(async () => rig.close());

async function sealedWith(id: string, byte: number): Promise<unknown> {
  const codec = createCodec(async () => [{ id, secret: Buffer.alloc(32, byte) }]);
  const [one] = await codec.encode([
    { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{"case":"of somebody"}') },
  ]);
  return payloadToJSON(one!);
}

/** As the Web UI calls it. */
async function fromUi(way: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return rig.call('POST', `/v1/codec/${way}?preserveStorageRefs=true`, {
    body,
    headers: { origin: UI_ORIGIN, 'x-namespace': 'plumbline', ...headers },
  });
}

async function signIn(form: string, headers: Record<string, string> = {}): Promise<Answer> {
  return rig.call('POST', '/v1/codec/session', {
    body: form,
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin', ...headers },
  });
}

describe('the protocol', () => {
  test('sealed payloads open, in their order, with every known key; what is plain stays', async () => {
    const payloads = [await sealedWith('c1', 1), PLAIN, await sealedWith('c2', 2)];
    const answer = await rig.call('POST', '/v1/codec/decode', { as: 'operator', body: { payloads } });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ payloads: [PLAIN, PLAIN, PLAIN] });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  test('what is typed into the UI is sealed with the key in use, and opens again', async () => {
    const sealed = await rig.call('POST', '/v1/codec/encode', { as: 'operator', body: { payloads: [PLAIN] } });
    expect(sealed.text).not.toContain(PLAIN.data);
    expect(sealed.json.payloads[0].metadata).toEqual({
      encoding: base64('binary/encrypted'),
      'encryption-key-id': base64(CODEC_KEYS[0]!.id),
    });
    const opened = await rig.call('POST', '/v1/codec/decode', { as: 'operator', body: sealed.json });
    expect(opened.json).toEqual({ payloads: [PLAIN] });
  });

  test('an unknown key is named; what is no payload is refused', async () => {
    const lost = { payloads: [await sealedWith('lost', 3)] };
    const answer = await rig.call('POST', '/v1/codec/decode', { as: 'operator', body: lost });
    expectProblem(answer, 422, 'payload_not_opened');
    expect(answer.json.detail).toContain("the key 'lost'");
    for (const body of [{ payloads: 'all' }, { payloads: [{ data: 'no base 64!' }] }, { payload: [] }])
      expectProblem(await rig.call('POST', '/v1/codec/decode', { as: 'operator', body }), 422, 'validation_failed');
  });
});

describe('a page of another origin', () => {
  test('may ask, with a key in the header, when it is the UI', async () => {
    const asked = await rig.api.inject({
      method: 'OPTIONS',
      url: '/v1/codec/decode?preserveStorageRefs=true',
      headers: { origin: UI_ORIGIN, 'access-control-request-method': 'POST' },
    });
    expect(asked.statusCode).toBe(204);
    expect(asked.headers).toMatchObject({
      'access-control-allow-origin': UI_ORIGIN,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': expect.stringMatching(/authorization.*content-type.*x-namespace/) as string,
      vary: 'Origin',
    });
    const answer = await fromUi('decode', { payloads: [PLAIN] }, { authorization: `Bearer ${rig.keys.operator}` });
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBe(UI_ORIGIN);
    // The UI can read why it was refused.
    const refused = await fromUi('decode', { payloads: [PLAIN] });
    expectProblem(refused, 401, 'key_missing');
    expect(refused.headers['access-control-allow-origin']).toBe(UI_ORIGIN);
  });

  test('gets no leave when it is another one, nor at any other door', async () => {
    for (const origin of ['https://elsewhere.example', `${UI_ORIGIN}.elsewhere.example`, 'null']) {
      const answer = await rig.api.inject({ method: 'OPTIONS', url: '/v1/codec/decode', headers: { origin } });
      expect(answer.headers['access-control-allow-origin'], origin).toBeUndefined();
    }
    const other = await rig.call('GET', '/v1/systems', { as: 'operator', headers: { origin: UI_ORIGIN } });
    expect(other.headers['access-control-allow-origin']).toBeUndefined();
  });
});

describe('a browser that was given a key', () => {
  const cookieOf = (answer: Answer): string => String(answer.headers['set-cookie']);

  test('keeps it in a cookie for these doors only, which scripts and other sites cannot use', async () => {
    const page = await rig.call('GET', '/v1/codec');
    expect(page.headers['content-security-policy']).toContain("form-action 'self'");
    const answer = await signIn(`key=${rig.keys.operator}&do=keep`);
    expect(answer.status).toBe(200);
    expect(answer.text).not.toContain(rig.keys.operator);
    expect(cookieOf(answer)).toBe(
      `__Secure-plumbline_codec=${rig.keys.operator}; Path=/v1/codec; Max-Age=28800; HttpOnly; SameSite=Strict; Secure`,
    );
    const cookie = { cookie: `other=1; ${cookieOf(answer).split(';')[0] ?? ''}` };
    expect((await fromUi('decode', { payloads: [PLAIN] }, cookie)).status).toBe(200);
    // A header of the UI's own sign-in does not stand in its way.
    expect((await fromUi('encode', { payloads: [] }, { ...cookie, authorization: 'Bearer eyJhbGciOi' })).status).toBe(
      200,
    );
    for (const origin of ['https://elsewhere.example', '']) {
      const answered = await fromUi('decode', { payloads: [PLAIN] }, { ...cookie, origin });
      expectProblem(answered, 401, 'key_missing');
    }
    expectProblem(
      await rig.call('GET', '/v1/systems', { headers: { ...cookie, origin: UI_ORIGIN } }),
      401,
      'key_missing',
    );
    expect(rig.logged()).not.toContain(rig.keys.operator);
  });

  test('loses its way in when the key is revoked', async () => {
    const key = await createKey(rig.db, { name: 'browser', role: 'operator' });
    await revokeKey(rig.db, 'browser');
    expectProblem(
      await fromUi('decode', { payloads: [] }, { cookie: `__Secure-plumbline_codec=${key}` }),
      401,
      'key_revoked',
    );
  });

  test('can forget it, is refused a wrong key or one without the role, and a form of another site', async () => {
    expect(cookieOf(await signIn('do=forget'))).toMatch(/^__Secure-plumbline_codec=; Path=\/v1\/codec; Max-Age=0;/);
    const wrong = await signIn('key=pk_nobody&do=keep');
    expect([wrong.status, wrong.headers['set-cookie']]).toEqual([401, undefined]);
    expect(wrong.text).not.toContain('pk_nobody');
    const reader = await signIn(`key=${rig.keys.reader}&do=keep`);
    expect([reader.status, reader.headers['set-cookie']]).toEqual([403, undefined]);
    const foreign = await signIn(`key=${rig.keys.operator}&do=keep`, { 'sec-fetch-site': 'cross-site' });
    expect([foreign.status, foreign.headers['set-cookie']]).toEqual([403, undefined]);
    expect((await signIn(`key=${'x'.repeat(600)}`)).status).toBe(413);
  });
});
