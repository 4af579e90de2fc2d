/** HubSpot's CRM as far as contacts, their properties, consent and tokens go. */
import { randomUUID } from 'node:crypto';
import type { Answer, ErrorKind, Host, Vendor, VendorRequest } from '../kit/vendor.ts';
import { DayCounter, RollingWindow } from '../kit/window.ts';
import { Account } from './account.ts';
import { invalid, notFound, ok, rateLimited, refused } from './answers.ts';
import * as batch from './batch.ts';
import * as contacts from './contacts.ts';
import { preferences } from './preferences.ts';
import { propertyView } from './properties.ts';
import { issueToken, TOKEN_PATHS } from './oauth.ts';
import * as records from './records.ts';
import { search } from './search.ts';
import { State } from './state.ts';
import type { PropertyDefinition } from './state.ts';

export const name = 'hubspot';

export const defaultSettings = {
  searchLagMs: 2000,
  /** Private-app tokens that are accepted. */
  tokens: ['sandbox-hubspot-token'],
  /** Of the connected app; a refresh token that is taken out of the list was revoked. */
  oauth: {
    clientId: 'sandbox-hubspot-client',
    clientSecret: 'sandbox-hubspot-secret',
    refreshTokens: ['sandbox-hubspot-refresh'],
  },
  /** Scopes that the token lacks, e.g. `crm.objects.contacts.write`. */
  missingScopes: [] as string[],
  /** Privately distributed app on Professional: developers.hubspot.com usage guidelines, 2026-11. */
  tenSecondLimit: 190,
  dailyLimit: 650_000,
  searchPerSecond: 5,
  subscriptions: [
    { id: '1001', name: 'Newsletter', description: 'Our monthly newsletter' },
    { id: '1002', name: 'Product news', description: 'What is new in our products' },
  ],
  /** Subscribing needs a legal basis. */
  gdprEnabled: true,
  /** True: v4 subscribes even those who unsubscribed themselves. */
  v4Resubscribe: false,
  mergeMakesNewId: false,
  lifecycleForwardOnly: true,
  /** Batch endpoints that answer 207 for bad values when each input has an objectWriteTraceId. */
  multiStatus: ['create'],
};

const CONTACTS = '/crm/v3/objects/contacts';
const PROPERTIES = '/crm/v3/properties/contacts';

export function createVendor(host: Host): Vendor {
  const account = new Account(host);
  const { settings } = host;
  const tenSeconds = new RollingWindow(10_000);
  const searches = new RollingWindow(1000);
  const day = new DayCounter();
  const limit = (key: 'tenSecondLimit' | 'dailyLimit' | 'searchPerSecond'): number => Number(settings[key]);
  const isSearch = (request: VendorRequest): boolean => request.path === `${CONTACTS}/search`;

  function limitHeaders(): Record<string, string> {
    const now = host.now();
    return {
      'x-hubspot-ratelimit-max': String(limit('tenSecondLimit')),
      'x-hubspot-ratelimit-remaining': String(Math.max(0, limit('tenSecondLimit') - tenSeconds.used(now))),
      'x-hubspot-ratelimit-interval-milliseconds': '10000',
      'x-hubspot-ratelimit-daily': String(limit('dailyLimit')),
      'x-hubspot-ratelimit-daily-remaining': String(Math.max(0, limit('dailyLimit') - day.used(now))),
    };
  }

  function withLimits(request: VendorRequest, answer: Answer): Answer {
    if (isSearch(request)) return answer;
    return { ...answer, headers: { ...limitHeaders(), ...answer.headers } };
  }

  return {
    admit(request) {
      const now = host.now();
      if (day.used(now) >= limit('dailyLimit')) return withLimits(request, rateLimited('DAILY'));
      if (isSearch(request)) {
        if (!searches.take(now, limit('searchPerSecond'))) return rateLimited('SECONDLY');
      } else if (!tenSeconds.take(now, limit('tenSecondLimit'))) {
        return withLimits(request, rateLimited('TEN_SECONDLY_ROLLING'));
      }
      day.take(now, limit('dailyLimit'));
      return undefined;
    },
    handle: (request) => withLimits(request, route(account, request)),
    errorAnswer: (kind, request, params) => withLimits(request, errorAnswer(kind, params)),
    isRead: ({ method, path }) => method === 'GET' || /\/(batch\/read|search)$/.test(path),
    snapshot: () => account.state.snapshot(),
    restore(saved) {
      // Whoever reads old contacts (fault `stale-reads`) still has the token of today.
      const { accessTokens, lastId } = account.state;
      account.state = State.from(saved as ReturnType<State['snapshot']>, lastId);
      for (const [token, expiresMs] of accessTokens) account.state.accessTokens.set(token, expiresMs);
    },
    reset() {
      // An empty account; whoever is connected stays so.
      const { accessTokens } = account.state;
      account.state = new State();
      account.state.accessTokens = accessTokens;
    },
    count: () => account.state.size,
    records: (offset, count) => account.state.slice(offset, count).map((contact) => records.full(account, contact)),
    record(id) {
      const contact = account.state.get(id);
      return contact === undefined ? undefined : records.full(account, contact);
    },
    seed: (given) => given.map((record) => records.seed(account, record)),
    patch: (id, change) => records.patch(account, id, change),
    remove(id) {
      const contact = account.state.get(id);
      if (contact !== undefined) account.state.delete(contact);
      return contact !== undefined;
    },
    describe: () =>
      `Contacts v3, properties, communication preferences v3 and v4. ${account.state.blocklist.size} addresses blocklisted.`,
  };
}

