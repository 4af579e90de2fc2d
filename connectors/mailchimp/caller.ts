/** One call of the SDK: key, gate, control, and what its answer means. */
import type { Outcome } from '../../domain/outcome.ts';
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate } from '../kit/connector.ts';
import { createOutbound, SDK_FIRST_MS } from '../kit/outbound.ts';
import { asObject, failureOf } from './answers.ts';
import { faultOf, isProblem } from './faults.ts';
import type { Effect, Failure } from './faults.ts';
import { limitReading } from './limits.ts';
import { createSdk, underControl } from './transport.ts';
import type { Sdk, SdkAnswer } from './transport.ts';

export interface ClientSetup {
  /** With `/3.0`; undefined: Mailchimp's own, of the data centre at the end of the key. */
  basePath: string | undefined;
  server: string | undefined;
  list: string;
  apiKey: () => Promise<string>;
  timeoutMs: number;
  concurrency: number;
  privateAddresses: boolean;
  skipMergeValidation: boolean;
}

export type Called<T> =
  | { kind: 'ok'; value: T }
  /** No such member in an audience that is there. */
  | { kind: 'not_found' }
  | { kind: 'outcome'; outcome: Outcome };

/** `refused_whole`: the schema refused a bulk call for what is in it. */
export type Answered<T> = Called<T> | { kind: 'refused_whole' };

/** A call as the endpoints describe it. */
export interface Call<T> {
  name: string;
  effect: Effect;
  run: (sdk: Sdk) => Promise<SdkAnswer>;
  /** Undefined: not what was asked for. */
  read: (data: unknown, status: number) => T | undefined;
  /** What was sent: kept out of messages. */
  sent?: readonly string[];
}

export interface Caller {
  called<T>(call: Call<T>, gate: Gate): Promise<Answered<T>>;
  /** Of a member: a 404 is checked to be the member's and not the audience's. */
  ofMember<T>(call: Call<T>, gate: Gate): Promise<Called<T>>;
  hasList(gate: Gate): Promise<boolean>;
  close(): void;
}

const OWN_HOST = /^[a-z]{2,3}\d{1,3}\.api\.mailchimp\.com$/;
const PROOF_LASTS_MS = 60_000;

export function createCaller(setup: ClientSetup): Caller {
  const { list } = setup;
  const sdks = new Map<string, Sdk>();
  const outbound = createOutbound({
    urls: setup.basePath === undefined ? [] : [setup.basePath],
    // Of which data centre, the key says; it may change with the key.
    ...(setup.basePath === undefined ? { isHost: (host) => OWN_HOST.test(host) } : {}),
    privateAddresses: setup.privateAddresses,
    maxSockets: setup.concurrency,
    timeoutMs: setup.timeoutMs + SDK_FIRST_MS,
  });
  const agent = outbound.agent(setup.basePath ?? 'https:');
  /** Until when an answer of the audience itself proves that a 404 means the member. */
  let listProvenUntilMs = 0;

  async function sdkNow(): Promise<Sdk> {
    const apiKey = await setup.apiKey();
    const basePath = setup.basePath ?? `https://${dataCentre(setup.server, apiKey)}.api.mailchimp.com/3.0`;
    let sdk = sdks.get(basePath);
    if (sdk === undefined) sdks.set(basePath, (sdk = createSdk(basePath, setup.timeoutMs)));
    // The SDK replaces the first 'server' in a URL by this; by itself it stays what it is.
    sdk.setConfig({ apiKey, server: 'server' });
    return sdk;
  }

  async function called<T>(call: Call<T>, gate: Gate): Promise<Answered<T>> {
    const { name, effect, run, read, sent = [] } = call;
    let sdk: Sdk;
    try {
      sdk = await sdkNow();
    } catch (error) {
      return { kind: 'outcome', outcome: stopOutcome(error) };
    }
    const failure = await gate.call(name, async (signal): Promise<Failure | { value: T }> => {
      let failed: Failure;
      try {
        const { data, response } = await underControl(agent, signal, () => run(sdk));
        const value = read(data, response.status);
        if (value !== undefined) return { value };
        failed = { status: response.status, code: '', body: undefined, headers: response.headers };
      } catch (error) {
        failed = failureOf(error);
      }
      const reading = limitReading(failed.status, isProblem(failed.body), failed.headers);
      if (reading !== undefined) gate.observe(reading);
      return failed;
    });
    if ('value' in failure) {
      listProvenUntilMs = Date.now() + PROOF_LASTS_MS;
      return { kind: 'ok', value: failure.value };
    }
    return faultOf(failure, effect, sent);
  }

  /** A 404 of a member: is it the audience that is gone? */
  async function ofMember<T>(call: Call<T>, gate: Gate): Promise<Called<T>> {
    const known = withoutWhole(await called(call, gate));
    if (known.kind !== 'not_found' || Date.now() < listProvenUntilMs) return known;
    try {
      return (await hasList(gate)) ? known : { kind: 'outcome', outcome: LIST_GONE };
    } catch (error) {
      return { kind: 'outcome', outcome: stopOutcome(error) };
    }
  }

  async function hasList(gate: Gate): Promise<boolean> {
    const run = (sdk: Sdk): Promise<SdkAnswer> => sdk.lists.getListWithHttpInfo(list, { fields: ['id'] });
    const result = await called({ name: 'lists.get', effect: 'read', run, read: asObject }, gate);
    if (result.kind === 'ok') return true;
    if (result.kind === 'not_found') return false;
    throw new ConnectorStop(outcomeOf(result));
  }

  return { called, ofMember, hasList, close: () => outbound.close() };
}

const LIST_GONE: Outcome = { kind: 'unauthorised', code: 'list_not_found' };

/** The data centre is part of a host name: nothing else may come in by the key. */
function dataCentre(server: string | undefined, apiKey: string): string {
  const found = server ?? /-([a-z]{2,3}\d{1,3})$/.exec(apiKey)?.[1];
  if (found === undefined) {
    throw new ConnectorStop({ kind: 'unauthorised', code: 'no_data_centre' });
  }
  return found;
}

/** @throws what is no stop */
function stopOutcome(error: unknown): Outcome {
  if (error instanceof ConnectorStop) return error.outcome;
  throw error;
}

/** A 404 of the audience itself, or of something in it that is always there. */
export function ofList<T>(result: Answered<T>): Called<T> {
  const known = withoutWhole(result);
  return known.kind === 'not_found' ? { kind: 'outcome', outcome: LIST_GONE } : known;
}

function withoutWhole<T>(result: Answered<T>): Called<T> {
  return result.kind === 'refused_whole'
    ? { kind: 'outcome', outcome: { kind: 'unclassified', code: 'refused_whole' } }
    : (result as Called<T>);
}

export function outcomeOf(
  result: { kind: 'not_found' | 'refused_whole' } | { kind: 'outcome'; outcome: Outcome },
): Outcome {
  return result.kind === 'outcome' ? result.outcome : { kind: 'unclassified', code: result.kind };
}
