/**
 * Reading a person leaves a trace: an audit entry `contact.read`, at most one an hour per key and contact. The answer waits for it, so that
 * nothing is read which could not be recorded.
 */
import type { FastifyRequest } from 'fastify';
import type { ContactId } from '../domain/contact.ts';
import { rows } from '../store/db.ts';
import type { Db } from '../store/db.ts';
import { actorOf } from './auth.ts';

const HOUR_MS = 3_600_000;
const REMEMBERED = 10_000;

export class Reads {
  readonly #db: Db;
  /** What this process has written lately; the database knows of the others. */
  readonly #noted = new Map<string, { atMs: number; written: Promise<unknown> }>();

  constructor(db: Db) {
    this.#db = db;
  }

  /** Records that the request's key reads these contacts. */
  async note(request: FastifyRequest, ids: readonly ContactId[]): Promise<void> {
    const actor = actorOf(request);
    const pending: Promise<unknown>[] = [];
    const fresh: ContactId[] = [];
    const now = Date.now();
    for (const id of ids) {
      const noted = this.#noted.get(`${actor} ${id}`);
      if (noted !== undefined && noted.atMs > now - HOUR_MS) pending.push(noted.written);
      else fresh.push(id);
    }
    if (fresh.length > 0) pending.push(this.#write(actor, fresh, now));
    await Promise.all(pending);
  }

  #write(actor: string, ids: ContactId[], atMs: number): Promise<unknown> {
    if (this.#noted.size + ids.length > REMEMBERED) this.#noted.clear();
    const written = rows(
      this.#db,
      `insert into audit (kind, actor, door, contact_id) select 'contact.read', ?, 'api', c from unnest(?::uuid[]) c
       where not exists (select 1 from audit a where a.contact_id = c and a.kind = 'contact.read' and a.actor = ?
                         and a.at > clock_timestamp() - interval '1 hour')`,
      [actor, ids, actor],
    ).catch((error: unknown) => {
      for (const id of ids) this.#noted.delete(`${actor} ${id}`);
      throw error;
    });
    for (const id of ids) this.#noted.set(`${actor} ${id}`, { atMs, written });
    return written;
  }
}
