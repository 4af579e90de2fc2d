/** The small listener for supervisors and Prometheus: /metrics, /health, /ready. Off where no port is configured. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface TelemetryServer {
  /** Where it listens, e.g. `http://127.0.0.1:7310`. */
  url: string;
  close(): Promise<void>;
}

/**
 * Listens on `host`:`port`; port 0 takes a free one.
 * @param notReady why the process cannot do its work now, as a sentence; null when it can
 */
export async function serveTelemetry(options: {
  registry: Registry;
  host: string;
  port: number;
  notReady: () => Promise<string | null>;
  /** Awaited before each scrape. */
  refresh?: () => Promise<void>;
}): Promise<TelemetryServer> {
  const { registry, host, port, notReady, refresh } = options;
  const answer = async (path: string): Promise<{ status: number; type: string; body: string }> => {
    switch (path) {
      case '/metrics':
        await refresh?.();
        return { status: 200, type: registry.contentType, body: await registry.metrics() };
      case '/health':
        return { status: 200, type: 'application/json', body: '{"status":"ok"}\n' };
      case '/ready': {
        const problem = await notReady().catch(() => 'It cannot be found out.');
        return {
          status: problem === null ? 200 : 503,
          type: 'application/json',
          body: `${JSON.stringify({ ready: problem === null, problem })}\n`,
        };
      }
      default:
        return { status: 404, type: 'text/plain; charset=utf-8', body: 'There are /metrics, /health and /ready.\n' };
    }
  };
  const server = createServer((request, response) => {
    request.resume();
    if (request.method !== 'GET') {
      response.writeHead(405, { allow: 'GET' }).end();
      return;
    }
    void answer(new URL(request.url ?? '/', 'http://here').pathname)
      .catch(() => ({ status: 500, type: 'text/plain; charset=utf-8', body: 'It could not be read.\n' }))
      .then(({ status, type, body }) => {
        response.writeHead(status, {
          'content-type': type,
          'cache-control': 'no-store',
          'x-content-type-options': 'nosniff',
        });
        response.end(body);
      });
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
