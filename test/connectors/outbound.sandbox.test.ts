/** The one way out: against real servers on loopback that mean ill, by itself and under each vendor's SDK. */
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join, resolve as resolvePath } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { isPublic } from '../../connectors/kit/addresses.ts';
import type { Connector, Gate } from '../../connectors/kit/connector.ts';
import { ConnectorStop } from '../../connectors/kit/connector.ts';
import { createOutbound, neverSent } from '../../connectors/kit/outbound.ts';
import type { Address, Outbound, OutboundOptions } from '../../connectors/kit/outbound.ts';
import { send } from '../../connectors/kit/request.ts';
import { CONNECTOR_NAMES, connectorModule } from '../../connectors/registry.ts';

const certificates = resolvePath(import.meta.dirname, '..', 'rig', 'certificate');
const cert = readFileSync(join(certificates, 'localhost.cert.pem'), 'utf8');
const key = readFileSync(join(certificates, 'localhost.key.pem'), 'utf8');

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  vi.unstubAllEnvs();
});

interface Hostile {
  url: string;
  port: number;
  /** Requests that arrived. */
  requests: { method: string; url: string }[];
  /** Connections that were made. */
  connections: Socket[];
}

async function serve(
  answer: http.RequestListener,
  at: { host?: string; port?: number; tls?: boolean } = {},
): Promise<Hostile> {
  const hostile: Hostile = { url: '', port: 0, requests: [], connections: [] };
  const listener: http.RequestListener = (request, response) => {
    hostile.requests.push({ method: request.method ?? '', url: request.url ?? '' });
    request.resume();
    answer(request, response);
  };
  const server = at.tls === true ? https.createServer({ cert, key }, listener) : http.createServer(listener);
  server.on('connection', (socket: Socket) => hostile.connections.push(socket));
  const host = at.host ?? '127.0.0.1';
  await new Promise<void>((ready) => server.listen(at.port ?? 0, host, ready));
  hostile.port = (server.address() as AddressInfo).port;
  hostile.url = `${at.tls === true ? 'https' : 'http'}://${host}:${hostile.port}`;
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return hostile;
}

const fine: http.RequestListener = (_request, response) => response.end('{}');

function way(urls: string[], more: Partial<OutboundOptions> = {}): Outbound {
  const outbound = createOutbound({ urls, maxSockets: 2, timeoutMs: 2_000, ...more });
  closing.push(() => outbound.close());
  return outbound;
}

/** The code or the message of what a request fails with. */
async function failure(outbound: Outbound, url: string): Promise<string> {
  try {
    const { status } = await send(outbound, url, { method: 'GET' });
    return `status ${status}`;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return `${code ?? ''} ${message}`;
  }
}

describe('hosts', () => {
  test('one that is not configured is refused before anything is looked up or connected', async () => {
    const [own, other] = [await serve(fine), await serve(fine)];
    const looked = vi.fn<(host: string) => Promise<Address[]>>();
    const outbound = way([own.url], { resolve: looked });
    expect(await failure(outbound, own.url)).toBe('status 200');
    expect(await failure(outbound, other.url)).toContain('PLUMBLINE_REFUSED');
    expect(await failure(outbound, `http://elsewhere.example:${own.port}/`)).toContain('PLUMBLINE_REFUSED');
    // The same machine at another port is another host.
    expect(other.connections).toHaveLength(0);
    expect(looked).not.toHaveBeenCalled();
  });

  test('plain HTTP to a host that is configured for TLS is refused', async () => {
    const own = await serve(fine);
    expect(await failure(way([`https://127.0.0.1:${own.port}`]), own.url)).toContain('PLUMBLINE_REFUSED');
    expect(own.connections).toHaveLength(0);
  });

  test('a host known by its form is reached by TLS on the usual port only', async () => {
    const outbound = way([], { isHost: (host) => host === 'us1.api.example', resolve: () => Promise.resolve([]) });
    expect(await failure(outbound, 'https://us1.api.example/')).toContain('no address');
    expect(await failure(outbound, 'https://us1.api.example:8443/')).toContain('not one of this system');
    expect(await failure(outbound, 'http://us1.api.example/')).toContain('not one of this system');
  });

  test('a Host header changes neither where it goes nor whose certificate is asked for', async () => {
    const own = await serve(fine, { tls: true });
    const outbound = way([`https://localhost:${own.port}`], { ca: cert });
    const answer = await send(outbound, `https://localhost:${own.port}/`, {
      method: 'GET',
      headers: { host: 'x.example' },
    });
    expect(answer.status).toBe(200);
  });
});

