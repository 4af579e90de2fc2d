/** What the conformance suite needs to know of one vendor: how to wire it, and how to look past the connector. */
import { randomUUID } from 'node:crypto';
import { connectorModule } from '../../connectors/registry.ts';
import type { Connector, Gate, Item, LimitReading, SavedTokens } from '../../connectors/kit/connector.ts';
import type { Presence, Want } from '../../domain/want.ts';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';
import { loadVendor } from '../../sandboxes/main.ts';

/** Facts of one vendor; the suite has no `if` by name. */
export interface Facts {
  vendor: 'hubspot' | 'mailchimp' | 'xero';
  /** How it signs in, where there are several ways. */
  by?: string;
  /** Path of the token endpoint, where access tokens end after 30 minutes. */
  tokens?: string;
  settings: Record<string, unknown>;
  secrets: Record<string, string>;
  fields: { given: string; family: string; email: string | null };
  /** Target of the newsletter; null where no consent is held. */
  consentTarget: string | null;
  /** Requests that create a record, and one that reads. */
  creates: { method: string; path: string };
  updates: { method: string; path: string };
  reads: { method: string; path: string };
  /** A record of somebody whom the record does not know. */
  stranger: (n: number) => Record<string, unknown>;
  /** A change at the vendor by the person: they unsubscribe. */
  unsubscribes: Record<string, unknown> | null;
  /** Of a record as the vendor holds it. */
  family: (record: VendorRecord) => string | undefined;
  consent: (record: VendorRecord) => string | undefined;
  isGone: (record: VendorRecord | null) => boolean;
  /** Its `deliver` is a call or two, so that nobody is left when it is hurried. */
  isShort?: boolean;
}

export type VendorRecord = Record<string, unknown>;

export interface Bench {
  facts: Facts;
  connector: Connector;
  sandbox: Sandbox;
  gate: Gate & { calls: string[]; readings: LimitReading[] };
  control(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Everything the vendor holds. */
  all(): Promise<VendorRecord[]>;
  held(id: string): Promise<VendorRecord | null>;
  /** Scripts one fault and gives how often it fired. */
  fault(
    name: string,
    match: { method?: string; path: string },
    params?: Record<string, unknown>,
    count?: number,
  ): Promise<() => Promise<number>>;
  close(): Promise<void>;
}

const CALL_TIMEOUT_MS = 700;

export async function startBench(facts: Facts): Promise<Bench> {
  const module = await loadVendor(facts.vendor);
  if (module === undefined) throw new Error(`no sandbox ${facts.vendor}`);
  const sandbox = await startSandbox({
    module,
    port: 0,
    controlPort: 0,
    settings: { latencyMs: 0, limits: false, searchLagMs: 0 },
  });
  let saved: SavedTokens | null = null;
  const connectors = await connectorModule(facts.vendor);
  const { given, family, email } = facts.fields;
  const connector = connectors.create({
    system: 'conformance',
    baseUrl: sandbox.url,
    settings: facts.settings,
    secret: (name) => Promise.resolve(facts.secrets[name] ?? ''),
    fields: [given, family, ...(email === null ? [] : [email])].map((target) => ({
      target,
      kind: target === email ? 'email' : 'text',
    })),
    consentTargets: facts.consentTarget === null ? [] : [facts.consentTarget],
    callTimeoutMs: CALL_TIMEOUT_MS,
    tokens: {
      load: () => Promise.resolve(saved),
      exclusively: async (_account, fn) => (saved = await fn(saved)),
    },
  });
  const control: Bench['control'] = async (method, path, body) => {
    const answer = await fetch(sandbox.controlUrl + path, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(`control ${method} ${path}: ${answer.status} ${await answer.text()}`);
    const text = await answer.text();
    return text === '' ? null : JSON.parse(text);
  };
  const calls: string[] = [];
  const readings: LimitReading[] = [];
  return {
    facts,
    connector,
    sandbox,
    gate: {
      calls,
      readings,
      concurrency: 4,
      isHurried: false,
      call: (name, fn) => {
        calls.push(name);
        return fn(AbortSignal.timeout(CALL_TIMEOUT_MS));
      },
      observe: (reading) => void readings.push(reading),
    },
    control,
    all: async () => ((await control('GET', '/records?offset=0&limit=10000')) as { records: VendorRecord[] }).records,
    held: async (id) => (await control('GET', `/records/${encodeURIComponent(id)}`)) as VendorRecord | null,
    async fault(name, match, params = {}, count = 1) {
      const made = (await control('POST', '/faults', { name, match, params, count })) as { id: string };
      return async () => {
        const now = (await control('GET', '/faults')) as { faults: { id: string; fired: number }[] };
        return now.faults.find((f) => f.id === made.id)?.fired ?? 0;
      };
    },
    async close() {
      connector.close();
      await sandbox.close();
    },
  };
}

export interface PersonOptions {
  presence?: Presence;
  ids?: string[];
  consent?: 'subscribed' | 'unsubscribed' | 'untouched';
  known?: Item['known'];
  lookFirst?: boolean;
  family?: string;
  email?: string;
  reference?: string;
  parts?: Item['parts'];
}

let people = 0;

/** An item of a made-up person. Names and addresses are recognisable, to look for them where they must not be. */
export function person(facts: Facts, options: PersonOptions = {}): Item {
  people += 1;
  const given = 'Zaphira';
  const family = options.family ?? `Quenthor${people}`;
  const email = options.email ?? `zaphira.quenthor${people}@example.com`;
  const presence = options.presence ?? 'present';
  const there = presence === 'present' || presence === 'if_there';
  const want: Want = {
    presence,
    key: there ? email : null,
    fields: there
      ? {
          [facts.fields.given]: given,
          [facts.fields.family]: family,
          ...(facts.fields.email === null ? {} : { [facts.fields.email]: email }),
        }
      : {},
    consents:
      facts.consentTarget === null || !there
        ? {}
        : {
            [facts.consentTarget]:
              (options.consent ?? 'subscribed') === 'subscribed'
                ? { state: 'subscribed', evidence: '41' }
                : { state: options.consent === 'untouched' ? 'untouched' : 'unsubscribed' },
          },
  };
  return {
    reference: options.reference ?? randomUUID(),
    externalIds: options.ids ?? [],
    want,
    known: options.known ?? null,
    parts: options.parts ?? { data: true, consent: true },
    lookFirst: options.lookFirst ?? false,
    identity: { addresses: [email], names: [`${given} ${family}`] },
  };
}
