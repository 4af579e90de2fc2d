/**
 * OAuth access tokens of one vendor account (RFC 6749), shared by all processes. The order is: under the account's lock, refresh with the newest
 * saved token, save what came back. So two workers never refresh at once, and where refresh tokens rotate none is lost: a process that dies
 * between the two leaves the used token saved, which the vendor's grace period covers; a database restored from a backup is covered by
 * the previous one, a new sign-in by the configured one.
 */
import type { Outcome } from '../../domain/outcome.ts';
import { ConnectorStop } from './connector.ts';
import type { SavedTokens, TokenStore } from './connector.ts';
import type { Outbound } from './outbound.ts';
import { send } from './request.ts';

/** Refreshed this long before the end, so that no call starts with a token that ends under way. */
const MARGIN_MS = 120_000;

export interface Tokens {
  /** A token that is good for the next minutes. @throws ConnectorStop when none can be had. */
  get(): Promise<string>;
  /** The vendor refused this token: the next `get` fetches another. Gives what became of the call that carried it. */
  refused(token: string): Outcome;
  /** The vendor took a token. */
  accepted(): void;
}

export interface TokenSetup {
  /** Key of the saved tokens. */
  account: string;
  store: TokenStore;
  /** Longest time that the vendor has to answer. */
  timeoutMs: number;
  /** Asks the vendor for new tokens, given the newest saved ones. @throws ConnectorStop */
  renewed: (saved: SavedTokens | null, signal: AbortSignal) => Promise<SavedTokens>;
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

  /**
   * Takes nothing of the account's budget, which counts the calls of its API and not those of its token endpoint: whoever waits for the token
   * may hold a place there already, and a renewal that waited for a place would wait for them for ever.
   */
  async function renew(): Promise<string> {
    current = await setup.store.load(setup.account);
    const saved = usable(current);
    if (saved !== undefined) return saved;
    current = await setup.store.exclusively(setup.account, async (newest) =>
      newest !== null && usable(newest) !== undefined
        ? newest
        : await setup.renewed(newest, AbortSignal.timeout(setup.timeoutMs)),
    );
    const token = current.accessToken;
    if (token === null) throw new ConnectorStop({ kind: 'unauthorised', code: 'no_token' });
    return token;
  }

  return {
    get: () => {
      const token = usable(current);
      if (token !== undefined) return Promise.resolve(token);
      underWay ??= renew().finally(() => {
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

/** What a token endpoint gives (RFC 6749 section 5.1). */
export interface Granted {
  access_token: string;
  /** Seconds. */
  expires_in: number;
  refresh_token?: string;
}

/** New tokens by the first of these refresh tokens that the vendor takes. @throws ConnectorStop refresh_token_refused */
export async function refreshed(
  candidates: readonly (string | null | undefined)[],
  ask: (refreshToken: string) => Promise<Granted | 'invalid_grant'>,
): Promise<SavedTokens> {
  for (const refreshToken of new Set(candidates)) {
    if (refreshToken === undefined || refreshToken === null || refreshToken === '') continue;
    const granted = await ask(refreshToken);
    if (granted !== 'invalid_grant') return savedOf(granted, granted.refresh_token ?? refreshToken, refreshToken);
  }
  throw new ConnectorStop({ kind: 'unauthorised', code: 'refresh_token_refused' });
}

export function savedOf(granted: Granted, refreshToken: string, previous: string | null): SavedTokens {
  return {
    accessToken: granted.access_token,
    accessExpiresAt: new Date(Date.now() + granted.expires_in * 1000).toISOString(),
    refreshToken,
    previousRefreshToken: previous,
  };
}

/** One request to a token endpoint. */
export interface TokenRequest {
  url: string;
  outbound: Outbound;
  form: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
  signal: AbortSignal;
}

/** Sends it. @throws ConnectorStop, without any token in it */
export async function requestTokens({
  url,
  outbound,
  form,
  headers,
  signal,
}: TokenRequest): Promise<Granted | 'invalid_grant'> {
  let response: Response;
  let body: Record<string, unknown>;
  try {
    response = await send(outbound, url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' },
      body: new URLSearchParams(form).toString(),
      signal,
    });
    const parsed: unknown = await response.json().catch(() => ({}));
    body = typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    // The refresh may have happened; the used token works for the grace period, so asking again is safe.
    throw new ConnectorStop({ kind: 'retry', code: 'token_no_answer' });
  }
  const { status } = response;
  if (status === 200 && typeof body['access_token'] === 'string' && typeof body['expires_in'] === 'number') {
    return body as unknown as Granted;
  }
  if (status === 400 && body['error'] === 'invalid_grant') return 'invalid_grant';
  if ((status === 400 || status === 401) && typeof body['error'] === 'string') {
    throw new ConnectorStop({ kind: 'unauthorised', code: 'client_refused' });
  }
  const seconds = /^\d{1,9}$/.exec(response.headers.get('retry-after') ?? '')?.[0];
  const wait = seconds === undefined ? {} : { afterMs: Number(seconds) * 1000 };
  throw new ConnectorStop({ kind: 'retry', code: `token_status_${status}`, ...wait });
}