describe('addresses', () => {
  const INSIDE =
    '127.0.0.1 127.9.9.9 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 198.18.0.1 224.0.0.1 ' +
    '255.255.255.255 192.0.2.1 :: ::1 fe80::1 fc00::1 fd12::1 ff02::1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 64:ff9b::a00:1 2002:a00:1:: ' +
    '2001:db8::1 2001::1 host';
  test.each([...INSIDE.split(' '), ''])('%s is not public', (address) => {
    expect(isPublic(address)).toBe(false);
  });

  test.each(['8.8.8.8', '104.16.0.1', '172.15.0.1', '172.32.0.1', '193.0.0.1', '2606:4700::1111', '2a00:1450::1'])(
    '%s is public',
    (address) => {
      expect(isPublic(address)).toBe(true);
    },
  );

  const inside: Address[] = [{ address: '127.0.0.1', family: 4 }];

  test('a name that leads inside a network is refused, unless the configuration says so', async () => {
    const own = await serve(fine, { tls: true });
    const url = `https://vendor.example:${own.port}`;
    const resolve = () => Promise.resolve(inside);
    expect(await failure(way([url], { resolve }), url)).toContain('leads inside a network');
    expect(own.connections).toHaveLength(0);
    // The connection is made, and fails for the name in the certificate only.
    expect(await failure(way([url], { resolve, ca: cert, privateAddresses: true }), url)).toContain('ALTNAME');
    expect(own.connections).toHaveLength(1);
  });

  test('without TLS a name is used only where the configuration says that it leads inside a network', async () => {
    const own = await serve(fine);
    const url = `http://vendor.example:${own.port}`;
    const resolve = () => Promise.resolve(inside);
    expect(await failure(way([url], { resolve }), url)).toContain('without TLS');
    expect(own.connections).toHaveLength(0);
    expect(await failure(way([url], { resolve, privateAddresses: true }), url)).toBe('status 200');
  });

  test('several addresses inside are refused after one look-up', async () => {
    const own = await serve(fine);
    const url = `https://vendor.example:${own.port}`;
    const asked: string[] = [];
    const resolve = (host: string) => {
      asked.push(host);
      return Promise.resolve<Address[]>([
        ...inside,
        { address: '::1', family: 6 },
        { address: '192.0.2.1', family: 4 },
      ]);
    };
    expect(await failure(way([url], { resolve }), url)).toContain('leads inside a network');
    expect(asked).toEqual(['vendor.example']);
    expect(own.connections).toHaveLength(0);
  });

  test('a name that changes its answer: each connection goes to what was looked at for it, and is looked up once', async () => {
    const first = await serve(fine);
    const second = await serve(fine, { host: '127.0.0.2', port: first.port });
    const url = `http://vendor.example:${first.port}`;
    let lookups = 0;
    const resolve = (): Promise<Address[]> =>
      Promise.resolve([{ address: (lookups += 1) === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }]);
    const outbound = way([url], { resolve, privateAddresses: true });
    expect(await failure(outbound, url)).toBe('status 200');
    expect([lookups, first.requests.length, second.requests.length]).toEqual([1, 1, 0]);
    // The kept connection is used again without a look-up.
    expect(await failure(outbound, url)).toBe('status 200');
    expect([lookups, first.connections.length, second.connections.length]).toEqual([1, 1, 0]);
    for (const socket of first.connections) socket.destroy();
    await sleep(20);
    expect(await failure(outbound, url)).toBe('status 200');
    expect([lookups, first.requests.length, second.requests.length]).toEqual([2, 2, 1]);
  });

  test('each new connection looks again: another answer is checked like the first', async () => {
    const own = await serve(fine);
    const url = `https://vendor.example:${own.port}`;
    const answers: Address[][] = [[{ address: '192.0.2.1', family: 4 }], inside];
    const outbound = way([url], { resolve: () => Promise.resolve(answers.shift() ?? inside) });
    expect(await failure(outbound, url)).toContain('leads inside a network');
    expect(await failure(outbound, url)).toContain('leads inside a network');
    expect(own.connections).toHaveLength(0);
  });

  test('a number is checked like a name', async () => {
    const own = await serve(fine);
    const outbound = way([`https://api.example`], { isHost: () => true });
    expect(await failure(outbound, 'https://169.254.169.254/latest')).toContain('inside a network');
    expect(await failure(outbound, 'https://[::1]/')).toContain('inside a network');
    expect(await failure(way([own.url]), own.url)).toBe('status 200');
  });
});

