/** A Xero connector on a sandbox of its own, with an open gate and tokens kept in memory. */
import { create } from '../../connectors/xero/index.ts';
import type { Connector, Gate, Item, LimitReading, SavedTokens, TokenStore } from '../../connectors/kit/connector.ts';
import type { Want } from '../../domain/want.ts';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';
import * as xero from '../../sandboxes/xero/index.ts';

export const TENANT = xero.defaultSettings.tenantId;

export const FIELDS = [
  { target: 'Name', kind: 'text' },
  { target: 'FirstName', kind: 'text' },
  { target: 'LastName', kind: 'text' },
  { target: 'EmailAddress', kind: 'email' },
  { target: 'Phones.DEFAULT', kind: 'phone' },
  { target: 'Addresses.STREET.AddressLine1', kind: 'text' },
  { target: 'Addresses.STREET.City', kind: 'text' },
  { target: 'Addresses.STREET.Country', kind: 'caseless' },
];

export interface Rig {
  sandbox: Sandbox;
  connector: Connector;
  gate: Gate & { calls: string[]; readings: LimitReading[] };
  store: MemoryTokens;
  /** A second connector, as another process would have it. */
  another(settings?: Record<string, unknown>, store?: TokenStore): Connector;
  control<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>;
  seed(...records: Record<string, unknown>[]): Promise<string[]>;
  held(id: string): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

/** Keeps tokens like the real store: one refresh at a time, saved only when `fn` has come back. */
export class MemoryTokens implements TokenStore {
  saved: SavedTokens | null = null;
  /** Makes the next save fail, as a process that dies before it. */
  dieBeforeSave = false;
  #last: Promise<unknown> = Promise.resolve();

  load(): Promise<SavedTokens | null> {
    return Promise.resolve(this.saved);
  }
  exclusively(_account: string, fn: (saved: SavedTokens | null) => Promise<SavedTokens>): Promise<SavedTokens> {
    const run = this.#last.then(async () => {
      const next = await fn(this.saved);
      if (this.dieBeforeSave) {
        this.dieBeforeSave = false;
        throw new Error('killed before the save');
      }
      this.saved = next;
      return next;
    });
    this.#last = run.catch(() => undefined);
    return run;
  }
}

export function openGate(): Rig['gate'] {
  const calls: string[] = [];
  const readings: LimitReading[] = [];
  return {
    calls,
    readings,
    concurrency: 5,
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
  const sandbox = await startSandbox({
    module: xero,
    port: 0,
    controlPort: 0,
    settings: { latencyMs: 0, limits: false },
  });
  const store = new MemoryTokens();
  const another: Rig['another'] = (settings = { tenantId: TENANT }, tokens = store) =>
    create({
      system: 'xero-test',
      baseUrl: sandbox.url,
      settings,
      secret: (name) => Promise.resolve(SECRETS[name] ?? ''),
      fields: FIELDS,
      consentTargets: [],
      callTimeoutMs: 2000,
      tokens,
    });
  const connector = another();
  const control: Rig['control'] = async (method, path, body) => {
    const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    return (await (await fetch(sandbox.controlUrl + path, init)).json()) as never;
  };
  return {
    sandbox,
    connector,
    gate: openGate(),
    store,
    another,
    control,
    seed: async (...records) => (await control<{ ids: string[] }>('POST', '/records', records)).ids,
    held: (id) => control('GET', `/records/${id}`),
    close: async () => {
      connector.close();
      await sandbox.close();
    },
  };
}

const SECRETS: Record<string, string> = {
  clientId: xero.defaultSettings.clientId,
  clientSecret: xero.defaultSettings.clientSecret,
  refreshToken: xero.defaultSettings.refreshToken,
};

/** An item of a person of that name; `over` replaces parts of it. */
export function itemOf(
  reference: string,
  name: string,
  over: { presence?: Want['presence']; fields?: Record<string, string> } & Partial<Omit<Item, 'want'>> = {},
): Item {
  const { presence = 'present', fields = {}, ...rest } = over;
  const [FirstName = '', LastName = ''] = name.split(' ');
  const address = `${name.toLowerCase().replaceAll(' ', '.')}@example.com`;
  const isThere = presence === 'present' || presence === 'if_there';
  const own = { Name: name, FirstName, LastName, EmailAddress: address, ...fields };
  return {
    reference,
    externalIds: [],
    want: {
      presence,
      key: isThere ? own.EmailAddress : null,
      fields: isThere ? own : {},
      consents: {},
    },
    known: null,
    parts: { data: true, consent: false },
    lookFirst: false,
    identity: { addresses: [address], names: [name] },
    ...rest,
  };
}
