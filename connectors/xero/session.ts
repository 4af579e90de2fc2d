/** What the parts of this connector share for one system. */
import { hash } from 'node:crypto';
import type { Contact } from 'xero-node';
import type { Outcome } from '../../domain/outcome.ts';
import type { FieldKind } from '../../domain/want.ts';
import { ConnectorStop } from '../kit/connector.ts';
import type { Item, ItemResult } from '../kit/connector.ts';
import type { Client } from './client.ts';
import type { XeroSettings } from './settings.ts';

export interface Session {
  client: Client;
  settings: XeroSettings;
  /** Mapped target → how it is compared. */
  kinds: ReadonlyMap<string, FieldKind>;
  recent: RecentWrites;
  createKeys: CreateKeys;
}

/** When Xero says that it took our latest writes, to read them back by last change instead of by id. */
export class RecentWrites {
  readonly #atMs = new Map<string, number>();

  note(contact: Contact): void {
    const { contactID, updatedDateUTC } = contact;
    if (contactID === undefined || updatedDateUTC === undefined) return;
    this.#atMs.delete(contactID);
    this.#atMs.set(contactID, updatedDateUTC.getTime());
    // Oldest first out: a map keeps the order of insertion.
    if (this.#atMs.size > 20_000) this.#atMs.delete(this.#atMs.keys().next().value ?? '');
  }

  /** The earliest of these writes, ms since 1970; undefined unless all are known. */
  since(ids: readonly string[]): number | undefined {
    const times = ids.map((id) => this.#atMs.get(id) ?? Number.NaN);
    const earliest = times.reduce((least, each) => Math.min(least, each), Infinity);
    return Number.isFinite(earliest) ? earliest : undefined;
  }

  /** How many of our latest writes Xero took at this time or later, ms since 1970. */
  countSince(ms: number): number {
    let count = 0;
    for (const atMs of this.#atMs.values()) if (atMs >= ms) count += 1;
    return count;
  }
}

/**
 * Idempotency keys of creates: the same contacts give the same key while no answer to it came, so that Xero repeats nothing;
 * another one after an answer, because Xero would answer as before although the world has changed.
 */
export class CreateKeys {
  readonly #answered = new Map<string, number>();

  keyOf(contacts: Contact[]): string {
    const asked = hashOf(contacts);
    return `plumbline-${asked.slice(0, 40)}-${this.#answered.get(asked) ?? 0}`;
  }

  answered(contacts: Contact[]): void {
    const asked = hashOf(contacts);
    this.#answered.set(asked, (this.#answered.get(asked) ?? 0) + 1);
    if (this.#answered.size > 10_000) this.#answered.delete(this.#answered.keys().next().value ?? '');
  }
}

function hashOf(contacts: Contact[]): string {
  return hash('sha256', JSON.stringify(contacts), 'hex');
}

/** The result of an item. Xero holds no consents, so that part is done where nothing was asked of it. */
export function resultOf(item: Item, data: Outcome, externalIds: string[] = item.externalIds): ItemResult {
  const consent: Outcome =
    item.parts.consent && Object.keys(item.want.consents).length > 0
      ? { kind: 'not_supported', code: 'no_consents' }
      : { kind: 'unchanged' };
  return { data, consent, externalIds };
}

/** The outcome for all items of a batch whose read failed. @throws what is no stop */
export function stopOutcome(error: unknown): Outcome {
  if (error instanceof ConnectorStop) return error.outcome;
  throw error;
}