/** The environment says that certificates are not looked at; Node warns of it, once a process. */
function lookAway(): void {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  vi.spyOn(process, 'emitWarning').mockReturnValue(undefined);
}

describe('certificates', () => {
  test('one that nobody vouches for is refused, even where the environment says not to look', async () => {
    const own = await serve(fine, { tls: true });
    const url = `https://localhost:${own.port}`;
    lookAway();
    const refused = await failure(way([url]), url);
    expect(refused).toContain('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(neverSent(refused)).toBe('certificate_refused');
    expect(own.requests).toHaveLength(0);
    expect(await failure(way([url], { ca: cert }), url)).toBe('status 200');
  });

  test('one of another name is refused', async () => {
    const own = await serve(fine, { tls: true });
    const url = `https://vendor.example:${own.port}`;
    const resolve = () => Promise.resolve<Address[]>([{ address: '127.0.0.1', family: 4 }]);
    const refused = await failure(way([url], { ca: cert, resolve, privateAddresses: true }), url);
    expect(refused).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(neverSent(refused)).toBe('certificate_refused');
    expect(own.requests).toHaveLength(0);
  });
});

describe('answers', () => {
  test('one without an end is cut at the limit of size', async () => {
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const own = await serve((_request, response) => {
      const more = (): void => {
        while (response.write(chunk));
        response.once('drain', more);
      };
      more();
    });
    const outbound = way([own.url], { maxAnswerBytes: 1_000_000 });
    expect(await failure(outbound, own.url)).toContain('larger than any true one');
    await vi.waitFor(() => expect(own.connections.every((socket) => socket.destroyed)).toBe(true));
  });

  test('one that states a size over the limit is not begun', async () => {
    const own = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '2000000' });
      response.write('x');
    });
    expect(await failure(way([own.url], { maxAnswerBytes: 1_000_000 }), own.url)).toContain('larger than any true one');
  });

  test('one that trickles ends at the time limit, and its connection is closed', async () => {
    const own = await serve((_request, response) => {
      const drip = setInterval(() => response.write(' '), 20);
      response.once('close', () => clearInterval(drip));
    });
    const started = performance.now();
    expect(await failure(way([own.url], { timeoutMs: 300 }), own.url)).toContain('took too long');
    expect(performance.now() - started).toBeLessThan(1_500);
    await vi.waitFor(() => expect(own.connections.every((socket) => socket.destroyed)).toBe(true));
  });

  test('one that never begins ends at the time limit', async () => {
    const own = await serve(() => {});
    expect(await failure(way([own.url], { timeoutMs: 200 }), own.url)).toContain('took too long');
  });

  test('a redirect is an answer, not a way', async () => {
    const elsewhere = await serve(fine);
    const own = await serve((_request, response) => response.writeHead(307, { location: elsewhere.url }).end());
    expect(await failure(way([own.url, elsewhere.url]), own.url)).toBe('status 307');
    expect(elsewhere.connections).toHaveLength(0);
  });

  test('connections are kept and shared by no more than the limit', async () => {
    const own = await serve((_request, response) => setTimeout(() => response.end('{}'), 10));
    const outbound = way([own.url], { maxSockets: 2 });
    await Promise.all(Array.from({ length: 10 }, () => failure(outbound, own.url)));
    expect(own.requests).toHaveLength(10);
    expect(own.connections).toHaveLength(2);
  });
});

/** A first call of the vendor's, as the engine makes it, and what came of it. */
async function firstCall(connector: Connector): Promise<unknown> {
  const gate: Gate = {
    concurrency: 2,
    isHurried: false,
    observe: () => {},
    call: (_name, fn) => fn(AbortSignal.timeout(1_500)),
  };
  try {
    await connector.scan(undefined, gate);
    return 'done';
  } catch (error) {
    return error instanceof ConnectorStop ? error.outcome : error;
  }
}

const HTML = { 'content-type': 'text/html' };

const SETTINGS: Record<string, Record<string, unknown>> = {
  hubspot: {},
  mailchimp: { list: 'aud', server: 'us1' },
  xero: { tenantId: '11111111-1111-4111-8111-111111111111' },
};

