/** A request that no SDK makes, through the agents of the system. */
import http from 'node:http';
import https from 'node:https';
import type { Outbound } from './outbound.ts';

export interface OwnRequest {
  method: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  signal?: AbortSignal;
}

/** Statuses that never have a body. */
const BODILESS = [204, 205, 304];

/** Sends it and reads the whole answer, within the limits of `outbound`. @throws the error of the connection, CallEnded, AbortError */
export async function send(
  outbound: Outbound,
  url: string,
  { method, headers, body, signal }: OwnRequest,
): Promise<Response> {
  const { request } = url.startsWith('http:') ? http : https;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method, agent: outbound.agent(url), headers: { ...headers }, ...(signal === undefined ? {} : { signal }) },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('error', reject);
        answer.once('end', () => {
          const status = answer.statusCode ?? 0;
          const content = BODILESS.includes(status) ? null : Buffer.concat(chunks);
          resolve(new Response(content, { status, headers: headersOf(answer.headers) }));
        });
      },
    );
    sent.once('error', reject);
    sent.end(body);
  });
}

function headersOf(raw: http.IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(raw)) {
    for (const one of [value ?? []].flat()) headers.append(name, one);
  }
  return headers;
}
