import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { routeOf } from '../../sandboxes/kit/journal.ts';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox, SandboxOptions } from '../../sandboxes/kit/server.ts';
import { failsPartially } from '../../sandboxes/kit/vendor.ts';
import type { Answer, VendorModule } from '../../sandboxes/kit/vendor.ts';
import { DayCounter, RollingWindow } from '../../sandboxes/kit/window.ts';

/** The smallest vendor: GET shows the words held, POST adds one. At most two requests at once. */
const words: VendorModule = {
  name: 'words',
  defaultSettings: { latencyMs: 0 },
  createVendor: () => {
    let held: string[] = [];
    return {
      admit: (request): Answer | undefined =>
        request.inFlight > 2 ? { status: 429, body: { error: 'too many at once' } } : undefined,
      handle: (request): Answer => {
        if (request.method === 'GET') return { status: 200, body: { words: held } };
        const given = request.json as string[];
        const errors = given.filter((_word, index) => failsPartially(request, index));
        held.push(...given.filter((word) => !errors.includes(word)));
        return { status: 200, body: { added: given.length - errors.length, errors }, effect: true };
      },
      errorAnswer: (kind): Answer => {
        const status = { 'rate-limited': 429, 'server-error': 500, 'token-expired': 401 }[kind];
        return { status, body: { error: kind } };
      },
      isRead: (request) => request.method === 'GET',
      snapshot: () => held,
      restore: (state) => {
        held = state as string[];
      },
      reset: () => {
        held = [];
      },
      count: () => held.length,
      records: (offset, limit) => held.slice(offset, offset + limit),
      record: (id) => held[Number(id)],
      seed: (records) => records.map((word) => String(held.push(word as string) - 1)),
      patch: (id, change) => {
        if (held[Number(id)] === undefined) return undefined;
        held[Number(id)] = String(change['word'] as string);
        return { word: held[Number(id)] };
      },
      remove: (id) => held.splice(Number(id), 1).length === 1,
      describe: () => 'words & <more>',
    };
  },
};

const open: Sandbox[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((sandbox) => sandbox.close()));
});

async function start(options: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({ module: words, port: 0, controlPort: 0, ...options });
  open.push(sandbox);
  return sandbox;
}

async function control(sandbox: Sandbox, method: string, path: string, body?: unknown): Promise<unknown> {
  const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await fetch(sandbox.controlUrl + path, init);
  return response.json();
}

const add = (sandbox: Sandbox, ...given: string[]): Promise<Response> =>
  fetch(`${sandbox.url}/words`, { method: 'POST', body: JSON.stringify(given) });
const read = (sandbox: Sandbox): Promise<Response> => fetch(`${sandbox.url}/words`, { redirect: 'manual' });
const held = async (sandbox: Sandbox): Promise<unknown> =>
  ((await control(sandbox, 'GET', '/records')) as { records: unknown }).records;
const lastEntry = async (sandbox: Sandbox): Promise<unknown> =>
  ((await control(sandbox, 'GET', '/journal')) as { entries: unknown[] }).entries.at(-1);

test('the journal says what was asked, what was answered and whether it had an effect', async () => {
  const sandbox = await start();
  await add(sandbox, 'a');
  await read(sandbox);
  const { entries, lastSeq } = (await control(sandbox, 'GET', '/journal?since=1')) as Record<string, unknown>;
  expect(lastSeq).toBe(2);
  expect(entries).toMatchObject([{ seq: 2, method: 'GET', path: '/words', status: 200, effect: false, inFlight: 1 }]);
  expect(await control(sandbox, 'GET', '/counters')).toMatchObject({
    total: 2,
    effects: 1,
    calls: { 'POST /words': 1, 'GET /words': 1 },
  });
  await control(sandbox, 'POST', '/journal/clear');
  await read(sandbox);
  expect(await control(sandbox, 'GET', '/journal')).toMatchObject({ lastSeq: 3, entries: [{ seq: 3 }] });
});

test("the vendor's own limits refuse and are counted; switched off they do not", async () => {
  // Long enough that a slow machine has all of them under way at once.
  const sandbox = await start({ settings: { latencyMs: 1_000 } });
  const four = async (): Promise<number[]> =>
    (await Promise.all([1, 2, 3, 4].map(() => read(sandbox)))).map(({ status }) => status).sort((a, b) => a - b);
  expect(await four()).toEqual([200, 200, 429, 429]);
  expect(await control(sandbox, 'GET', '/counters')).toMatchObject({ limited: 2, maxInFlight: 4 });
  await control(sandbox, 'PUT', '/settings', { limits: false });
  expect(await four()).toEqual([200, 200, 200, 200]);
});

