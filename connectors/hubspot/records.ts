/** Contacts of HubSpot as this connector reads them. */
import type { Gate, Item, Observation, ObservedConsent } from '../kit/connector.ts';
import type { Outcome } from '../../domain/outcome.ts';
import type { HubSpot } from './client.ts';
import { BATCH } from './limits.ts';

export interface Mapped {
  /** HubSpot properties that are mapped. */
  targets: readonly string[];
  /** Subscription ids. */
  consentTargets: readonly string[];
  /** Our unique property. */
  reference: string;
  legalBasis: string;
}

export interface Session {
  hubspot: HubSpot;
  mapped: Mapped;
}

export interface HubSpotRecord {
  id: string;
  archived: boolean;
  properties: Record<string, string | null>;
  updatedAt: string | undefined;
}

/** Reads, or why it could not be read now. */
export type Read<T> = { ok: T } | { stopped: Outcome };

export function stoppedBy(called: { kind: string; outcome?: Outcome }): { stopped: Outcome } {
  return { stopped: called.outcome ?? { kind: 'unclassified', code: called.kind } };
}

/** Turns an SDK object into a record; undefined where it is none. */
export function recordOf(found: unknown): HubSpotRecord | undefined {
  if (typeof found !== 'object' || found === null) return undefined;
  const { id, properties, archived, updatedAt } = found as Record<string, unknown>;
  if (typeof id !== 'string' || typeof properties !== 'object' || properties === null) return undefined;
  const at =
    updatedAt instanceof Date ? updatedAt.toISOString() : typeof updatedAt === 'string' ? updatedAt : undefined;
  return { id, archived: archived === true, properties: properties as Record<string, string | null>, updatedAt: at };
}

export function resultsOf(data: unknown): HubSpotRecord[] | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { results } = data as { results?: unknown };
  if (!Array.isArray(results)) return undefined;
  const records = results.map(recordOf);
  return records.every((r) => r !== undefined) ? (records as HubSpotRecord[]) : undefined;
}

/** Properties to ask for: the mapped ones, and those that tell whose it is. */
export function wantedProperties(mapped: Mapped): string[] {
  return [...new Set([...mapped.targets, 'email', mapped.reference, 'hs_additional_emails', 'hs_merged_object_ids'])];
}

/** Every address a record is known by. */
export function addressesOf(record: HubSpotRecord): string[] {
  const more = record.properties['hs_additional_emails'] ?? '';
  return [record.properties['email'] ?? '', ...more.split(';')].map((a) => a.trim()).filter((a) => a !== '');
}

/** Ids that lead to this record: its own and those merged into it. */
export function idsOf(record: HubSpotRecord): string[] {
  const merged = record.properties['hs_merged_object_ids'] ?? '';
  return [record.id, ...merged.split(';').map((id) => id.trim())].filter((id) => id !== '');
}

/**
 * Reads records by id, by our reference or by exact address, in batches. Not the search: it lags behind writes.
 * @param by undefined: HubSpot's own id
 */
export async function readRecords(
  session: Session,
  gate: Gate,
  keys: string[],
  options: { by?: 'email' | 'reference'; archived?: boolean } = {},
): Promise<Read<HubSpotRecord[]>> {
  const found: HubSpotRecord[] = [];
  const unique = [...new Set(keys)];
  for (let at = 0; at < unique.length; at += BATCH) {
    const inputs = unique.slice(at, at + BATCH).map((id) => ({ id }));
    const idProperty =
      options.by === 'email' ? 'email' : options.by === 'reference' ? session.mapped.reference : undefined;
    const called = await session.hubspot.call(
      gate,
      'contacts.batch_read',
      'read',
      (client) =>
        client.crm.contacts.batchApi.readWithHttpInfo(
          {
            inputs,
            properties: wantedProperties(session.mapped),
            propertiesWithHistory: [],
            ...(idProperty === undefined ? {} : { idProperty }),
          },
          options.archived ?? false,
        ),
      resultsOf,
    );
    if (called.kind !== 'ok') return stoppedBy(called);
    found.push(...called.value.map((r) => ({ ...r, archived: r.archived || options.archived === true })));
  }
  return { ok: found };
}

export function observe(record: HubSpotRecord, mapped: Mapped, consents: Record<string, ObservedConsent>): Observation {
  return {
    externalId: record.id,
    reference: record.properties[mapped.reference] ?? null,
    presence: record.archived ? 'archived' : 'present',
    addresses: addressesOf(record),
    fields: Object.fromEntries(mapped.targets.map((target) => [target, record.properties[target] ?? ''])),
    consents,
    ...(record.updatedAt === undefined ? {} : { changedAt: record.updatedAt }),
  };
}

/** Exact, as HubSpot compares addresses: without case. */
export function sameAddress(a: string, b: string): boolean {
  return a.trim().toLowerCase() === b.trim().toLowerCase();
}

/** True where the record is the item's person: a reference of ours that is set decides alone, else one of their addresses. */
export function isOf(record: HubSpotRecord, item: Item, mapped: Mapped): boolean {
  const reference = record.properties[mapped.reference] ?? '';
  if (reference !== '') return reference === item.reference;
  const addresses = addressesOf(record);
  return item.identity.addresses.some((known) => addresses.some((a) => sameAddress(a, known)));
}
