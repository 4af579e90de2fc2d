/** A Mailchimp connector on a sandbox of its own, with an open gate. */
import { createHash } from 'node:crypto';
import { create } from '../../connectors/mailchimp/index.ts';
import type { Connector, Gate, Item, LimitReading, ObservedConsent } from '../../connectors/kit/connector.ts';
import type { ConsentWant, Want } from '../../domain/want.ts';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';
import * as mailchimp from '../../sandboxes/mailchimp/index.ts';

export const LIST = 'aud-main';

export const FIELDS = [
  { target: 'FNAME', kind: 'text' },
  { target: 'LNAME', kind: 'text' },
  { target: 'ADDRESS.addr1', kind: 'text' },
  { target: 'ADDRESS.city', kind: 'text' },
  { target: 'ADDRESS.zip', kind: 'text' },
  { target: 'ADDRESS.country', kind: 'text' },
];

export interface Rig {
  sandbox: Sandbox;
  connector: Connector;
  gate: Gate & { calls: string[]; readings: LimitReading[] };
  /** A second connector, as another process would have it. */
  another(over?: {
    baseUrl?: string;
    list?: string;
    apiKey?: string;
    settings?: Record<string, unknown>;
    timeoutMs?: number;
  }): Connector;
  control<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>;
  seed(...records: Record<string, unknown>[]): Promise<string[]>;
  held(id: string): Promise<Record<string, unknown>>;
  reset(): Promise<void>;
  close(): Promise<void>;
}

export function openGate(concurrency = 9): Rig['gate'] {
  const calls: string[] = [];
  const readings: LimitReading[] = [];
  return {
    calls,
    readings,
    concurrency,
    isHurried: false,
    call: (name, fn) => {
      calls.push(name);
      return fn(new AbortController().signal);
    },
    observe: (reading) => {
      readings.push(reading);
    },
  };
}

export async function startRig(): Promise<Rig> {
  const settings = { latencyMs: 0, limits: true };
  const sandbox = await startSandbox({ module: mailchimp, port: 0, controlPort: 0, settings });
  const another: Rig['another'] = (over = {}) =>
    create({
      system: 'mailchimp-test',
      baseUrl: over.baseUrl ?? sandbox.url,
      settings: { list: over.list ?? LIST, server: 'us1', ...over.settings },
      secret: () => Promise.resolve(over.apiKey ?? 'sandbox-mailchimp-key-us1'),
      fields: FIELDS,
      consentTargets: ['status'],
      callTimeoutMs: over.timeoutMs ?? 2000,
      tokens: {
        load: () => Promise.resolve(null),
        exclusively: () => Promise.reject(new Error('Mailchimp has no rotating tokens')),
      },
    });
  const connector = another();
  const control: Rig['control'] = async (method, path, body) => {
    const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    return (await (await fetch(sandbox.controlUrl + path, init)).json()) as never;
  };
  const initial = structuredClone(mailchimp.defaultSettings);
  const gate = openGate();
  return {
    sandbox,
    connector,
    gate,
    another,
    control,
    seed: async (...records) => (await control<{ ids: string[] }>('POST', '/records', records)).ids,
    held: (id) => control('GET', `/records/${id}`),
    reset: async () => {
      await control('POST', '/reset');
      Object.assign(sandbox.settings, structuredClone(initial), { latencyMs: 0, limits: true, clockOffsetMs: 0 });
      await connector.check(gate);
      await control('POST', '/journal/clear');
      gate.calls.length = 0;
      gate.readings.length = 0;
    },
    close: async () => {
      connector.close();
      await sandbox.close();
    },
  };
}

export const hash = (email: string): string => createHash('md5').update(email.toLowerCase()).digest('hex');

interface Over extends Partial<Omit<Item, 'want' | 'known'>> {
  presence?: Want['presence'];
  key?: string | null;
  fields?: Record<string, string>;
  consent?: ConsentWant['state'];
  known?: { key: string | null; status?: ObservedConsent } | null;
}

/** An item of a person of that name; `over` replaces parts of it. */
export function itemOf(reference: string, name: string, over: Over = {}): Item {
  const { presence = 'present', fields = {}, consent, known = null, key, ...rest } = over;
  const [FNAME = '', LNAME = ''] = name.split(' ');
  const address = `${name.toLowerCase().replaceAll(' ', '.')}@example.com`;
  const isThere = presence === 'present' || presence === 'if_there';
  const want: ConsentWant | undefined =
    consent === undefined
      ? undefined
      : consent === 'subscribed'
        ? { state: consent, evidence: '7' }
        : { state: consent };
  return {
    reference,
    externalIds: [],
    want: {
      presence,
      key: key === undefined ? (isThere ? address : null) : key,
      fields: isThere ? { FNAME, LNAME, ...fields } : {},
      consents: want === undefined ? {} : { status: want },
    },
    known:
      known === null ? null : { key: known.key, consents: known.status === undefined ? {} : { status: known.status } },
    parts: { data: true, consent: consent !== undefined },
    lookFirst: false,
    identity: { addresses: [address], names: [name] },
    ...rest,
  };
}
