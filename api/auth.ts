/** Who asks, and whether they may: `Authorization: Bearer pk_…` against the stored hashes, then the route's role. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { keyFinder, roleCovers } from '../store/api-keys.ts';
import type { ApiKey, Role } from '../store/api-keys.ts';
import type { Writer } from '../store/db.ts';
import { keyOfCookie } from './codec-door.ts';
import type { CodecDoor } from './codec-door.ts';
import type { Api, ApiDeps } from './deps.ts';
import { Problem } from './errors.ts';
import { RateLimits } from './rate-limits.ts';
import { roleFor } from './roles.ts';
import { isSound } from './text.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null on open routes. */
    apiKey: ApiKey | null;
  }
}

/** The key of a text, counted and looked up. @throws Problem key_missing, key_unknown, key_expired, key_revoked, too_many_requests */
export type Admit = (request: FastifyRequest, reply: FastifyReply, text: string | null) => Promise<ApiKey>;

/** Refuses a route without a laid-down role at registration, and a request without the role when it comes. */
export function addAuthentication(app: Api, deps: ApiDeps, door: CodecDoor): Admit {
  const keys = keyFinder(deps.db);
  const limits = new RateLimits(deps.config.api.limits);
  app.decorateRequest('apiKey', null);
  app.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) roleFor(method, route.url);
  });
  const admit: Admit = async (request, reply, text) => {
    // Before anything is looked up, but never for a key that was good: others may send from the same address.
    if (text === null || !keys.recognises(text)) limits.refuseFailing(request, reply);
    const verdict = text === null ? null : await keys.find(text);
    if (verdict?.ok !== true) {
      limits.countFailure(request);
      if (verdict === null) throw new Problem('key_missing', 'Send the header Authorization: Bearer and a key.');
      throw new Problem(`key_${verdict.reason}`, 'Ask an administrator for a key.');
    }
    limits.countRequest(reply, verdict.key.id);
    return verdict.key;
  };
  app.addHook('onRequest', async (request, reply) => {
    const { url } = request.routeOptions;
    if (url === undefined) return;
    const needed = roleFor(request.method, url);
    if (needed === null) return;
    const key = await admit(request, reply, keyOfCookie(request, door) ?? bearer(request.headers.authorization));
    request.apiKey = key;
    refuseRole(key, needed);
  });
  return admit;
}

/** @throws Problem role_missing */
export function refuseRole(key: ApiKey, needed: Role): void {
  if (!roleCovers(key.role, needed)) {
    throw new Problem('role_missing', `This asks for the role '${needed}'; the key has '${key.role}'.`);
  }
}

function bearer(header: string | undefined): string | null {
  return /^Bearer ([\x21-\x7E]+)$/i.exec(header ?? '')?.[1] ?? null;
}

/** The name under which a key's doings are recorded. */
export function actorOf(request: FastifyRequest): string {
  if (request.apiKey === null) throw new Error('an open route does nothing in anybody’s name');
  return `key:${request.apiKey.name}`;
}

const MAX_REASON = 500;

/** Who writes and why, for `asWriter`. The reason is the header `Plumbline-Reason`, in UTF-8. */
export function writerOf(request: FastifyRequest): Writer {
  const header = request.headers['plumbline-reason'];
  const writer: Writer = { actor: actorOf(request), door: 'api' };
  if (header === undefined || header === '') return writer;
  // Node reads header bytes as Latin-1.
  const reason = typeof header === 'string' ? Buffer.from(header, 'latin1').toString('utf8') : null;
  if (reason === null || reason.length > MAX_REASON || reason.includes('\uFFFD') || !isSound(reason)) {
    throw new Problem('validation_failed', 'The reason cannot be read.', {
      faults: [{ in: 'header', path: '/plumbline-reason', expected: `up to ${MAX_REASON} characters in UTF-8` }],
    });
  }
  return { ...writer, reason };
}
