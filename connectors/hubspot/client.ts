/** One call of the SDK: token, gate, time limit, and what its answer means. */
import { Client } from '@hubspot/api-client';
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate } from '../kit/connector.ts';
import type { Outbound } from '../kit/outbound.ts';
import type { Tokens } from '../kit/tokens.ts';
import { faultOf } from './faults.ts';
import type { Effect, Failure, Fault } from './faults.ts';
import { limitReading } from './limits.ts';
import type { Headers } from './limits.ts';
import { underControl } from './transport.ts';

export type Called<T> = { kind: 'ok'; value: T; status: number } | (Fault & { failure?: Failure });

export interface HubSpot {
  /** A typed call of the SDK. `read` undefined: not what was asked for. */
  call<T>(
    gate: Gate,
    name: string,
    effect: Effect,
    run: (client: Client) => Promise<{ httpStatusCode: number; headers: Headers; data: unknown }>,
    read: (data: unknown) => T | undefined,
  ): Promise<Called<T>>;
  /** A call that the SDK has no method for. */
  request<T>(
    gate: Gate,
    name: string,
    effect: Effect,
    request: { method: 'GET' | 'POST'; path: string; body?: unknown; qs?: Record<string, string> },
    read: (data: unknown) => T | undefined,
  ): Promise<Called<T>>;
  close(): void;
}

export function createHubSpot({
  baseUrl: basePath,
  tokens,
  outbound,
}: {
  baseUrl: string;
  tokens: Tokens;
  outbound: Outbound;
}): HubSpot {
  let made: { token: string; client: Client } | null = null;

  function clientFor(token: string): Client {
    // No retries and no limiter: both would be process-wide, and the engine has its own.
    if (made?.token !== token) {
      made = { token, client: new Client({ accessToken: token, basePath, httpAgent: outbound.agent(basePath) }) };
    }
    return made.client;
  }

  async function through<T>(
    gate: Gate,
    name: string,
    effect: Effect,
    run: (client: Client) => Promise<{ status: number; headers: Headers; data: unknown }>,
    read: (data: unknown) => T | undefined,
  ): Promise<Called<T>> {
    let token: string;
    try {
      token = await tokens.get();
    } catch (error) {
      // Nothing was sent, so a write is no more unknown than a read.
      if (error instanceof ConnectorStop) return { kind: 'outcome', outcome: error.outcome };
      throw error;
    }
    const client = clientFor(token);
    const answer = await gate.call(name, async (signal): Promise<{ value: T; status: number } | Failure> => {
      let failure: Failure;
      try {
        const { status, headers, data } = await underControl(outbound, signal, () => run(client));
        gate.observe(limitReading(status, headers, data));
        const value = status < 300 ? read(data) : undefined;
        if (value !== undefined) return { value, status };
        failure = { status, code: '', body: data, headers };
      } catch (error) {
        failure = failureOf(error);
        gate.observe(limitReading(failure.status, failure.headers, failure.body));
      }
      return failure;
    });
    if ('value' in answer) {
      tokens.accepted();
      return { kind: 'ok', ...answer };
    }
    if (answer.status === 401) return { kind: 'outcome', outcome: tokens.refused(token), failure: answer };
    return { ...faultOf(answer, effect), failure: answer };
  }

  return {
    call: (gate, name, effect, run, read) =>
      through(
        gate,
        name,
        effect,
        async (client) => {
          const { httpStatusCode, headers, data } = await run(client);
          return { status: httpStatusCode, headers, data };
        },
        read,
      ),
    request: (gate, name, effect, request, read) =>
      through(
        gate,
        name,
        effect,
        async (client) => {
          const answer = await client.apiRequest(request);
          const text = await answer.text();
          return {
            status: answer.status === 0 ? 302 : answer.status,
            headers: Object.fromEntries(answer.headers),
            data: parsed(text),
          };
        },
        read,
      ),
    close: () => outbound.close(),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Takes status, body and headers out of whatever the SDK throws; its message and stack hold the body and go no further. */
function failureOf(error: unknown): Failure {
  const thrown = (typeof error === 'object' && error !== null ? error : {}) as {
    code?: unknown;
    body?: unknown;
    headers?: unknown;
    message?: unknown;
    cause?: { code?: unknown };
  };
  const headers = (typeof thrown.headers === 'object' && thrown.headers !== null ? thrown.headers : {}) as Headers;
  if (typeof thrown.code === 'number') {
    return { status: thrown.code, code: '', body: bodyOf(thrown.body), headers };
  }
  const code = [thrown.code, thrown.cause?.code].find((c) => typeof c === 'string') as string | undefined;
  if (code !== undefined) return { status: 0, code, body: undefined, headers };
  // An answer that the SDK cannot read becomes a plain error; some name the status in their text, the others had a good one.
  const status = /(?:HTTP-Code|status(?: code)?):?\s*(\d{3})/iu.exec(
    typeof thrown.message === 'string' ? thrown.message : '',
  )?.[1];
  if (status !== undefined) return { status: Number(status), code: '', body: undefined, headers };
  return { status: 0, code: 'UNREADABLE', body: undefined, headers };
}

function bodyOf(body: unknown): unknown {
  return typeof body === 'string' ? parsed(body) : body;
}
