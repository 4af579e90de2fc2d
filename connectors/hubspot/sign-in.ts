/**
 * Signing in to HubSpot: by the token of a private app, which lasts until somebody changes it, or by OAuth (developers.hubspot.com, "Manage OAuth
 * access tokens with the 2026-03 API"): access tokens live 30 minutes, refresh tokens do not rotate, parameters go in the body. The v1 endpoint ends
 * on 2027-02-16.
 */
import type { TokenStore } from '../kit/connector.ts';
import type { Outbound } from '../kit/outbound.ts';
import { createTokens, refreshed, requestTokens } from '../kit/tokens.ts';
import type { Tokens } from '../kit/tokens.ts';

const TOKEN_PATH = '/oauth/2026-03/token';

export interface SignIn {
  grant: 'private_app' | 'refresh_token';
  account: string;
  store: TokenStore;
  timeoutMs: number;
  baseUrl: string;
  /** `token`, or `clientId`, `clientSecret`, `refreshToken`. */
  secret: (name: string) => Promise<string>;
  outbound: Outbound;
}

export function signIn({ grant, account, store, timeoutMs, baseUrl, secret, outbound }: SignIn): Tokens {
  if (grant === 'private_app') {
    return {
      get: () => secret('token'),
      refused: () => ({ kind: 'unauthorised', code: 'token_refused' }),
      accepted: () => undefined,
    };
  }
  return createTokens({
    account,
    store,
    timeoutMs,
    async renewed(saved, signal) {
      const [client_id, client_secret, configured] = await Promise.all(
        ['clientId', 'clientSecret', 'refreshToken'].map(secret),
      );
      const client = { client_id: client_id ?? '', client_secret: client_secret ?? '' };
      // The configured one first: it does not rotate, and whoever connects the app anew puts the new one there.
      return refreshed([configured, saved?.refreshToken], (refresh_token) =>
        requestTokens({
          url: `${baseUrl}${TOKEN_PATH}`,
          outbound,
          form: { grant_type: 'refresh_token', ...client, refresh_token },
          signal,
        }),
      );
    },
  });
}