function route(account: Account, request: VendorRequest): Answer {
  const { method, path } = request;
  if (TOKEN_PATHS.includes(path) && method === 'POST') return issueToken(account, request);
  const denied = deny(account, request);
  if (denied !== undefined) return denied;
  switch (`${method} ${path}`) {
    case `GET ${CONTACTS}`:
      return contacts.list(account, request);
    case `POST ${CONTACTS}`:
      return contacts.create(account, request);
    case `POST ${CONTACTS}/search`:
      return search(account, request);
    case `POST ${CONTACTS}/merge`:
      return contacts.merge(account, request);
    case `POST ${CONTACTS}/gdpr-delete`:
      return contacts.gdprDelete(account, request);
    case `POST ${CONTACTS}/batch/read`:
      return batch.read(account, request);
    case `POST ${CONTACTS}/batch/create`:
      return batch.create(account, request);
    case `POST ${CONTACTS}/batch/update`:
      return batch.update(account, request);
    case `POST ${CONTACTS}/batch/upsert`:
      return batch.upsert(account, request);
    case `POST ${CONTACTS}/batch/archive`:
      return batch.archive(account, request);
    case `GET ${PROPERTIES}`:
      return ok({ results: account.properties().map((property) => propertyView(property)) });
    case `POST ${PROPERTIES}`:
      return createProperty(account, request);
    default:
  }
  const one = /^\/crm\/v3\/(objects|properties)\/contacts\/([^/]+)$/.exec(path);
  if (one !== null) {
    const id = decodeURIComponent(one[2]!);
    if (one[1] === 'properties' && method === 'GET') {
      const property = account.property(id);
      return property === undefined ? notFound() : ok(propertyView(property));
    }
    // Archives it (HubSpot, "Properties API"): values of it are refused from now on. Its own properties stay.
    if (one[1] === 'properties' && method === 'DELETE')
      return account.state.customProperties.delete(id) ? { status: 204, effect: true } : notFound();
    if (one[1] === 'objects' && method === 'GET') return contacts.get(account, request, id);
    if (one[1] === 'objects' && method === 'PATCH') return contacts.patch(account, request, id);
    if (one[1] === 'objects' && method === 'DELETE') return contacts.archive(account, id);
  }
  const rest = /^\/communication-preferences\/(.+)$/.exec(path);
  return (rest === null ? undefined : preferences(account, request, rest[1]!)) ?? notFound();
}

/** 401 and 403. */
function deny(account: Account, request: VendorRequest): Answer | undefined {
  const { settings } = account.host;
  const given = /^Bearer (.+)$/.exec(request.headers['authorization'] ?? '')?.[1] ?? '';
  const expiresAtMs = account.state.accessTokens.get(given);
  if (!(settings['tokens'] as string[]).includes(given)) {
    if (expiresAtMs === undefined) return errorAnswer('unauthenticated', {});
    if (expiresAtMs <= account.nowMs) return errorAnswer('token-expired', {});
  }
  const reads = request.method === 'GET' || /\/(read|search)$/.test(request.path);
  const area = request.path.startsWith('/communication-preferences/')
    ? 'communication_preferences.read_write'
    : `crm.${request.path.startsWith(PROPERTIES) ? 'schemas' : 'objects'}.contacts.${reads ? 'read' : 'write'}`;
  if (!(settings['missingScopes'] as string[]).includes(area)) return undefined;
  const message = "This app hasn't been granted all required scopes to make this call.";
  const detail = {
    message: 'One or more of the following scopes are required.',
    context: { requiredGranularScopes: [area] },
  };
  return refused({ status: 403, category: 'MISSING_SCOPES', message, errors: [detail] });
}

function errorAnswer(kind: ErrorKind | 'unauthenticated', params: Record<string, unknown>): Answer {
  switch (kind) {
    case 'rate-limited':
      return rateLimited(typeof params['policy'] === 'string' ? params['policy'] : 'TEN_SECONDLY_ROLLING');
    case 'server-error':
      return { status: 500, body: { status: 'error', message: 'internal error', correlationId: randomUUID() } };
    case 'token-expired': {
      const message = 'The OAuth token used to make this call expired.';
      return refused({ status: 401, category: 'EXPIRED_AUTHENTICATION', message });
    }
    case 'unauthenticated': {
      const message = 'Authentication credentials not found. This API supports OAuth 2.0 authentication.';
      return refused({ status: 401, category: 'INVALID_AUTHENTICATION', message });
    }
  }
}

function createProperty(account: Account, request: VendorRequest): Answer {
  const given = (request.json ?? {}) as Partial<PropertyDefinition>;
  const { name: propertyName, label, type, fieldType, groupName } = given;
  if (!propertyName || !label || !type || !fieldType || !groupName) {
    return refused(invalid('name, label, type, fieldType and groupName are required'));
  }
  if (!/^[a-z][a-z0-9_]*$/.test(propertyName)) return refused(invalid('name may hold a-z, 0-9 and _ only'));
  if (account.property(propertyName) !== undefined) {
    const message = `A property named '${propertyName}' already exists.`;
    return refused({ status: 409, category: 'CONFLICT', message });
  }
  const property: PropertyDefinition = {
    name: propertyName,
    label,
    type,
    fieldType,
    groupName,
    description: given.description ?? '',
    options: given.options ?? [],
    hasUniqueValue: given.hasUniqueValue ?? false,
    readOnly: false,
    hubspotDefined: false,
  };
  account.state.customProperties.set(propertyName, property);
  if (property.hasUniqueValue) account.state.addUniqueProperty(propertyName);
  return { status: 201, body: propertyView(property), effect: true };
}
