/** How often, how much and how slowly: what the doors do not let in. */
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { networkOf, Windows } from '../../api/rate-limits.ts';
import { createKey } from '../../store/api-keys.ts';
import { apiRig, expectProblem } from './rig.ts';
import type { Answer, ApiRig } from './rig.ts';

const LIMITS = { requestsPerMinute: 20, failedKeysPerMinute: 5 };
const NOBODYS = `Bearer pk_${'A'.repeat(43)}`;

let rig: ApiRig;
let port: number;
beforeAll(async () => {
  rig = await apiRig({ limits: LIMITS, requestSeconds: 1, trustedProxies: ['127.0.0.1', '10.0.0.0/8'] });
  await rig.api.listen({ host: '127.0.0.1', port: 0 });
  ({ port } = rig.api.server.address() as AddressInfo);
});
afterAll(async () => rig.close());

async function ask(authorization: string | undefined, from: string, url = '/v1/systems'): Promise<Answer> {
  const headers = { 'x-forwarded-for': from, ...(authorization === undefined ? {} : { authorization }) };
  return rig.call('GET', url, { headers });
}

/** Looks of the database for a key. */
async function lookUps(during: () => Promise<unknown>): Promise<number> {
  let n = 0;
  const pool = rig.doorsDb;
  const count = ({ sql }: { sql: string }): void => {
    if (sql.includes('from api_keys where hash')) n += 1;
  };
  pool.on('query', count);
  await during();
  pool.off('query', count);
  return n;
}

describe('requests of a key', () => {
  test('are counted by key, whoever sends from where; the answer tells what is left', async () => {
    const one = `Bearer ${await createKey(rig.db, { name: 'counted', role: 'reader' })}`;
    const other = `Bearer ${await createKey(rig.db, { name: 'counted-too', role: 'reader' })}`;
    for (let i = 1; i <= LIMITS.requestsPerMinute; i += 1) {
      const answer = await ask(one, `192.0.2.${i}`);
      expect(answer.status).toBe(200);
      expect(answer.headers['ratelimit-policy']).toBe('"key";q=20;w=60');
      expect(answer.headers['ratelimit']).toMatch(new RegExp(`^"key";r=${LIMITS.requestsPerMinute - i};t=\\d+$`));
    }
    const over = await ask(one, '192.0.2.99');
    expectProblem(over, 429, 'too_many_requests');
    expect(Number(over.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(over.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect(over.headers['ratelimit']).toMatch(/^"key";r=0;t=\d+$/);
    expect((await ask(other, '192.0.2.99')).status).toBe(200);
  });

  test('beyond the role count as well', async () => {
    const key = `Bearer ${await createKey(rig.db, { name: 'reaching', role: 'reader' })}`;
    const statuses = [];
    for (let i = 0; i <= LIMITS.requestsPerMinute; i += 1)
      statuses.push((await ask(key, '192.0.2.1', '/v1/cases')).status);
    expect(statuses.slice(0, -1).every((s) => s === 403)).toBe(true);
    expect(statuses.at(-1)).toBe(429);
  });
});

describe('requests without a good key', () => {
  test('are counted by address; then nothing is looked up for it, and a key that was good goes on', async () => {
    const good = `Bearer ${await createKey(rig.db, { name: 'neighbour', role: 'reader' })}`;
    expect((await ask(good, '198.51.100.7')).status).toBe(200);
    const statuses = [];
    for (const key of [NOBODYS, undefined, 'Bearer pk_short', NOBODYS, NOBODYS])
      statuses.push((await ask(key, '198.51.100.7')).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401]);
    const looked = await lookUps(async () => {
      const over = await ask(NOBODYS, '198.51.100.7');
      expectProblem(over, 429, 'too_many_requests');
      expect(over.headers['ratelimit-policy']).toBe('"failed-keys";q=5;w=60');
      expect(Number(over.headers['retry-after'])).toBeGreaterThan(0);
      expectProblem(await ask(undefined, '198.51.100.7'), 429, 'too_many_requests');
      expect((await ask(good, '198.51.100.7')).status).toBe(200);
    });
    expect(looked).toBe(0);
    expect(await lookUps(async () => ask(NOBODYS, '198.51.100.9'))).toBe(1);
    expectProblem(await ask(NOBODYS, '198.51.100.8'), 401, 'key_unknown');
  });

  test('of one IPv6 network are one', async () => {
    for (let i = 1; i <= 5; i += 1) expect((await ask(NOBODYS, `2001:db8:7::${i}`)).status).toBe(401);
    expect((await ask(NOBODYS, '2001:db8:7:0:ffff::1')).status).toBe(429);
    expect((await ask(NOBODYS, '2001:db8:8::1')).status).toBe(401);
  });

  test('are told apart by an address that a proxy of ours gave, and not by one that anybody writes', async () => {
    const from = async (remoteAddress: string, claimed: string): Promise<number> =>
      (
        await rig.api.inject({
          url: '/v1/systems',
          remoteAddress,
          headers: { authorization: NOBODYS, 'x-forwarded-for': claimed },
        })
      ).statusCode;
    const statuses = [];
    for (let i = 1; i <= 6; i += 1) statuses.push(await from('203.0.113.5', `192.0.2.${i}`));
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
    for (let i = 1; i <= 6; i += 1) expect(await from('10.1.1.1', `203.0.113.${100 + i}`)).toBe(401);
  });
});

test('probes, documentation and the page are not counted', async () => {
  for (let i = 0; i < 10; i += 1) await ask(NOBODYS, '203.0.113.77');
  for (const url of ['/health', '/ready', '/', '/docs/json']) {
    for (let i = 0; i < 25; i += 1) {
      const answer = await ask(undefined, '203.0.113.77', url);
      expect([url, answer.status, answer.headers['ratelimit']]).toEqual([url, 200, undefined]);
    }
  }
});

test('no address is in the log', () => {
  expect(rig.logged()).toContain('"status":429');
  expect(rig.logged()).not.toMatch(/192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|2001:db8/);
});

describe('a window', () => {
  test('begins with its first request, ends after a minute, and few are remembered', () => {
    let now = 0;
    const windows = new Windows(2, () => now);
    expect(windows.take('a')).toEqual({ left: 1, endsInSeconds: 60 });
    now = 59_999;
    expect(windows.take('a')).toEqual({ left: 0, endsInSeconds: 1 });
    expect(windows.take('a').left).toBe(-1);
    now = 60_000;
    expect(windows.look('a')).toEqual({ left: 2, endsInSeconds: 60 });
    expect(windows.take('a').left).toBe(1);
    for (let i = 0; i < 10_000; i += 1) windows.take(`b${i}`);
    expect(windows.look('a').left).toBe(2);
    expect(windows.look('b1').left).toBe(1);
  });

  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:DB8::1', '2001:db8:0:0'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:0db8:0001:0002::', '2001:db8:1:2'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ])('%s is of %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

/** Sends pieces with pauses over a connection of its own. @returns all that came back, and after how long the connection ended */
async function trickle(pieces: string[], pauseMs: number): Promise<{ text: string; ms: number }> {
  const started = performance.now();
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1');
    const rest = [...pieces];
    const timer = setInterval(() => {
      const next = rest.shift();
      if (next === undefined) clearInterval(timer);
      else socket.write(next);
    }, pauseMs);
    socket.on('data', (data) => (text += data.toString()));
    // Writing to a connection that was ended.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(timer);
      resolve({ text, ms: performance.now() - started });
    });
  });
}

