/** Tokens of vendor accounts over PostgreSQL: several processes, one refresh; what is stored cannot be read without the key. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openGate as engineGate } from '../../activities/gate.ts';
import { ConnectorStop } from '../../connectors/kit/connector.ts';
import { createOutbound } from '../../connectors/kit/outbound.ts';
import type { Tokens } from '../../connectors/kit/tokens.ts';
import { signIn as hubspotSignIn } from '../../connectors/hubspot/sign-in.ts';
import { signIn as xeroSignIn } from '../../connectors/xero/sign-in.ts';
import { startSandbox } from '../../sandboxes/kit/server.ts';
import type { Sandbox } from '../../sandboxes/kit/server.ts';
import * as hubspot from '../../sandboxes/hubspot/index.ts';
import * as xero from '../../sandboxes/xero/index.ts';
import { syncBudget } from '../../store/budgets.ts';
import { openDb, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { keyringFrom } from '../../store/keyring.ts';
import { migrate } from '../../store/migrate.ts';
import { tokenStore } from '../../store/vendor-tokens.ts';
import { createMeter, createRegistry } from '../../telemetry/metrics.ts';
import { accountUrl } from '../rig/accounts.ts';
import { createDatabase } from '../rig/database.ts';

const keyring = keyringFrom(Buffer.alloc(32, 5));
const pools: Db[] = [];
const sandboxes: Sandbox[] = [];
let owner: Db;
let workerUrl: string;

beforeAll(async () => {
  const database = await createDatabase();
  owner = openDb({ url: database.url, poolMax: 3, applicationName: 'plumbline-test' });
  pools.push(owner);
  await migrate(owner);
  workerUrl = await accountUrl(owner, database.url, 'worker');
});
beforeEach(async () => {
  await rows(owner, 'delete from vendor_tokens');
});
afterAll(async () => {
  await Promise.all(sandboxes.map((sandbox) => sandbox.close()));
  await Promise.all(pools.map((db) => db.destroy()));
});

async function sandboxOf(module: typeof hubspot | typeof xero): Promise<Sandbox> {
  // Slow enough that all are under way at once.
  const sandbox = await startSandbox({
    module: module as never,
    port: 0,
    controlPort: 0,
    settings: { latencyMs: 60, limits: false },
  });
  sandboxes.push(sandbox);
  return sandbox;
}

/** A process of its own: a pool and a memory. */
function processOf(sandbox: Sandbox, vendor: 'hubspot' | 'xero', secrets: Record<string, string> = {}): Tokens {
  const db = openDb({ url: workerUrl, poolMax: 3, applicationName: 'plumbline-test-worker' });
  pools.push(db);
  const { clientId, clientSecret, refreshTokens } = hubspot.defaultSettings.oauth;
  const own =
    vendor === 'hubspot'
      ? { clientId, clientSecret, refreshToken: refreshTokens[0] ?? '' }
      : {
          clientId: xero.defaultSettings.clientId,
          clientSecret: xero.defaultSettings.clientSecret,
          refreshToken: xero.defaultSettings.refreshToken,
        };
  const given: Record<string, string> = { ...own, ...secrets };
  const shared = {
    account: `${vendor}:test`,
    store: tokenStore(db, keyring),
    timeoutMs: 3_000,
    secret: (name: string) => Promise.resolve(given[name] ?? ''),
    outbound: createOutbound({ urls: [sandbox.url], maxSockets: 5, timeoutMs: 3_000 }),
  };
  return vendor === 'hubspot'
    ? hubspotSignIn({ ...shared, grant: 'refresh_token', baseUrl: sandbox.url })
    : xeroSignIn({ ...shared, grant: 'refresh_token', issuer: sandbox.url, scope: '' });
}

async function refreshes(sandbox: Sandbox): Promise<number> {
  const answer = await fetch(`${sandbox.controlUrl}/counters`);
  const { calls } = (await answer.json()) as { calls: Record<string, number> };
  return Object.entries(calls).reduce((sum, [route, n]) => (route.endsWith('/token') ? sum + n : sum), 0);
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => (error instanceof ConnectorStop ? error.outcome : error));
}

