/**
 * What the official SDK does not offer: an end by signal, and one way out. Typed calls go through the agent that it is given;
 * `apiRequest` uses the global fetch, which is led through the same agent inside `underControl`.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { CallEnded } from '../kit/outbound.ts';
import type { Outbound } from '../kit/outbound.ts';
import { send } from '../kit/request.ts';

const control = new AsyncLocalStorage<{ outbound: Outbound; signal: AbortSignal }>();
const plainFetch = globalThis.fetch;
globalThis.fetch = function fetchUnderControl(...args: Parameters<typeof fetch>): Promise<Response> {
  const own = control.getStore();
  if (own === undefined) return plainFetch(...args);
  const [input, init] = args;
  const { method, headers, body } = init ?? {};
  // The SDK gives texts; anything else would be news.
  if (
    (typeof input !== 'string' && !(input instanceof URL)) ||
    (typeof body !== 'string' && body !== undefined && body !== null)
  ) {
    return Promise.reject(new TypeError('the SDK made a request of an unknown form'));
  }
  return send(own.outbound, String(input), {
    method: method ?? 'GET',
    headers: Object.fromEntries(new Headers(headers)),
    signal: own.signal,
    ...(typeof body === 'string' ? { body } : {}),
  });
};

/** Runs one call of the SDK; rejects with `CallEnded` at the signal. */
export async function underControl<T>(outbound: Outbound, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  let end = (): void => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    end = () => reject(new CallEnded());
  });
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) end();
    return await Promise.race([control.run({ outbound, signal }, run), ended]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}
