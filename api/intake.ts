/** What the HTTP server itself refuses before there is a request: too slow, too large a head, no HTTP. */
import type { Socket } from 'node:net';

/** Time that a request may take to arrive, in ms, as options of Fastify and of Node's server. Who sends a byte a second is not waited for. */
export function timeLimits(requestMs: number): {
  requestTimeout: number;
  http: { requestTimeout: number; headersTimeout: number; connectionsCheckingInterval: number };
} {
  return {
    requestTimeout: requestMs,
    http: {
      requestTimeout: requestMs,
      headersTimeout: requestMs,
      // Node looks only now and then; its own 30 seconds would make half as long again of a minute.
      connectionsCheckingInterval: Math.min(5_000, Math.ceil(requestMs / 4)),
    },
  };
}

const ANSWERS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

/** Ends a connection whose bytes became no request. Nothing of them is repeated or logged. */
export function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  const status = ANSWERS[error.code ?? ''] ?? '400 Bad Request';
  if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  // Whoever goes on sending is not listened to.
  setTimeout(() => socket.destroy(), 1_000).unref();
}
