/**
 * Refusals that somebody should be able to find later: a key that reached beyond its role, and a door that an erased person did not come
 * through. Free of personal data; at most one entry an hour for each key, route and code, so that a loop fills no log.
 */
import type { FastifyRequest } from 'fastify';
import { appendAudit } from '../store/audit.ts';
import type { Db } from '../store/db.ts';
import type { Problem, ProblemCode } from './errors.ts';

const NOTED: ReadonlySet<ProblemCode> = new Set(['role_missing', 'suppressed']);
const HOUR_MS = 3_600_000;
const REMEMBERED = 10_000;

export class Refusals {
  readonly #db: Db;
  readonly #last = new Map<string, number>();

  constructor(db: Db) {
    this.#db = db;
  }

  async note(request: FastifyRequest, problem: Problem): Promise<void> {
    if (request.apiKey === null || !NOTED.has(problem.code)) return;
    const actor = `key:${request.apiKey.name}`;
    const route = `${request.method} ${request.routeOptions.url ?? ''}`;
    const name = `${actor} ${route} ${problem.code}`;
    const now = Date.now();
    if ((this.#last.get(name) ?? 0) > now - HOUR_MS) return;
    if (this.#last.size >= REMEMBERED) this.#last.clear();
    this.#last.set(name, now);
    await appendAudit(this.#db, { kind: 'door.refused', actor, door: 'api', detail: { route, code: problem.code } });
  }
}