test.each([
  ['hubspot', hubspot],
  ['xero', xero],
] as const)(
  '%s: four processes with five calls each refresh once, and once more when the token is refused',
  async (vendor, module) => {
    const sandbox = await sandboxOf(module);
    const processes = Array.from({ length: 4 }, () => processOf(sandbox, vendor));
    const all = async (): Promise<Set<string>> =>
      new Set(await Promise.all(processes.flatMap((one) => Array.from({ length: 5 }, async () => one.get()))));
    const [first = ''] = await all();
    expect(first).not.toBe('');
    expect(await refreshes(sandbox)).toBe(1);
    expect(await all()).toEqual(new Set([first]));
    // Refused at the vendor before its time; every process hears it.
    for (const one of processes) expect(one.refused(first)).toMatchObject({ kind: 'retry', code: 'token_renewed' });
    const second = await all();
    expect(second.size).toBe(1);
    expect(second).not.toContain(first);
    expect(await refreshes(sandbox)).toBe(2);
    const stored = await rows<{ text: string }>(
      owner,
      `select account || encode(sealed, 'escape') as text from vendor_tokens`,
    );
    expect(stored).toHaveLength(1);
    expect(stored[0]?.text).not.toMatch(/sandbox-/);
  },
);

test('hubspot: the configured refresh token goes first, so that connecting the app anew needs no restart', async () => {
  const sandbox = await sandboxOf(hubspot);
  const secrets = { refreshToken: 'sandbox-hubspot-refresh' };
  const one = processOf(sandbox, 'hubspot', secrets);
  const token = await one.get();
  // The app is connected anew: the old refresh token and what came of it are void.
  (sandbox.settings['oauth'] as { refreshTokens: string[] }).refreshTokens = ['a-newer-one'];
  one.refused(token);
  expect(await codeOf(one.get())).toEqual({ kind: 'unauthorised', code: 'refresh_token_refused' });
  const other = processOf(sandbox, 'hubspot', { refreshToken: 'a-newer-one' });
  other.refused(token);
  expect(await other.get()).toMatch(/^sandbox-hubspot-access-/);
});

test.each([
  ['clientId', 'hubspot', hubspot],
  ['clientSecret', 'hubspot', hubspot],
  ['clientSecret', 'xero', xero],
] as const)('a wrong %s at %s is said as such, and no secret is in what is thrown', async (name, vendor, module) => {
  const sandbox = await sandboxOf(module);
  const thrown = await processOf(sandbox, vendor, { [name]: 'wrong-quagga' })
    .get()
    .catch((error: unknown) => error as Error);
  expect(thrown).toMatchObject({ outcome: { kind: 'unauthorised', code: 'client_refused' } });
  expect(JSON.stringify([String(thrown), (thrown as Error).stack, thrown])).not.toMatch(
    /quagga|sandbox-(?:hubspot|xero)-/,
  );
});

test('a renewal waits for no place of those who wait for it', async () => {
  const sandbox = await sandboxOf(xero);
  const tokens = processOf(sandbox, 'xero');
  await syncBudget(owner, 'xero:places', { concurrency: 5 });
  const meter = createMeter(createRegistry('worker'));
  const gates = Array.from({ length: 4 }, () =>
    engineGate({
      db: owner,
      account: 'xero:places',
      system: 'xero',
      meter,
      callClass: 'bulk',
      callTimeoutMs: 3_000,
      concurrency: 5,
      closing: new AbortController().signal,
      longestWaitMs: 5_000,
    }),
  );
  const ended = await tokens.get();
  // Bulk has three places of the five. The first batch is between two calls, the others hold a place before their first.
  for (const gate of gates.slice(0, 3)) await gate.prepay();
  await gates[0]!.call('contacts.update', async () => Promise.resolve());
  await gates[3]!.prepay();
  tokens.refused(ended);
  const got = await Promise.all(
    gates.map(async (gate) => {
      const token = await tokens.get();
      await gate.call('contacts.get', async () => Promise.resolve());
      return token;
    }),
  );
  expect(new Set(got).size).toBe(1);
  expect(got[0]).not.toBe(ended);
}, 10_000);