async function connect(vendor: string, baseUrl: string): Promise<Connector> {
  const module = await connectorModule(vendor);
  const connector = module.create({
    system: 'hostile',
    baseUrl,
    settings: SETTINGS[vendor] ?? {},
    secret: () => Promise.resolve('a-secret-us1'),
    fields: [],
    consentTargets: [],
    callTimeoutMs: 1_000,
    tokens: {
      // A token that is good, so that Xero's first call is one of its SDK's.
      load: () =>
        Promise.resolve({
          accessToken: 'a-token',
          accessExpiresAt: new Date(Date.now() + 3_600_000).toISOString(),
          refreshToken: 'r',
          previousRefreshToken: null,
        }),
      exclusively: (_account, fn) => fn(null),
    },
  });
  closing.push(() => connector.close());
  return connector;
}

describe.each(CONNECTOR_NAMES)('%s goes that way', (vendor) => {
  test('a redirect leads nowhere', async () => {
    const elsewhere = await serve(fine);
    const own = await serve((_request, response) =>
      response.writeHead(302, { location: `${elsewhere.url}/`, ...HTML }).end('<p>there</p>'),
    );
    expect(await firstCall(await connect(vendor, own.url))).toMatchObject({ kind: 'retry', code: 'redirected' });
    expect(own.requests.length).toBeGreaterThan(0);
    expect(elsewhere.connections).toHaveLength(0);
  });

  test('a redirect to the same host is not followed either', async () => {
    const own = await serve((_request, response) =>
      response.writeHead(307, { location: '/again', ...HTML }).end('<p>there</p>'),
    );
    expect(await firstCall(await connect(vendor, own.url))).toMatchObject({ kind: 'retry', code: 'redirected' });
    expect(own.requests.filter(({ url }) => url === '/again')).toEqual([]);
  });

  test('a certificate that nobody vouches for is refused and nothing is sent', async () => {
    const own = await serve(fine, { tls: true });
    lookAway();
    const outcome = await firstCall(await connect(vendor, `https://localhost:${own.port}`));
    expect(outcome).toMatchObject({ kind: 'retry', code: 'certificate_refused' });
    expect(own.connections.length).toBeGreaterThan(0);
    expect(own.requests).toHaveLength(0);
  });

  test('a name that leads inside a network is refused', async () => {
    const own = await serve(fine, { tls: true });
    // `localhost` says what it is; a name with a domain that leads there does not. This one every resolver answers by itself (RFC 6761).
    const outcome = await firstCall(await connect(vendor, `https://vendor.localhost:${own.port}`));
    expect(outcome).toMatchObject({ kind: 'retry' });
    expect(['address_refused', 'unreachable']).toContain((outcome as { code: string }).code);
    expect(own.connections).toHaveLength(0);
  });

  test('a small answer that unpacks to a huge one is not taken in', async () => {
    const bomb = gzipSync(Buffer.alloc(80_000_000, ' '), { level: 9 });
    expect(bomb.length).toBeLessThan(200_000);
    const own = await serve((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb),
    );
    const connector = await connect(vendor, own.url);
    const before = process.memoryUsage.rss();
    const outcome = await firstCall(connector);
    expect(outcome).toMatchObject({ kind: 'retry' });
    expect(own.requests.length).toBeGreaterThan(0);
    expect(process.memoryUsage.rss() - before).toBeLessThan(160_000_000);
  });

  test('an answer that trickles ends at the time limit', async () => {
    const own = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const drip = setInterval(() => response.write(' '), 20);
      response.once('close', () => clearInterval(drip));
    });
    const started = performance.now();
    expect(await firstCall(await connect(vendor, own.url))).toMatchObject({ kind: 'retry' });
    expect(performance.now() - started).toBeLessThan(5_000);
    await vi.waitFor(() => expect(own.connections.every((socket) => socket.destroyed)).toBe(true), 3_000);
  });
});

test('no connector makes a connection of its own', () => {
  const folder = resolvePath(import.meta.dirname, '..', '..', 'connectors');
  const found: string[] = [];
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.startsWith('kit')) continue;
    const text = readFileSync(join(folder, file), 'utf8');
    // Types are no connections.
    const code = text.replaceAll(/^import type .*$/gm, '').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    if (
      /from 'node:(?:https?|net|tls|dns[^']*)'|[^.\w](?:fetch|axios)\(|new \w*(?:Agent|XMLHttpRequest|WebSocket)\(/.test(
        code,
      )
    )
      found.push(file);
  }
  expect(found).toEqual([]);
});
