/**
 * `?wait=verified`: a request waits until every system has settled what was wanted when its change was committed. A modest poll, not a
 * listener each: one query a round, and only a few requests may wait at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContactId } from '../domain/contact.ts';
import type { Db } from '../store/db.ts';
import { deliveriesOf, settledSince, wantedNow } from '../store/delivery-views.ts';
import type { DeliveryView } from '../store/delivery-views.ts';

export const MAX_WAITERS = 50;
export const DEFAULT_WAIT_MS = 10_000;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 200;

export interface Waited {
  /** True when nothing is open any more. */
  settled: boolean;
  deliveries: DeliveryView[];
}

/** The waiting requests of one server. */
export class Waiters {
  readonly #db: Db;
  readonly #closing = new AbortController();
  #waiting = 0;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Waits for what is wanted now. Past the limit of waiters, and while the server closes, it answers at once with what is open: the
   * change is committed, so refusing the request would be a lie.
   * @param gone aborts when nobody listens any more
   */
  async forContact(contactId: ContactId, timeoutMs: number, gone?: AbortSignal): Promise<Waited> {
    if (this.#waiting >= MAX_WAITERS) return this.#look(contactId);
    this.#waiting += 1;
    try {
      const wanted = await wantedNow(this.#db, contactId);
      const signals = [this.#closing.signal, AbortSignal.timeout(timeoutMs), ...(gone === undefined ? [] : [gone])];
      await this.#poll(contactId, wanted, AbortSignal.any(signals));
      const deliveries = await deliveriesOf(this.#db, contactId);
      return { settled: await settledSince(this.#db, contactId, wanted), deliveries };
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Ends all waiting, with what is known by then. */
  close(): void {
    this.#closing.abort();
  }

  async #poll(contactId: ContactId, wanted: Map<string, number>, end: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !end.aborted; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
      if (await settledSince(this.#db, contactId, wanted)) return;
      await sleep(pauseMs, undefined, { signal: end }).catch(() => {});
    }
  }

  async #look(contactId: ContactId): Promise<Waited> {
    const deliveries = await deliveriesOf(this.#db, contactId);
    return { settled: deliveries.every((d) => d.state !== 'due'), deliveries };
  }
}
