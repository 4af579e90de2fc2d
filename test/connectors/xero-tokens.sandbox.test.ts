/** Rotating refresh tokens: refreshed once, never lost. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createOutbound } from '../../connectors/kit/outbound.ts';
import { ConnectorStop } from '../../connectors/kit/connector.ts';
import type { Tokens } from '../../connectors/kit/tokens.ts';
import { signIn } from '../../connectors/xero/sign-in.ts';
import * as xero from '../../sandboxes/xero/index.ts';
import { MemoryTokens, openGate, startRig } from './xero-rig.ts';
import type { Rig } from './xero-rig.ts';

const MINUTE_MS = 60_000;
let rig: Rig;
let store: MemoryTokens;

beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());
beforeEach(async () => {
  rig.sandbox.settings.clockOffsetMs = 0;
  await rig.control('POST', '/reset');
  store = new MemoryTokens();
});

/** A process of its own. */
function tokens(refreshToken: string = xero.defaultSettings.refreshToken): Tokens {
  const secrets: Record<string, string> = { ...xero.defaultSettings, refreshToken } as never;
  return signIn({
    account: 'xero:test',
    store,
    timeoutMs: 2_000,
    issuer: rig.sandbox.url,
    grant: 'refresh_token',
    scope: '',
    secret: (name) => Promise.resolve(secrets[name]!),
    outbound: createOutbound({ urls: [rig.sandbox.url], maxSockets: 5, timeoutMs: 2000 }),
  });
}
const refreshes = async () =>
  (await rig.control<{ calls: Record<string, number> }>('GET', '/counters')).calls['POST /connect/token'];
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: unknown) => (error instanceof ConnectorStop ? error.outcome : error));

test('two processes and many calls at once refresh once', async () => {
  const [a, b] = [tokens(), tokens()];
  const got = await Promise.all([a, b, a, b, a].map((each) => each.get()));
  expect(new Set(got).size).toBe(1);
  expect(await refreshes()).toBe(1);
});

test('a process that dies between the answer and the save loses nothing', async () => {
  store.dieBeforeSave = true;
  await expect(tokens().get()).rejects.toThrow('killed');
  expect(store.saved).toBeNull();
  rig.sandbox.settings.clockOffsetMs = 29 * MINUTE_MS;
  expect(await tokens().get()).toMatch(/^sandbox-xero-access/);
  expect(await refreshes()).toBe(2);
});

test('a saved token that is spent gives way to the one before, then to the configured one', async () => {
  await tokens().get();
  const before = store.saved!;
  store.saved = { ...before, accessToken: null, refreshToken: 'unknown', previousRefreshToken: before.refreshToken };
  expect(await tokens().get()).toBeTruthy();
  expect(store.saved.previousRefreshToken).toBe(before.refreshToken);
  const newest = store.saved;
  store.saved = { accessToken: null, accessExpiresAt: null, refreshToken: 'unknown', previousRefreshToken: 'as well' };
  expect(await tokens(newest.refreshToken).get()).toBeTruthy();
});

test('when none is taken any more, the lane is told so', async () => {
  const stopped = codeOf(tokens('never seen').get());
  expect(await stopped).toEqual({ kind: 'unauthorised', code: 'refresh_token_refused' });
});

test('an identity server that does not answer is a retry, and the next try goes on', async () => {
  await rig.control('POST', '/faults', { name: 'cut-after', match: { path: '/connect/token' } });
  const process = tokens();
  expect(await codeOf(process.get())).toEqual({ kind: 'retry', code: 'token_no_answer' });
  expect(await process.get()).toBeTruthy();
});

test('a refused token is renewed once; a second refusal in a row is a matter of credentials', async () => {
  const process = tokens();
  const first = await process.get();
  expect(process.refused(first)).toEqual({ kind: 'retry', code: 'token_renewed', afterMs: 0 });
  const second = await process.get();
  expect(second).not.toBe(first);
  expect(process.refused(second)).toEqual({ kind: 'unauthorised', code: 'token_refused' });
  process.accepted();
  expect(process.refused(await process.get()).kind).toBe('retry');
});

test('a custom connection has neither refresh token nor tenant', async () => {
  const connector = rig.another({ grant: 'client_credentials' }, store);
  expect(await connector.scan(undefined, openGate())).toEqual({ observations: [] });
  expect(store.saved).toMatchObject({ refreshToken: '' });
  connector.close();
});
