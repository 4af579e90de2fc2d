/** From an attempt and what was read back to what the ledger records. Pure: no call, no query. */
import type { Capabilities, ItemResult, Observation } from '../connectors/kit/connector.ts';
import { isRestricted, isStricterReading } from '../domain/consent.ts';
import { differences } from '../domain/compare.ts';
import type { Differences } from '../domain/compare.ts';
import { codeOf, isSuccess, needsPerson } from '../domain/outcome.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { SystemRules, Want } from '../domain/want.ts';
import type { Recorded, Verified } from '../store/record.ts';
import type { Planned } from './planning.ts';

const NO_DIFFERENCES: Differences = { fields: [], consents: [], key: false, presence: false };

/** What the vendor shows against what is wanted; `null` is: nothing there. */
export function compareReading(
  want: Want,
  reading: Observation | null,
  rules: SystemRules,
  capabilities: Capabilities,
  identity: { addresses: string[]; names: string[] },
): Differences {
  const gone = reading === null || reading.presence === 'gone';
  switch (want.presence) {
    case 'carried':
      return NO_DIFFERENCES;
    case 'erased':
      return { ...NO_DIFFERENCES, presence: !gone && !isScrubbed(reading, capabilities.erase, identity) };
    case 'purged':
      return { ...NO_DIFFERENCES, presence: !gone && !isLeft(reading, capabilities.purge, identity) };
    case 'outside':
      return { ...NO_DIFFERENCES, presence: !gone && reading.presence !== 'archived' };
    case 'if_there':
      return gone ? NO_DIFFERENCES : differencesIn(want, reading, rules);
    case 'present':
      return gone ? { ...NO_DIFFERENCES, presence: true } : differencesIn(want, reading, rules);
  }
}

/** A record that also holds others tells only what is the person's in it, and only that is compared. */
function differencesIn(want: Want, reading: Observation, rules: SystemRules): Differences {
  const found = differences(want, reading, rules.fields);
  return reading.shared === true
    ? { ...found, fields: found.fields.filter((f) => Object.hasOwn(reading.fields, f)) }
    : found;
}

function isScrubbed(
  reading: Observation,
  erase: Capabilities['erase'],
  identity: { addresses: string[]; names: string[] },
): boolean {
  if (erase !== 'scrub_and_archive') return false;
  return (reading.presence === 'archived' || reading.shared === true) && !holdsPerson(reading, identity);
}

function isLeft(
  reading: Observation,
  purge: Capabilities['purge'],
  identity: { addresses: string[]; names: string[] },
): boolean {
  if (purge === 'archive') return reading.presence === 'archived';
  return (reading.presence === 'archived' || reading.shared === true) && !holdsPerson(reading, identity);
}

/** True where a reading still shows an address or a full name of the person. */
function holdsPerson(reading: Observation, identity: { addresses: string[]; names: string[] }): boolean {
  const fold = (text: string): string => text.normalize('NFKC').trim().toLowerCase();
  const values = new Set([...reading.addresses, ...Object.values(reading.fields)].map(fold).filter((v) => v !== ''));
  return (
    identity.addresses.some((a) => values.has(fold(a))) ||
    identity.names.filter((n) => n.includes(' ')).some((n) => values.has(fold(n)))
  );
}

/** Purposes whose consent the vendor shows stricter than the record: withdrawals to record first, never to repair. */
export function stricterPurposes(
  planned: Planned,
  reading: Pick<Observation, 'consents'>,
  rules: SystemRules,
  consentOutcome: Outcome | null,
): string[] {
  const writtenByUs = consentOutcome?.kind === 'applied';
  return rules.consents
    .filter(({ purpose, target }) => {
      const state = planned.consents[purpose]?.state ?? 'unknown';
      const observed = reading.consents[target] ?? 'none';
      const known = planned.loaded.ledger.knownConsents?.[target] ?? null;
      return (
        !isRestricted(state) &&
        isStricterReading(
          observed,
          state,
          known,
          writtenByUs && planned.want.consents[target]?.state === 'unsubscribed',
        )
      );
    })
    .map(({ purpose }) => purpose);
}

