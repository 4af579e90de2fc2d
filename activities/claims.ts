/** What of one system's due work is out, and what goes out next: a batch for each place that is free, nobody in two of them. */
import type { ContactId } from '../domain/contact.ts';
import { claimDue, classOf, LIVE_UP_TO } from '../store/claims.ts';
import type { Due, DueClass } from '../store/claims.ts';
import type { Db } from '../store/db.ts';
import type { SystemRuntime } from './deps.ts';
import type { BatchPlaces } from './places.ts';
import { Turn } from './precedence.ts';

export interface ClaimsOptions {
  db: Db;
  runtime: SystemRuntime;
  places: BatchPlaces;
  /** Runs a batch to its end. Does not reject. */
  begin: (due: Due[], callClass: DueClass, turn: Turn) => Promise<void>;
}

const LONGEST_STRETCH = 8;
/** Batches that are claimed at once for each place of bulk. */
const CLAIM_AHEAD = 3;

export class Claims {
  readonly #options: ClaimsOptions;
  /** With the turn of its batch. */
  readonly #inFlight = new Map<ContactId, Turn>();
  readonly #running: Record<DueClass, Set<Promise<void>>> = { urgent: new Set(), live: new Set(), bulk: new Set() };
  /** Contacts whose outcome waits to be folded, or whose earlier call is not taken over yet. */
  #blocked = new Set<ContactId>();
  /** How much more than a batch is claimed for one: many contacts may need no call (they do not belong, nothing changed). */
  #stretch = 1;
  /** Bulk that was claimed and is not started: read ahead, so that not every batch asks the ledger again. */
  #ahead: Due[] = [];
  #isBulkOver = false;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  get contactsOut(): number {
    return this.#inFlight.size;
  }

  get areSomeBlocked(): boolean {
    return this.#blocked.size > 0;
  }

  /** Most of what is claimed needs a call. */
  get expectsCalls(): boolean {
    return this.#stretch === 1;
  }

  /** Batches that are under way. */
  out(): Promise<void>[] {
    return Object.values(this.#running).flatMap((set) => [...set]);
  }

  /** These are not begun until `blockOnly` leaves them out. */
  block(ids: Iterable<ContactId>): void {
    for (const id of ids) this.#blocked.add(id);
  }

  blockOnly(ids: Iterable<ContactId>): void {
    this.#blocked = new Set(ids);
  }

  /** No more bulk is begun. */
  endBulk(): void {
    this.#isBulkOver = true;
    this.#ahead = [];
  }

  /** @param share of the last batch that needed a call */
  called(share: number): void {
    this.#stretch = Math.max(1, Math.min(LONGEST_STRETCH, Math.round(1 / Math.max(share, 0.05))));
  }

  /** Starts as many batches as there is work and place for. @returns true when at least one was started */
  async fill(): Promise<boolean> {
    const { db, runtime } = this.#options;
    const size = runtime.capabilities.deliverBatch * this.#stretch;
    const places = this.#options.places.now();
    if (this.#isBulkOver) places.bulk = 0;
    const free = (callClass: DueClass): number => Math.max(0, places[callClass] - this.#running[callClass].size);
    const quick = free('urgent') + free('live');
    const refill = free('bulk') > 0 && this.#ahead.length < size;
    if (quick === 0 && !refill && this.#ahead.length < size) return false;
    const held = this.#inFlight.size + this.#blocked.size;
    const due = await claimDue(db, runtime.name, {
      upTo: LIVE_UP_TO,
      urgent: quick === 0 ? 0 : quick * size + held,
      rest: refill ? places.bulk * size * CLAIM_AHEAD + held : 0,
    });
    for (const d of due) if (classOf(d) === 'urgent') this.#inFlight.get(d.contactId)?.hurry();
    if (refill) this.#ahead = due.filter((d) => classOf(d) === 'bulk');
    const started = (['urgent', 'live'] as const).map((callClass) => {
      const mine = due.filter((d) => classOf(d) === callClass);
      return this.#startBatches(mine, callClass, free(callClass), size).started;
    });
    const bulk = this.#startBatches(this.#ahead, 'bulk', free('bulk'), size);
    this.#ahead = bulk.left;
    return bulk.started || started.includes(true);
  }

  /** Starts batches of those that are not in flight already, one a free place. */
  #startBatches(due: Due[], callClass: DueClass, free: number, size: number): { started: boolean; left: Due[] } {
    let left = due.filter((d) => !this.#inFlight.has(d.contactId) && !this.#blocked.has(d.contactId));
    let started = false;
    for (let place = 0; place < free && left.length > 0; place += 1) {
      this.#start(left.slice(0, size), callClass);
      left = left.slice(size);
      started = true;
    }
    return { started, left };
  }

  #start(due: Due[], callClass: DueClass): void {
    const { runtime, begin } = this.#options;
    const turn = new Turn(callClass === 'bulk' && runtime.callsPerSecond === null ? 'spare' : callClass);
    for (const { contactId } of due) this.#inFlight.set(contactId, turn);
    const running = this.#running[callClass];
    const promise = begin(due, callClass, turn).finally(() => {
      for (const { contactId } of due) this.#inFlight.delete(contactId);
      running.delete(promise);
    });
    running.add(promise);
  }
}
