/** The record of what the vendor was asked and what came of it: the independent witness of every test. */
import { isoOf } from './time.ts';

export interface JournalEntry {
  seq: number;
  /** ISO 8601. */
  at: string;
  method: string;
  /** With the query. */
  path: string;
  /** 0 when the connection was cut or left hanging. */
  status: number;
  effect: boolean;
  summary: string;
  /** Requests under way at arrival, this one included. */
  inFlight: number;
  fault?: string;
}

/** Never trimmed, unlike the entries. */
export interface Counters {
  total: number;
  effects: number;
  /** Those by `METHOD /route/{id}`, as in `calls`. */
  effectsOf: Record<string, number>;
  /** 429 and the like, answered by the vendor's own limits (not by a fault). */
  limited: number;
  faults: number;
  /** Highest number of requests under way at once. */
  maxInFlight: number;
  /** Sum over all requests of the milliseconds from arrival to answer. */
  busyMs: number;
  /** Calls by `METHOD /route/{id}`. */
  calls: Record<string, number>;
}

const KEPT = 100_000;

export class Journal {
  #entries: JournalEntry[] = [];
  #seq = 0;
  counters: Counters = emptyCounters();

  get lastSeq(): number {
    return this.#seq;
  }

  /** Goes on after a restart where the last process stopped. */
  resume(lastSeq: number, counters: Counters): void {
    this.#seq = lastSeq;
    // One that was kept by an earlier release has fewer.
    this.counters = { ...emptyCounters(), ...counters };
  }

  add(entry: Omit<JournalEntry, 'seq' | 'at'>, route: string, limited: boolean): void {
    this.#seq += 1;
    this.#entries.push({ seq: this.#seq, at: isoOf(Date.now()), ...entry });
    // Trimmed in large steps: shifting an array of this size at every request would cost more than the request.
    if (this.#entries.length > KEPT * 1.1) this.#entries = this.#entries.slice(-KEPT);
    const counters = this.counters;
    const call = `${entry.method} ${route}`;
    counters.total += 1;
    counters.calls[call] = (counters.calls[call] ?? 0) + 1;
    counters.maxInFlight = Math.max(counters.maxInFlight, entry.inFlight);
    if (entry.effect) {
      counters.effects += 1;
      counters.effectsOf[call] = (counters.effectsOf[call] ?? 0) + 1;
    }
    if (limited) counters.limited += 1;
    if (entry.fault !== undefined) counters.faults += 1;
  }

  /** Entries with a higher number than `since`, oldest first. */
  since(since: number, limit: number): JournalEntry[] {
    const first = this.#entries[0]?.seq ?? 0;
    const start = Math.max(0, since + 1 - first);
    return this.#entries.slice(start, start + limit);
  }

  /** The newest entries, newest first. */
  latest(limit: number): JournalEntry[] {
    return this.#entries.slice(-limit).toReversed();
  }

  /** Forgets entries and counters; numbering goes on, so that a reader's `since` stays valid. */
  clear(): void {
    this.#entries = [];
    this.counters = emptyCounters();
  }
}

function emptyCounters(): Counters {
  return { total: 0, effects: 0, effectsOf: {}, limited: 0, faults: 0, maxInFlight: 0, busyMs: 0, calls: {} };
}

/** `/a/123/b` → `/a/{id}/b`: numbers, hashes, UUIDs and addresses become `{id}`. */
export function routeOf(path: string): string {
  return path.replaceAll(/\/(\d+|[0-9a-f]{8,}|[0-9a-f-]{36}|[^/]*(@|%40)[^/]*)(?=\/|$)/gi, '/{id}');
}
