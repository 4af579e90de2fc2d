/**
 * Access tokens from Xero's identity server (developer.xero.com, "OAuth 2.0"): they live 30 minutes; a refresh token is good for
 * one refresh and goes on working for 30 minutes after it. So the order is: under the account's lock, refresh with the newest
 * saved token, save what came back. A process that dies between the two leaves the used token saved, which the grace period
 * covers; a database restored from a backup is covered by the previous one, a new sign-in by the configured one.
 */
import type { Outcome } from '../../domain/outcome.ts';
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate, SavedTokens, TokenStore } from '../kit/connector.ts';
import type { Outbound } from '../kit/outbound.ts';
import { send } from '../kit/request.ts';
import { retryAfterMs } from './limits.ts';

/** Refreshed this long before the end, so that no call starts with a token that ends under way. */
const MARGIN_MS = 120_000;

export interface TokenSetup {
  account: string;
  store: TokenStore;
  issuer: string;
  grant: 'refresh_token' | 'client_credentials';
  scope: string;
  /** `clientId`, `clientSecret`, `refreshToken`. */
  secret: (name: string) => Promise<string>;
  outbound: Outbound;
}

export interface Tokens {
  /** A token that is good for the next minutes. @throws ConnectorStop when none can be had. */
  get(gate: Gate): Promise<string>;
  /** Xero refused this token: the next `get` fetches another. Gives what became of the call that carried it. */
  refused(token: string): Outcome;
  /** Xero took a token. */
  accepted(): void;
}

interface Granted {
  access_token: string;
  expires_in: number;
  refresh_token?: string;
}

export function createTokens(setup: TokenSetup): Tokens {
  let current: SavedTokens | null = null;
  let refusedToken: string | undefined;
  let refusedInARow = 0;
  let underWay: Promise<string> | undefined;

  const usable = (saved: SavedTokens | null): string | undefined => {
    if (saved === null || saved.accessToken === null || saved.accessExpiresAt === null) return undefined;
    const fresh = Date.parse(saved.accessExpiresAt) - MARGIN_MS > Date.now();
    return fresh && saved.accessToken !== refusedToken ? saved.accessToken : undefined;
  };

  async function renew(gate: Gate): Promise<string> {
    current = await setup.store.load(setup.account);
    const saved = usable(current);
    if (saved !== undefined) return saved;
    // The slot before the lock, never the other way round: nobody waits for a slot while others wait for the lock.
    current = await gate.call('identity.token', (signal) =>
      setup.store.exclusively(setup.account, async (newest) =>
        newest !== null && usable(newest) !== undefined ? newest : await fetchTokens(setup, newest, signal),
      ),
    );
    const token = current.accessToken;
    if (token === null) throw new ConnectorStop({ kind: 'unauthorised', code: 'no_token' });
    return token;
  }

  return {
    get: (gate) => {
      const token = usable(current);
      if (token !== undefined) return Promise.resolve(token);
      underWay ??= renew(gate).finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
    refused: (token) => {
      if (token !== refusedToken) refusedInARow += 1;
      refusedToken = token;
      // A token fetched because the last one was refused is refused as well: waiting will not help.
      return refusedInARow > 1
        ? { kind: 'unauthorised', code: 'token_refused' }
        : { kind: 'retry', code: 'token_renewed', afterMs: 0 };
    },
    accepted: () => {
      refusedInARow = 0;
    },
  };
}

/** New tokens: by the newest refresh token that Xero still takes. @throws ConnectorStop */
async function fetchTokens(setup: TokenSetup, saved: SavedTokens | null, signal: AbortSignal): Promise<SavedTokens> {
  if (setup.grant === 'client_credentials') {
    const granted = await ask(setup, { grant_type: 'client_credentials', scope: setup.scope }, signal);
    if (granted === 'invalid_grant') throw new ConnectorStop({ kind: 'unauthorised', code: 'grant_refused' });
    return savedOf(granted, '', null);
  }
  const configured = await setup.secret('refreshToken');
  const candidates = new Set([saved?.refreshToken, saved?.previousRefreshToken, configured]);
  for (const refreshToken of candidates) {
    if (refreshToken === undefined || refreshToken === null || refreshToken === '') continue;
    const granted = await ask(setup, { grant_type: 'refresh_token', refresh_token: refreshToken }, signal);
    if (granted !== 'invalid_grant') return savedOf(granted, granted.refresh_token ?? refreshToken, refreshToken);
  }
  throw new ConnectorStop({ kind: 'unauthorised', code: 'refresh_token_refused' });
}

function savedOf(granted: Granted, refreshToken: string, previous: string | null): SavedTokens {
  return {
    accessToken: granted.access_token,
    accessExpiresAt: new Date(Date.now() + granted.expires_in * 1000).toISOString(),
    refreshToken,
    previousRefreshToken: previous,
  };
}

/** One request to the token endpoint (RFC 6749, sections 5 and 6). @throws ConnectorStop, without any token in it */
async function ask(
  setup: TokenSetup,
  form: Record<string, string>,
  signal: AbortSignal,
): Promise<Granted | 'invalid_grant'> {
  const [id, secret] = await Promise.all([setup.secret('clientId'), setup.secret('clientSecret')]);
  let status: number;
  let afterMs: number | undefined;
  let body: Record<string, unknown>;
  try {
    const response = await send(setup.outbound, `${setup.issuer}/connect/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded;charset=UTF-8',
      },
      body: new URLSearchParams(form).toString(),
      signal,
    });
    status = response.status;
    afterMs = retryAfterMs(Object.fromEntries(response.headers));
    const parsed: unknown = await response.json().catch(() => ({}));
    body = typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    // The refresh may have happened; the used token works for the grace period, so asking again is safe.
    throw new ConnectorStop({ kind: 'retry', code: 'token_no_answer' });
  }
  if (status === 200 && typeof body['access_token'] === 'string' && typeof body['expires_in'] === 'number') {
    return body as unknown as Granted;
  }
  if (status === 400 && body['error'] === 'invalid_grant') return 'invalid_grant';
  if ((status === 400 || status === 401) && typeof body['error'] === 'string') {
    throw new ConnectorStop({ kind: 'unauthorised', code: 'client_refused' });
  }
  const wait = afterMs === undefined ? {} : { afterMs };
  throw new ConnectorStop({ kind: 'retry', code: `token_status_${status}`, ...wait });
}
