/**
 * HubSpot's token endpoint (developers.hubspot.com, "Manage OAuth access tokens with the 2026-03 API", "Standardized OAuth error responses"): access
 * tokens last 30 minutes, refresh tokens do not rotate. The v1 address answers in the same way until 2027-02-16.
 */
import { randomUUID } from 'node:crypto';
import type { Answer, VendorRequest } from '../kit/vendor.ts';
import type { Account } from './account.ts';

export const TOKEN_PATHS = ['/oauth/2026-03/token', '/oauth/v1/token'];

const ACCESS_TOKEN_SECONDS = 1800;
/** Expired ones are known for a day, so that the caller is told "expired" and not "unknown". */
const KNOWN_MS = 86_400_000;

interface App {
  clientId: string;
  clientSecret: string;
  refreshTokens: string[];
}

export function issueToken(account: Account, request: VendorRequest): Answer {
  const form = new URLSearchParams(request.body);
  const { clientId, clientSecret, refreshTokens } = account.host.settings['oauth'] as App;
  if (form.get('grant_type') !== 'refresh_token') {
    return refused('unsupported_grant_type', 'BAD_GRANT_TYPE', 'missing or unknown grant type');
  }
  if (form.get('client_id') !== clientId) {
    return refused('invalid_client', 'BAD_CLIENT_ID', 'missing or unknown client id');
  }
  if (form.get('client_secret') !== clientSecret) {
    return refused('invalid_client', 'BAD_CLIENT_SECRET', 'missing or invalid client secret');
  }
  const refreshToken = form.get('refresh_token') ?? '';
  if (!refreshTokens.includes(refreshToken)) {
    return refused('invalid_grant', 'BAD_REFRESH_TOKEN', 'refresh token is invalid, expired or revoked');
  }
  const { accessTokens } = account.state;
  for (const [token, expiresMs] of accessTokens) if (expiresMs < account.nowMs - KNOWN_MS) accessTokens.delete(token);
  const accessToken = `sandbox-hubspot-access-${randomUUID()}`;
  accessTokens.set(accessToken, account.nowMs + ACCESS_TOKEN_SECONDS * 1000);
  return {
    status: 200,
    effect: true,
    summary: 'token',
    body: {
      token_type: 'bearer',
      refresh_token: refreshToken,
      access_token: accessToken,
      expires_in: ACCESS_TOKEN_SECONDS,
    },
  };
}

/** RFC 6749 section 5.2, beside the words of before. */
function refused(error: string, status: string, message: string): Answer {
  const body = { error, error_description: message, status, message, correlationId: randomUUID() };
  return { status: 400, body, summary: error };
}
