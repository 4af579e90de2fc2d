/**
 * One page of what a system holds, against the record. A record that agreed before, and on which neither side has moved since, is known
 * by its digest and compared by one statement for the page; all others are loaded, projected and compared in full.
 */
import type { Observation } from '../connectors/kit/connector.ts';
import { hasDifferences } from '../domain/compare.ts';
import type { ContactId } from '../domain/contact.ts';
import { reopenTicket } from '../store/erasure.ts';
import type { Keyring } from '../store/keyring.ts';
import { loadForDelivery } from '../store/load.ts';
import { addDrifts } from '../store/runs.ts';
import type { Drift } from '../store/runs.ts';
import { keepAgreed, ownersOf, saveSeen, tombstoned, withoutAgreed } from '../store/vendor-records.ts';
import type { Agreed } from '../store/vendor-records.ts';
import type { Deps, SystemRuntime } from './deps.ts';
import { compareReading, stricterPurposes } from './judging.ts';
import { idsFor, itemFor, planOne, shortHash } from './planning.ts';
import type { Turn } from './precedence.ts';
import type { ScanCounts, ScanInput } from './scanning.ts';
import { recordWithdrawals } from './withdrawals.ts';

/** A scan under way. */
export interface Scanning {
  deps: Deps;
  /** Its place behind all that somebody waits for. */
  turn: Turn;
  runtime: SystemRuntime;
  input: ScanInput;
  statements: ReadonlySet<string>;
  /** What everything is compared by, see `comparedBy`. */
  rules: string;
  counts: ScanCounts;
}

/** To be raised when the comparison itself changes, so that everything is compared in full once. */
const COMPARISON = 1;

/** Short hash of all that decides what a record should hold, besides the contact: the mapping, the purposes and the known wordings. */
export function comparedBy(deps: Deps, runtime: SystemRuntime, statements: ReadonlySet<string>): string {
  return shortHash([COMPARISON, runtime.rulesHash, deps.purposes, [...statements].toSorted()]);
}

/** Keyed, because it is of personal data. */
function digestOf(keyring: Keyring, rules: string, o: Observation): Buffer {
  const read = [rules, o.externalId, o.reference, o.presence, o.addresses, o.fields, o.consents, o.shared === true];
  return keyring.digest('vendor_record', JSON.stringify(read));
}

/** @param readAt ISO 8601: when the page was asked for */
export async function takePage(
  scanning: Scanning,
  observations: readonly Observation[],
  readAt: string,
): Promise<void> {
  const { deps, runtime, input, counts, turn } = scanning;
  const { db, keyring } = deps;
  await turn.giveWay();
  const present = observations.filter((o) => o.presence !== 'gone');
  const digests = new Map<string, Buffer>();
  for (const one of present) {
    await turn.breathe();
    digests.set(one.externalId, digestOf(keyring, scanning.rules, one));
  }
  const left = await withoutAgreed(db, runtime.name, input.kind === 'changes' ? null : input.runId, digests);
  counts.seen += present.length;
  counts.compared += digests.size - left.size;
  counts.unmoved += digests.size - left.size;
  const toCompare = present.filter((o) => left.has(o.externalId));
  if (toCompare.length === 0) return;

  const seen = toCompare.map((o) => ({ ...o, consents: o.consents as Record<string, string> }));
  await saveSeen(db, keyring, runtime.name, seen);
  const owners = await ownersOf(db, runtime.name, seen);
  await turn.giveWay();
  const loaded = await loadForDelivery(db, keyring, runtime.name, [...new Set(owners.values())]);
  const byId = new Map(loaded.map((l) => [l.contact.id, l]));
  const erased = await tombstoned(
    db,
    keyring,
    seen.filter((s) => !owners.has(s.externalId)),
  );
  const found: Drift[] = [];
  const agreed: Agreed[] = [];
  for (const observation of toCompare) {
    await turn.breathe();
    const { externalId } = observation;
    const owner = owners.get(externalId) ?? erased.get(externalId);
    if (owner === undefined) {
      counts.extra += 1;
      if (input.kind === 'reconciliation') found.push({ kind: 'extra', contactId: null, externalId, fields: [] });
      continue;
    }
    counts.compared += 1;
    const one = byId.get(owner);
    const verdict = await compareOne(scanning, observation, owner, one, readAt);
    if (typeof verdict === 'object') found.push(verdict);
    if (verdict === 'agrees' && one !== undefined) {
      agreed.push({ externalId, contactId: owner, settled: one.ledger.settled, digest: digests.get(externalId)! });
    }
  }
  await keepAgreed(db, runtime.name, agreed);
  if (input.kind === 'reconciliation') await addDrifts(db, input.runId, runtime.name, found);
  counts.differing += found.filter((d) => d.kind !== 'extra' && d.kind !== 'stricter_at_vendor').length;
}

