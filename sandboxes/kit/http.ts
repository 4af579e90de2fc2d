/** The little HTTP that both listeners share. */
import type http from 'node:http';
import type { AddressInfo } from 'node:net';

const BODY_BYTES_MAX = 20_000_000;

/** The whole body as text. By events: an async iterator costs more than a small request itself. */
export function readBody(message: http.IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    message.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) message.destroy(new Error('body too large'));
      else chunks.push(chunk);
    });
    message.once('error', reject);
    message.once('end', () => {
      const [only] = chunks;
      resolve((chunks.length === 1 ? only! : Buffer.concat(chunks)).toString('utf8'));
    });
  });
}

/** Undefined when the text is not JSON. */
export function parseJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Listens on 127.0.0.1; port 0 takes a free one. Rejects when the port is in use. */
export async function listen(server: http.Server, port: number): Promise<number> {
  // Longer than any client keeps an idle connection, so that it is never the sandbox that closes it under a request.
  server.keepAliveTimeout = 60_000;
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** Stops listening and drops what is still open (a hanging answer would otherwise keep it open for ever). */
export async function stop(server: http.Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeAllConnections();
  await closed;
}

/** Sends a JSON body, text, bytes or nothing. */
export function send(
  response: http.ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  // Text goes out in one piece with its headers; bytes would be a second piece.
  let out: string | Uint8Array;
  const all = { ...headers };
  if (body === undefined) out = '';
  else if (typeof body === 'string' || body instanceof Uint8Array) out = body;
  else {
    out = JSON.stringify(body);
    all['content-type'] ??= 'application/json;charset=utf-8';
  }
  if (status !== 204) all['content-length'] = String(Buffer.byteLength(out));
  response.writeHead(status, all);
  response.end(status === 204 ? undefined : out);
}
