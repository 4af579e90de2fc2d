/** The little HTTP that both listeners share. */
import type http from 'node:http';
import type { AddressInfo } from 'node:net';

const BODY_BYTES_MAX = 20_000_000;

/** The whole body as text. */
export async function readBody(message: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message) {
    bytes += (chunk as Buffer).length;
    if (bytes > BODY_BYTES_MAX) throw new Error('body too large');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
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
  let bytes: Buffer;
  const out = { ...headers };
  if (body === undefined) bytes = Buffer.alloc(0);
  else if (typeof body === 'string') bytes = Buffer.from(body);
  else if (body instanceof Uint8Array) bytes = Buffer.from(body);
  else {
    bytes = Buffer.from(JSON.stringify(body));
    out['content-type'] ??= 'application/json;charset=utf-8';
  }
  if (status !== 204) out['content-length'] = String(bytes.length);
  response.writeHead(status, out);
  response.end(status === 204 ? undefined : bytes);
}