test.each([
  { name: '429', status: 429, effect: false },
  { name: '429-retry-after', params: { seconds: 7 }, status: 429, effect: false, header: ['retry-after', '7'] },
  { name: '500-before', status: 500, effect: false },
  { name: '500-before', params: { status: 503 }, status: 503, effect: false },
  { name: '500-after', status: 500, effect: true },
  { name: 'ignore', status: 200, effect: false, text: '{"added":1,"errors":[]}' },
  { name: 'partial', params: { items: 1 }, status: 200, effect: false, text: '{"added":0,"errors":["a"]}' },
  { name: 'bare-403', status: 403, effect: false, text: '' },
  { name: 'html', status: 200, effect: false, header: ['content-type', 'text/html'] },
  { name: 'truncate', status: 200, effect: true, text: '{"added":1,' },
  { name: 'token-expired', status: 401, effect: false, text: '{"error":"token-expired"}' },
  { name: 'hang', params: { ms: 20 }, status: 504, effect: false },
  { name: 'hang', params: { ms: 20, effect: 'before' }, status: 200, effect: true },
  { name: 'redirect', status: 302, effect: false, header: ['location', 'http://elsewhere.invalid/words'] },
])(
  'fault $name $params: status $status, effect $effect, once',
  async ({ name, params, status, effect, text, header }) => {
    const sandbox = await start();
    await control(sandbox, 'POST', '/faults', { name, match: { method: 'POST', path: '^/words' }, params });
    expect((await read(sandbox)).status).toBe(200);
    const init = { method: 'POST', body: '["a"]', redirect: 'manual' } as const;
    const response = await fetch(`${sandbox.url}/words`, init);
    expect(response.status).toBe(status);
    if (text !== undefined) expect(await response.text()).toBe(text);
    if (header !== undefined) expect(response.headers.get(header[0]!)).toBe(header[1]);
    if (name === 'bare-403') expect(response.headers.get('content-type')).toBeNull();
    expect(await held(sandbox)).toEqual(effect ? ['a'] : []);
    expect(await lastEntry(sandbox)).toMatchObject({ fault: name, effect: name === 'partial' ? true : effect });
    expect(await control(sandbox, 'GET', '/faults')).toMatchObject({ faults: [{ name, fired: 1 }] });
    expect((await add(sandbox, 'b')).status).toBe(200);
  },
);

test.each([
  { name: 'cut-before', effect: false },
  { name: 'cut-after', effect: true },
])('fault $name cuts the connection; effect $effect', async ({ name, effect }) => {
  const sandbox = await start();
  await control(sandbox, 'POST', '/faults', { name });
  await expect(add(sandbox, 'a')).rejects.toThrow();
  expect(await held(sandbox)).toEqual(effect ? ['a'] : []);
  expect(await lastEntry(sandbox)).toMatchObject({ status: 0, effect, fault: name });
});

test('fault hang without a time never answers and does not stop the sandbox from closing', async () => {
  const sandbox = await start();
  await control(sandbox, 'POST', '/faults', { name: 'hang', params: { effect: 'before' } });
  const init = { method: 'POST', body: '["a"]', signal: AbortSignal.timeout(100) };
  await expect(fetch(`${sandbox.url}/words`, init)).rejects.toThrow();
  expect(await held(sandbox)).toEqual(['a']);
});

test('fault delay answers later and normally', async () => {
  const sandbox = await start();
  await control(sandbox, 'POST', '/faults', { name: 'delay', params: { ms: 80 } });
  const started = performance.now();
  expect((await add(sandbox, 'a')).status).toBe(200);
  expect(performance.now() - started).toBeGreaterThan(75);
  expect(await held(sandbox)).toEqual(['a']);
});

test('fault stale-reads shows the state before later writes, then ends', async () => {
  const sandbox = await start();
  await add(sandbox, 'a');
  await control(sandbox, 'POST', '/faults', { name: 'stale-reads', params: { ms: 150 } });
  await add(sandbox, 'b');
  expect(await (await read(sandbox)).json()).toEqual({ words: ['a'] });
  await add(sandbox, 'c');
  expect(await (await read(sandbox)).json()).toEqual({ words: ['a'] });
  await new Promise((resolve) => setTimeout(resolve, 170));
  expect(await (await read(sandbox)).json()).toEqual({ words: ['a', 'b', 'c'] });
});

