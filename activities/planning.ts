/** From what was loaded to what one system should hold, and what of it is still to do. */
import { hash } from 'node:crypto';
import type { Item } from '../connectors/kit/connector.ts';
import type { ObservedConsent } from '../connectors/kit/connector.ts';
import { consentStates, strictest } from '../domain/consent.ts';
import type { ConsentResult, ConsentState } from '../domain/consent.ts';
import { canonicalJson, project } from '../domain/projection.ts';
import type { SystemRules, Want } from '../domain/want.ts';
import type { Loaded } from '../store/load.ts';

export interface Planned {
  loaded: Loaded;
  consents: Record<string, ConsentResult>;
  want: Want;
  dataHash: string;
  consentHash: string;
  /** What differs from the last verified reading. */
  parts: { data: boolean; consent: boolean };
  /** Must be read even if nothing changed. */
  distrust: boolean;
}

export function shortHash(value: unknown): string {
  return hash('sha256', canonicalJson(value), 'base64url').slice(0, 22);
}

/** Purpose → strictest state of everybody who holds the address. */
function sharedStates(
  own: Record<string, ConsentResult>,
  loaded: Loaded,
  purposes: readonly string[],
  statements: ReadonlySet<string>,
): Record<string, ConsentState> {
  const others = loaded.holders.map((holder) => consentStates(holder.events, purposes, statements));
  return Object.fromEntries(
    purposes.map((purpose) => [
      purpose,
      strictest([own, ...others].map((states) => states[purpose]?.state ?? 'unknown')),
    ]),
  );
}

/** The oldest other holder of the primary address; one who belongs in the system goes before one who does not. */
function supplierAmong(loaded: Loaded, rules: SystemRules): { id: string; seq: number; belongs?: boolean } | null {
  const primaries = loaded.holders.filter((h) => h.primary).toSorted((a, b) => a.seq - b.seq);
  const { who } = rules;
  if (who.kind !== 'relationship')
    return primaries[0] === undefined ? null : { id: primaries[0].id, seq: primaries[0].seq };
  const judged = primaries.map(({ id, seq, relationship }) => ({
    id,
    seq,
    belongs: relationship !== null && who.in.includes(relationship),
  }));
  return judged.find((h) => h.belongs) ?? judged[0] ?? null;
}

/** Projects one contact for one system and compares with what was last read back. */
export function planOne(
  loaded: Loaded,
  rules: SystemRules,
  purposes: readonly string[],
  statements: ReadonlySet<string>,
): Planned {
  const consents = consentStates(loaded.events, purposes, statements);
  const oldest = supplierAmong(loaded, rules);
  const want = project({
    contact: loaded.contact,
    consents,
    rules,
    ...(loaded.holders.length === 0
      ? {}
      : {
          holders: {
            oldestOther: oldest,
            strictest: sharedStates(consents, loaded, purposes, statements),
          },
        }),
  });
  const dataHash = shortHash({ presence: want.presence, key: want.key, fields: want.fields });
  const consentHash = shortHash({
    key: want.key,
    consents: Object.fromEntries(
      Object.entries(want.consents)
        .filter(([, c]) => c.state !== 'untouched')
        .map(([target, c]) => [target, c.state]),
    ),
  });
  const { ledger } = loaded;
  const distrust = ledger.distrust || ledger.lookFirst;
  return {
    loaded,
    consents,
    want,
    dataHash,
    consentHash,
    parts: {
      data: distrust || ledger.dataHash !== dataHash,
      consent: distrust || ledger.consentHash !== consentHash,
    },
    distrust,
  };
}

/** What an item's vendor ids are: those of the ledger, of the ticket, or exactly one match of the last scan. */
export function idsFor(planned: Planned, system: string, rules: SystemRules): { ids: string[] } | { ambiguous: true } {
  const { loaded } = planned;
  const held = [...new Set([...loaded.externalIds, ...(loaded.ticket?.externalIds[system] ?? [])])];
  if (held.length > 0) return { ids: held };
  const mine = loaded.candidates.filter((c) => c.ownedBy === null || rules.addressIsKey || c.byReference);
  const byReference = mine.filter((c) => c.byReference);
  if (byReference.length > 0) return { ids: byReference.map((c) => c.externalId) };
  if (mine.length > 1) return { ambiguous: true };
  return { ids: mine.map((c) => c.externalId) };
}

/** The connector's item. */
export function itemFor(planned: Planned, system: string, ids: string[]): Item {
  const { loaded, want } = planned;
  const { contact, ledger, ticket } = loaded;
  const key = ledger.knownKey ?? ticket?.keys[system] ?? null;
  const full = [contact.givenName, contact.familyName].filter((n) => n !== null).join(' ');
  // Without an id an erasure looks by reference and exact address; so do whoever shares an address with others, and whoever is to be read
  // again: what a late write made is under no id that we know.
  const lookFirst =
    ledger.lookFirst ||
    (ids.length === 0 && (ledger.distrust || want.presence === 'erased' || loaded.holders.length > 0));
  return {
    reference: contact.id,
    externalIds: ids,
    want,
    known:
      ledger.verifiedAt === null && key === null
        ? null
        : { key, consents: (ledger.knownConsents ?? {}) as Record<string, ObservedConsent> },
    parts: planned.parts,
    lookFirst,
    identity: {
      addresses: [...new Set([...contact.emails, ...(ticket?.addresses ?? []), ...(key === null ? [] : [key])])],
      names: [...new Set([...(full === '' ? [] : [full]), ...(ticket?.names ?? [])])],
    },
  };
}