describe('time and size', () => {
  const head = (more: string): string => `POST /v1/contacts HTTP/1.1\r\nhost: x\r\n${more}`;
  const auth = (): string => `authorization: Bearer ${rig.keys.writer}\r\ncontent-type: application/json\r\n`;

  test('a body that trickles in is ended with 408, and nothing is written', async () => {
    const body = JSON.stringify({ externalRef: 'trickled', familyName: 'Slowly' });
    const pieces = [`${head(auth())}content-length: ${body.length}\r\n\r\n`, ...body.split('')];
    const { text, ms } = await trickle(pieces, 150);
    expect(text).toMatch(/^HTTP\/1\.1 408 /);
    expect(ms).toBeGreaterThan(900);
    expect(ms).toBeLessThan(4_000);
    expect(await rig.db('contacts').where({ external_ref: 'trickled' })).toEqual([]);
    expect(rig.logged()).not.toContain('Slowly');
  });

  test('so is a head that never ends', async () => {
    const { text, ms } = await trickle(
      [head('x-one: 1\r\n'), ...Array.from({ length: 60 }, (_, i) => `x-${i}: 1\r\n`)],
      100,
    );
    expect(text).toMatch(/^HTTP\/1\.1 408 /);
    expect(ms).toBeLessThan(4_000);
  });

  test('a head that is too large is ended with 431', async () => {
    const { text } = await trickle([head(`x-large: ${'x'.repeat(40_000)}\r\n\r\n`)], 10);
    expect(text).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('a body without a stated length is counted as it comes', async () => {
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    const pieces = [`${head(auth())}transfer-encoding: chunked\r\n\r\n`, ...Array.from({ length: 20 }, () => chunk)];
    const { text } = await trickle(pieces, 5);
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(text).toContain('body_too_large');
  });

  test('a request that is in time is served', async () => {
    const body = JSON.stringify({ externalRef: 'in-time' });
    const { text } = await trickle(
      [`${head(auth())}connection: close\r\ncontent-length: ${body.length}\r\n\r\n`, body],
      100,
    );
    expect(text).toMatch(/^HTTP\/1\.1 201 /);
  });
});