test('faults skip, count and are removed', async () => {
  const sandbox = await start();
  const { id } = (await control(sandbox, 'POST', '/faults', { name: '429', skip: 1, count: 2 })) as { id: string };
  const statuses = [];
  for (let call = 0; call < 4; call += 1) statuses.push((await read(sandbox)).status);
  expect(statuses).toEqual([200, 429, 429, 200]);
  expect(await control(sandbox, 'DELETE', `/faults/${id}`)).toEqual({});
  expect(await control(sandbox, 'GET', '/faults')).toEqual({ faults: [] });
  expect(await control(sandbox, 'POST', '/faults', { name: 'nonsense' })).toHaveProperty('error');
});

test("records can be planted, read, changed and removed behind everybody's back", async () => {
  const sandbox = await start();
  expect(await control(sandbox, 'POST', '/records', ['a', 'b'])).toEqual({ ids: ['0', '1'] });
  expect(await control(sandbox, 'PATCH', '/records/1', { word: 'c' })).toEqual({ word: 'c' });
  expect(await control(sandbox, 'GET', '/records?offset=1&limit=1')).toEqual({ total: 2, offset: 1, records: ['c'] });
  expect(await control(sandbox, 'GET', '/records/9')).toEqual({ error: 'not found' });
  expect(await control(sandbox, 'DELETE', '/records/0')).toEqual({});
  expect(await control(sandbox, 'GET', '/counters')).toMatchObject({ total: 0 });
  await control(sandbox, 'POST', '/reset');
  expect(await held(sandbox)).toEqual([]);
});

test('the page is for people and escapes what it shows', async () => {
  const sandbox = await start();
  await fetch(`${sandbox.url}/words?q=%3Cb%3E<script>`);
  const html = await (await fetch(sandbox.controlUrl)).text();
  expect(html).toContain('words &amp; &lt;more&gt;');
  expect(html).not.toContain('<script>');
});

test('state, settings and numbering survive a restart from the data file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sandbox-'));
  const dataFile = join(folder, 'words.json');
  const first = await start({ dataFile });
  await add(first, 'a');
  await control(first, 'PUT', '/settings', { limits: false });
  await first.close();
  const second = await start({ dataFile });
  expect(await held(second)).toEqual(['a']);
  expect(second.settings.limits).toBe(false);
  await add(second, 'b');
  // As after kill -9: nothing was closed, the file was written soon after the change.
  await new Promise((resolve) => setTimeout(resolve, 400));
  const third = await start({ dataFile });
  expect(await held(third)).toEqual(['a', 'b']);
  expect(await control(third, 'GET', '/journal')).toMatchObject({ lastSeq: 2 });
  await rm(folder, { recursive: true });
});

test('connections are kept alive', async () => {
  const sandbox = await start();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const port = async (): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const request = http.get(`${sandbox.url}/words`, { agent }, (response) => {
        const { localPort } = request.socket ?? {};
        response.resume().on('end', () => resolve(localPort));
      });
      request.on('error', reject);
    });
  expect(await port()).toBe(await port());
  agent.destroy();
});

test("a port in use is reported by the system's code", async () => {
  const first = await start();
  await expect(startSandbox({ module: words, port: first.port, controlPort: 0 })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
});

test('rolling windows count what lies in any window; days are UTC days', () => {
  const window = new RollingWindow(1000);
  expect([0, 10, 20].map((at) => window.take(at, 2))).toEqual([true, true, false]);
  expect(window.waitMs(20, 2)).toBe(980);
  expect([window.take(1000, 2), window.take(1001, 2)]).toEqual([true, false]);
  const day = new DayCounter();
  const midnight = Date.parse('2026-03-01T00:00:00Z');
  expect([day.take(midnight - 1, 1), day.take(midnight - 1, 1), day.take(midnight, 1)]).toEqual([true, false, true]);
});

test('routes in counters hold no ids and no addresses', () => {
  expect(routeOf('/crm/v3/objects/contacts/101000051')).toBe('/crm/v3/objects/contacts/{id}');
  expect(routeOf('/v3/status/email/a%40b.example')).toBe('/v3/status/email/{id}');
  expect(routeOf('/lists/a1b2c3d4e5/members/0123456789abcdef0123456789abcdef')).toBe('/lists/{id}/members/{id}');
});