const MISMATCHES_TO_PROBLEM = 2;
const UNKNOWN_RETRY_MS = 1_000;
const MISMATCH_RETRY_MS = 2_000;
const DEFAULT_RETRY_MS = 5_000;
/** Code of an attempt that did not find who was written before, until a second look has said so too. */
const NOT_SHOWN = 'not_shown';
/** What was written for these is there afterwards, archived or not. */
const LEAVES_A_RECORD: ReadonlySet<Want['presence']> = new Set(['present', 'if_there', 'outside', 'purged']);

/**
 * One attempt as the ledger takes it. `reading` undefined: it could not or need not be read.
 * @param knownIds ids at the vendor that it was attempted under
 */
export function judge(
  planned: Planned,
  knownIds: readonly string[],
  result: ItemResult,
  reading: Observation | null | undefined,
  found: Differences,
  stricter: string[],
): Recorded {
  const { want, loaded } = planned;
  const { ledger } = loaded;
  const outcomes = [result.data, result.consent];
  const read = reading !== undefined;
  const dataOk = isSuccess(result.data);
  const consentOk = isSuccess(result.consent);
  const isLost = reading === null && LEAVES_A_RECORD.has(want.presence) && result.data.kind === 'applied';
  const dataDiffers = dataOk && (found.fields.length > 0 || found.key || found.presence || isLost);
  // Where the data part failed, the consent stands under the old key, and is judged by itself.
  const consentDiffers =
    consentOk && (found.consents.length > 0 || (dataOk && (found.key || found.presence || isLost)));
  const dataProven = read && dataOk && !dataDiffers;
  const consentProven = read && consentOk && !consentDiffers;
  const nothingHeld = outcomes.every((o) => o.kind === 'not_held' || o.kind === 'carried');
  const unread = !read && !nothingHeld && outcomes.some(isSuccess);
  const isNotHeld = (planned.parts.data ? result.data : result.consent).kind === 'not_held';
  // Vendors show writes late: one look that does not find who was written, or may have been, proves nothing.
  const isMissed = isNotHeld && (reading ?? null) === null && (knownIds.length > 0 || ledger.lookFirst);
  const isFirstLook = isMissed && ledger.dataCode !== NOT_SHOWN;
  const differs = read && (dataDiffers || consentDiffers);
  const mismatches = differs ? ledger.mismatches + 1 : 0;
  const problem = differs && mismatches >= MISMATCHES_TO_PROBLEM;

  const dataDone = nothingHeld || dataProven || final(result.data) || (problem && dataOk);
  const consentDone = nothingHeld || consentProven || final(result.consent) || (problem && consentOk);
  const settled = dataDone && consentDone && !isFirstLook && stricter.length === 0;
  const lookFirst =
    // A doubt lasts until somebody has looked: an attempt that could not even read says nothing of what an earlier one may have made.
    (ledger.lookFirst && !read) ||
    isMissed ||
    outcomes.some((o) => o.kind === 'unknown') ||
    outcomes.some((o) => o.kind === 'retry' && (o.code === 'already_exists' || o.code === 'gone_at_vendor'));
  const verified: Verified | null =
    isFirstLook || (reading === undefined && !nothingHeld)
      ? null
      : {
          dataHash: nothingHeld || dataProven ? planned.dataHash : null,
          consentHash: nothingHeld || consentProven ? planned.consentHash : null,
          key: want.presence === 'present' || want.presence === 'if_there' ? want.key : null,
          consents: reading?.consents ?? {},
          presence: reading?.presence ?? 'gone',
        };
  const dataOutcome = problem && dataDiffers ? 'mismatch' : result.data.kind;
  const consentOutcome = problem && consentDiffers ? 'mismatch' : result.consent.kind;
  // Acknowledged, and not shown after several looks: it may be there.
  const mayBeThere = problem && reading === null;
  const retained = outcomes.find((o) => o.kind === 'retained');
  const gone =
    reading === null ||
    reading?.presence === 'gone' ||
    (reading === undefined && nothingHeld && want.presence !== 'carried');

  return {
    contactId: loaded.contact.id,
    startedWanted: ledger.wanted,
    contactVersion: loaded.contact.version,
    settled,
    notBeforeMs: settled ? null : retryAfterMs(outcomes, differs || unread || isFirstLook, stricter),
    verified,
    dataOutcome,
    dataCode:
      isMissed && !settled
        ? NOT_SHOWN
        : (codeOf(result.data) ?? (dataOutcome === 'mismatch' ? 'reads_back_different' : null)),
    dataField:
      result.data.kind === 'rejected'
        ? (result.data.field ?? null)
        : (found.fields[0] ?? (found.key ? 'address' : null)),
    consentOutcome,
    consentCode: codeOf(result.consent),
    message: outcomes.map((o) => ('message' in o ? o.message : undefined)).find((m) => m !== undefined) ?? null,
    reviewOn: retained?.kind === 'retained' ? retained.reviewOn : null,
    lookFirst: (!settled && lookFirst) || mayBeThere,
    distrust: !settled && (lookFirst || unread || (differs && !problem)),
    mismatches: problem ? 0 : mismatches,
    externalIds:
      isMissed && !settled
        ? null
        : idsNow(loaded.externalIds, want.presence === 'carried' || (gone && dataDone) ? [] : result.externalIds),
    recheck: outcomes.some((o) => o.kind === 'unknown') || (settled && !ledger.rereading && (isMissed || mayBeThere)),
    touched: true,
  };
}

