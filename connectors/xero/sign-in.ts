/**
 * Signing in to Xero (developer.xero.com, "OAuth 2.0", "Custom connections"): access tokens live 30 minutes. A refresh token is good for one
 * refresh and goes on working for 30 minutes after it; a custom connection has none and signs in by its client alone.
 */
import { ConnectorStop } from '../kit/connector.ts';
import type { TokenStore } from '../kit/connector.ts';
import type { Outbound } from '../kit/outbound.ts';
import { createTokens, refreshed, requestTokens, savedOf } from '../kit/tokens.ts';
import type { Tokens } from '../kit/tokens.ts';

export interface SignIn {
  account: string;
  store: TokenStore;
  timeoutMs: number;
  issuer: string;
  grant: 'refresh_token' | 'client_credentials';
  scope: string;
  /** `clientId`, `clientSecret`, `refreshToken`. */
  secret: (name: string) => Promise<string>;
  outbound: Outbound;
}

export function signIn({ account, store, timeoutMs, issuer, grant, scope, secret, outbound }: SignIn): Tokens {
  async function ask(form: Record<string, string>, signal: AbortSignal): ReturnType<typeof requestTokens> {
    const [id, word] = await Promise.all([secret('clientId'), secret('clientSecret')]);
    const authorization = `Basic ${Buffer.from(`${id}:${word}`).toString('base64')}`;
    return requestTokens({ url: `${issuer}/connect/token`, outbound, form, headers: { authorization }, signal });
  }

  return createTokens({
    account,
    store,
    timeoutMs,
    async renewed(saved, signal) {
      if (grant === 'client_credentials') {
        const granted = await ask({ grant_type: 'client_credentials', scope }, signal);
        if (granted === 'invalid_grant') throw new ConnectorStop({ kind: 'unauthorised', code: 'grant_refused' });
        return savedOf(granted, '', null);
      }
      const candidates = [saved?.refreshToken, saved?.previousRefreshToken, await secret('refreshToken')];
      return refreshed(candidates, (token) => ask({ grant_type: 'refresh_token', refresh_token: token }, signal));
    },
  });
}
