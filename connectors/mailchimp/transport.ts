/**
 * What the official SDK does not offer: keep-alive, no redirects, an end by signal. It makes each request with superagent and
 * hides it, so the one place to reach it is superagent's own hook; only calls made inside `underControl` are touched.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type http from 'node:http';
import { createRequire } from 'node:module';
import { ANSWER_BYTES_MAX, CallEnded } from '../kit/outbound.ts';

const require = createRequire(import.meta.url);
const SDK = '@mailchimp/mailchimp_marketing/src/ApiClient.js';

/** An answer and the data in it, as the `…WithHttpInfo` methods give them. */
export interface SdkAnswer {
  data: unknown;
  response: { status: number; headers: Readonly<Record<string, unknown>> };
}
type Options = Record<string, unknown>;

/** The part of the SDK that is used. Its published types leave out `ApiClient` and these methods. */
export interface Sdk {
  basePath: string;
  timeout: number;
  setConfig(config: { apiKey: string; server: string }): void;
  lists: {
    getListWithHttpInfo(list: string, options: Options): Promise<SdkAnswer>;
    getListMergeFieldsWithHttpInfo(list: string, options: Options): Promise<SdkAnswer>;
    addListMergeFieldWithHttpInfo(list: string, body: Options): Promise<SdkAnswer>;
    getListMembersInfoWithHttpInfo(list: string, options: Options): Promise<SdkAnswer>;
    getListMemberWithHttpInfo(list: string, id: string, options: Options): Promise<SdkAnswer>;
    getListMemberActivityFeedWithHttpInfo(list: string, id: string, options: Options): Promise<SdkAnswer>;
    getListMemberNotesWithHttpInfo(list: string, id: string, options: Options): Promise<SdkAnswer>;
    setListMemberWithHttpInfo(list: string, hash: string, body: Options, options: Options): Promise<SdkAnswer>;
    updateListMemberWithHttpInfo(list: string, id: string, body: Options, options: Options): Promise<SdkAnswer>;
    updateListMemberTagsWithHttpInfo(list: string, id: string, body: Options): Promise<SdkAnswer>;
    batchListMembersWithHttpInfo(list: string, body: Options, options: Options): Promise<SdkAnswer>;
    deleteListMemberWithHttpInfo(list: string, id: string): Promise<SdkAnswer>;
    deleteListMemberPermanentWithHttpInfo(list: string, hash: string): Promise<SdkAnswer>;
  };
}

interface Control {
  agent: http.Agent;
  request: SuperagentRequest | undefined;
}
interface SuperagentRequest {
  _agent: unknown;
  _maxRedirects: number;
  abort(): void;
}

const control = new AsyncLocalStorage<Control>();
const superagent = createRequire(require.resolve(SDK))('superagent') as {
  Request: { prototype: { request: (this: SuperagentRequest) => unknown } };
};
const makeRequest = superagent.Request.prototype.request;
superagent.Request.prototype.request = function requestUnderControl(this: SuperagentRequest): unknown {
  const own = control.getStore();
  if (own !== undefined) {
    this._agent ||= own.agent;
    // The credentials would go along.
    this._maxRedirects = 0;
    // Of what was compressed: the agent sees only what came over the line.
    Object.assign(this, { _maxResponseSize: ANSWER_BYTES_MAX });
    own.request = this;
  }
  return makeRequest.call(this);
};

/** One client of the SDK: it comes as one shared instance otherwise, which cannot serve two accounts. */
export function createSdk(basePath: string, timeoutMs: number): Sdk {
  const ApiClient = require(SDK) as new () => Sdk;
  const sdk = new ApiClient();
  sdk.basePath = basePath;
  sdk.timeout = timeoutMs;
  return sdk;
}

/** Runs one call of the SDK. Rejects with `CallEnded` at the signal, and then the connection is closed. */
export async function underControl<T>(agent: http.Agent, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  const own: Control = { agent, request: undefined };
  let end = (): void => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    end = () => {
      // superagent never calls back after an abort, hence the race.
      own.request?.abort();
      reject(new CallEnded());
    };
  });
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) end();
    return await Promise.race([control.run(own, run), ended]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}