/** Null where nothing is to be written. */
function idsNow(before: readonly string[], now: string[]): string[] | null {
  return now.length === before.length && now.every((id, at) => id === before[at]) ? null : now;
}

/** Ends the part until something changes: a person is needed, or the law keeps it. */
function final(outcome: Outcome): boolean {
  return needsPerson(outcome) || outcome.kind === 'retained';
}

function retryAfterMs(outcomes: Outcome[], differs: boolean, stricter: string[]): number {
  if (stricter.length > 0) return 0;
  const waits = outcomes.map((o) => {
    if (o.kind === 'retry')
      return o.code === 'already_exists' || o.code === 'gone_at_vendor' ? 0 : (o.afterMs ?? DEFAULT_RETRY_MS);
    if (o.kind === 'unknown') return UNKNOWN_RETRY_MS;
    // The connector saw something stricter that the engine does not take for news: no hurry.
    if (o.kind === 'unauthorised' || o.kind === 'stricter') return DEFAULT_RETRY_MS;
    return 0;
  });
  return Math.max(differs ? MISMATCH_RETRY_MS : 0, ...waits);
}

/** A delivery that needs no call: what is there was read back as wanted before, or there is nothing to hold. */
export function settledWithoutCall(planned: Planned, outcome: Outcome, options: { touched: boolean }): Recorded {
  const { ledger, contact } = planned.loaded;
  const newHashes: Verified | null =
    outcome.kind === 'unchanged'
      ? null
      : {
          dataHash: isSuccess(outcome) ? planned.dataHash : null,
          consentHash: isSuccess(outcome) ? planned.consentHash : null,
          key: null,
          consents: {},
          presence: 'gone',
        };
  return {
    contactId: contact.id,
    startedWanted: ledger.wanted,
    contactVersion: contact.version,
    settled: true,
    notBeforeMs: null,
    verified: newHashes,
    dataOutcome: outcome.kind,
    dataCode: codeOf(outcome) ?? (outcome.kind === 'carried' ? outcome.by : null),
    dataField: null,
    consentOutcome: outcome.kind,
    consentCode: codeOf(outcome),
    message: null,
    reviewOn: null,
    // Nobody has looked.
    lookFirst: ledger.lookFirst,
    distrust: false,
    mismatches: 0,
    externalIds: outcome.kind === 'carried' ? [] : null,
    recheck: false,
    touched: options.touched,
  };
}
