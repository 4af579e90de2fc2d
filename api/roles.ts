/** Which role each door asks for. A route that is not in this table stops the start, so none is open by oversight. */
import type { Role } from '../store/api-keys.ts';

export const ROUTE_ROLES = {
  'POST /v1/contacts': 'writer',
  'POST /v1/contacts/bulk': 'writer',
  'POST /v1/contacts/find': 'reader',
  'GET /v1/contacts/:id': 'reader',
  'PATCH /v1/contacts/:id': 'writer',
  'PUT /v1/contacts/by-reference/:ref': 'writer',
  'GET /v1/contacts/:id/versions': 'reader',
  'GET /v1/contacts/:id/versions/:version': 'reader',
  'GET /v1/contacts/:id/deliveries': 'reader',
  'GET /v1/contacts/:id/consents': 'reader',
  'POST /v1/contacts/:id/consents': 'writer',
  'POST /v1/contacts/:id/erasure': 'writer',
  'GET /v1/cases': 'operator',
  'GET /v1/cases/:id': 'writer',
  'POST /v1/cases/:id/decision': 'lead',
  'GET /v1/systems': 'reader',
  'POST /v1/systems/:name/pause': 'operator',
  'POST /v1/systems/:name/resume': 'operator',
  'POST /v1/systems/:name/retry': 'operator',
  'POST /v1/systems/:name/reconcile': 'operator',
  'POST /v1/retry': 'operator',
  'GET /v1/runs': 'operator',
  'GET /v1/runs/:id': 'operator',
  'POST /v1/runs/:id/decision': 'lead',
  'POST /v1/retention/runs': 'operator',
  'GET /v1/problems': 'operator',
  'GET /v1/causes': 'operator',
  'GET /v1/causes/:id': 'operator',
  'POST /v1/causes/:id/resolution': 'operator',
  'GET /v1/purposes/:purpose/recipients': 'operator',
  'GET /v1/audit': 'operator',
  'POST /v1/codec/decode': 'operator',
  'POST /v1/codec/encode': 'operator',
} as const satisfies Record<string, Role>;

/** Doors without a key: nothing in them tells of a person. */
const OPEN_ROUTES: ReadonlySet<string> = new Set([
  'GET /',
  'GET /health',
  'GET /ready',
  // A browser asks before it sends a key; the page and the form at which a key is given.
  'OPTIONS /v1/codec/decode',
  'OPTIONS /v1/codec/encode',
  'GET /v1/codec',
  'POST /v1/codec/session',
]);
const OPEN_PREFIX = '/docs';

/**
 * The role for a route, null for an open one.
 * @param url the route's pattern, not the address asked for
 * @throws Error for a route that nobody has thought about
 */
export function roleFor(method: string, url: string): Role | null {
  const name = `${method} ${url}`;
  if (OPEN_ROUTES.has(name) || url === OPEN_PREFIX || url.startsWith(`${OPEN_PREFIX}/`)) return null;
  const role = (ROUTE_ROLES as Record<string, Role>)[name];
  if (role === undefined) throw new Error(`no role is laid down for ${name}`);
  return role;
}
