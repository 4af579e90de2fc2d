/**
 * Xero's identity server: token endpoint and connections (developer.xero.com, "OAuth 2.0", "Custom connections"). Access
 * tokens live 30 minutes; refresh tokens 60 days, each is good for one refresh, and the used one goes on working for
 * 30 minutes in case the answer was lost.
 */
import type { Answer, Host, VendorRequest } from '../kit/vendor.ts';
import { problem, tokenError } from './answers.ts';
import type { AccessToken, Books } from './books.ts';
import type { XeroSettings } from './settings.ts';

const ACCESS_MS = 30 * 60_000;
const GRACE_MS = 30 * 60_000;
const REFRESH_MS = 60 * 24 * 3_600_000;

export function issueToken(request: VendorRequest, books: Books, host: Host, settings: XeroSettings): Answer {
  const basic = `Basic ${Buffer.from(`${settings.clientId}:${settings.clientSecret}`).toString('base64')}`;
  if (request.headers['authorization'] !== basic) return tokenError('invalid_client');
  const form = new URLSearchParams(request.body);
  const grant = form.get('grant_type');
  if (grant === 'refresh_token') return refresh(form.get('refresh_token') ?? '', books, host);
  if (grant === 'client_credentials') return granted(access(books, host, 'custom'), {});
  return tokenError('unsupported_grant_type');
}

function refresh(given: string, books: Books, host: Host): Answer {
  const now = host.now();
  const { state } = books;
  const known = state.refreshTokens.find((each) => each.token === given);
  const spent = known !== undefined && known.usedMs !== null && now > known.usedMs + GRACE_MS;
  if (known === undefined || spent || now > known.issuedMs + REFRESH_MS) return tokenError('invalid_grant');
  known.usedMs ??= now;
  const next = `sandbox-xero-refresh-${state.tokensIssued + 1}`;
  const token = access(books, host, 'user');
  state.refreshTokens = state.refreshTokens.filter((each) => each.usedMs === null || now <= each.usedMs + GRACE_MS);
  state.refreshTokens.push({ token: next, issuedMs: now, usedMs: null });
  return granted(token, { refresh_token: next });
}

function access(books: Books, host: Host, kind: AccessToken['kind']): AccessToken {
  const now = host.now();
  const { state } = books;
  state.tokensIssued += 1;
  const token = { token: `sandbox-xero-access-${state.tokensIssued}`, expiresMs: now + ACCESS_MS, kind };
  // Expired ones are kept for a day, so that the caller is told "expired" and not "unknown".
  state.accessTokens = state.accessTokens.filter((each) => each.expiresMs > now - 86_400_000);
  state.accessTokens.push(token);
  return token;
}

function granted(token: AccessToken, more: Record<string, unknown>): Answer {
  const body = {
    access_token: token.token,
    expires_in: ACCESS_MS / 1000,
    token_type: 'Bearer',
    ...more,
    scope: 'offline_access accounting.contacts accounting.transactions.read',
  };
  return { status: 200, body, effect: true, summary: `token for ${token.kind} connection` };
}

/** The caller's token, or the 401 it gets. */
export function authenticate(request: VendorRequest, books: Books, host: Host): AccessToken | Answer {
  const given = /^Bearer (.+)$/.exec(request.headers['authorization'] ?? '')?.[1];
  const token = books.state.accessTokens.find((each) => each.token === given);
  if (token === undefined) return problem(401, 'Unauthorized', 'AuthenticationUnsuccessful');
  if (host.now() >= token.expiresMs) return expired(token.expiresMs);
  return token;
}

export function expired(atMs: number): Answer {
  const answer = problem(401, 'Unauthorized', `TokenExpired: token expired at ${new Date(atMs).toISOString()}`);
  return {
    ...answer,
    headers: { 'www-authenticate': 'Bearer error="invalid_token", error_description="token expired"' },
  };
}

/** GET /connections: the tenants that this token may use. */
export function connections(host: Host, settings: XeroSettings): Answer {
  const at = new Date(host.now()).toISOString().replace('Z', '0000');
  const body = [
    {
      id: '22222222-2222-4222-8222-222222222222',
      authEventId: '33333333-3333-4333-8333-333333333333',
      tenantId: settings.tenantId,
      tenantType: 'ORGANISATION',
      tenantName: 'Sandbox organisation',
      createdDateUtc: at,
      updatedDateUtc: at,
    },
  ];
  return { status: 200, body };
}

/** Custom connections send no tenant; the others must name theirs. */
export function mayUseTenant(token: AccessToken, request: VendorRequest, settings: XeroSettings): boolean {
  const tenant = request.headers['xero-tenant-id'] ?? '';
  return tenant === settings.tenantId || (tenant === '' && token.kind === 'custom');
}