type LoadedOne = Awaited<ReturnType<typeof loadForDelivery>>[number];

/** `left`: not for a scan to judge, or known already. */
async function compareOne(
  scanning: Scanning,
  observation: Observation,
  owner: ContactId,
  loaded: LoadedOne | undefined,
  readAt: string,
): Promise<Drift | 'agrees' | 'left'> {
  const { deps, runtime, statements, counts } = scanning;
  const base = { contactId: owner, externalId: observation.externalId };
  if (loaded === undefined || loaded.contact.state !== 'active') {
    return (await emptiedButPresent(scanning, observation, owner, loaded)) ?? 'left';
  }
  const planned = planOne(loaded, runtime.rules, deps.purposes, statements);
  const stricter = stricterPurposes(planned, observation, runtime.rules, null);
  if (stricter.length > 0) {
    counts.stricter += 1;
    await recordWithdrawals(deps, runtime, owner, observation, stricter);
    return { ...base, kind: 'stricter_at_vendor', fields: [] };
  }
  const unsubscribing = Object.entries(planned.want.consents).some(
    ([target, want]) => want.state === 'unsubscribed' && observation.consents[target] === 'subscribed',
  );
  if (unsubscribing) counts.withoutConsent += 1;
  // Work that is due, or that was read back since this page was read, is the lane's business.
  if (loaded.ledger.wanted > loaded.ledger.settled) return 'left';
  if (loaded.ledger.verifiedAt === null || loaded.ledger.verifiedAt >= readAt) return 'left';
  if (!loaded.externalIds.includes(observation.externalId)) return 'left';
  const identity = itemFor(planned, runtime.name, loaded.externalIds).identity;
  const differs = compareReading(planned.want, observation, runtime.rules, runtime.capabilities, identity);
  if (!hasDifferences(differs)) return 'agrees';
  if (isKnownProblem(loaded, differs)) return 'left';
  const looser = differs.consents.some((target) => planned.want.consents[target]?.state === 'unsubscribed');
  return {
    ...base,
    kind: looser ? 'withdrawn_but_subscribed' : 'older_value',
    fields: [...differs.fields, ...differs.consents, ...(differs.key ? ['address'] : [])],
  };
}

/** A field that the vendor gives back different after a true write is a problem for a person, not a repair each night; so is what one accepted. */
function isKnownProblem(loaded: LoadedOne, differs: ReturnType<typeof compareReading>): boolean {
  const { dataOutcome, dataField } = loaded.ledger;
  if (
    (dataOutcome !== 'mismatch' && dataOutcome !== 'skipped') ||
    differs.consents.length > 0 ||
    differs.key ||
    differs.presence
  )
    return false;
  return differs.fields.every((field) => field === dataField);
}

async function emptiedButPresent(
  { deps, runtime, input, statements }: Scanning,
  observation: Observation,
  owner: ContactId,
  loaded: LoadedOne | undefined,
): Promise<Drift | null> {
  if (loaded !== undefined) {
    const { ledger } = loaded;
    if (ledger.wanted > ledger.settled) return null;
    // Lawfully kept, with its own date for another look: not found anew each night.
    if (ledger.dataOutcome === 'retained') return null;
    const planned = planOne(loaded, runtime.rules, deps.purposes, statements);
    const ids = idsFor(planned, runtime.name, runtime.rules);
    const identity = itemFor(planned, runtime.name, 'ids' in ids ? ids.ids : []).identity;
    const differs = compareReading(planned.want, observation, runtime.rules, runtime.capabilities, identity);
    if (!hasDifferences(differs)) return null;
  } else if (observation.presence === 'archived' && runtime.capabilities.erase !== 'privacy_delete') {
    return null;
  }
  if (input.kind === 'reconciliation') {
    await reopenTicket(deps.db, deps.keyring, owner, runtime.name, {
      externalId: observation.externalId,
      addresses: observation.addresses,
    });
  }
  return {
    kind: loaded?.contact.state === 'purged' ? 'purged_but_present' : 'erased_but_present',
    contactId: owner,
    externalId: observation.externalId,
    fields: [],
  };
}
