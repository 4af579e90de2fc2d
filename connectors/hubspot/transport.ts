/**
 * What the official SDK does not offer: a time-out, keep-alive, no redirects. Typed calls go through an agent; `apiRequest` uses the
 * global fetch, which is told so only inside `underControl`.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';

const control = new AsyncLocalStorage<AbortSignal>();
const plainFetch = globalThis.fetch;
globalThis.fetch = function fetchUnderControl(...args: Parameters<typeof fetch>): Promise<Response> {
  const signal = control.getStore();
  if (signal === undefined) return plainFetch(...args);
  const [input, init] = args;
  // The credentials and the addresses would go along with a redirect.
  return plainFetch(input, { ...init, redirect: 'manual', signal });
};

/** The call was ended by its signal; the vendor may have done it. */
export class CallEnded extends Error {
  readonly code = 'ECONNABORTED';
}

type Callback = (error: Error | null, stream: Duplex) => void;

/** An agent whose sockets end when nothing moves for the time limit of a call. */
export function createAgent(baseUrl: string, maxSockets: number, timeoutMs: number): http.Agent {
  const Base = baseUrl.startsWith('http:') ? http.Agent : https.Agent;
  class TimedAgent extends Base {
    override createConnection(options: http.ClientRequestArgs, callback?: Callback): Duplex | null | undefined {
      const socket = super.createConnection(options, callback);
      if (socket !== null && socket !== undefined && 'setTimeout' in socket) {
        const timed = socket as Duplex & { setTimeout(ms: number, then: () => void): void };
        timed.setTimeout(timeoutMs, () => timed.destroy(new CallEnded()));
      }
      return socket;
    }
  }
  return new TimedAgent({ keepAlive: true, maxSockets });
}

/** Runs one call of the SDK; rejects with `CallEnded` at the signal. */
export async function underControl<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  let end = (): void => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    end = () => reject(new CallEnded());
  });
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) end();
    return await Promise.race([control.run(signal, run), ended]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}
