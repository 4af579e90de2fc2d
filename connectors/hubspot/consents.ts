/** Subscription statuses (communication preferences v4): of the address, read and written in batches. */
import type { Outcome } from '../../domain/outcome.ts';
import type { Gate, Item, ObservedConsent } from '../kit/connector.ts';
import { halving } from '../kit/halve.ts';
import type { Called } from './client.ts';
import { refusalOf } from './faults.ts';
import type { VendorError } from './faults.ts';
import { BATCH } from './limits.ts';
import type { Read, Session } from './records.ts';
import { stoppedBy } from './records.ts';

const BASE = '/communication-preferences/v4/statuses/batch';
const OBSERVED: Record<string, ObservedConsent> = {
  SUBSCRIBED: 'subscribed',
  UNSUBSCRIBED: 'unsubscribed',
  NOT_SPECIFIED: 'none',
};

export type States = Map<string, Record<string, ObservedConsent>>;

interface StatusRow {
  subscriberIdString?: string;
  statuses?: { subscriptionId?: number | string; status?: string }[];
}

/** State of each mapped subscription by address (lower case); an address without a row was not read. Nothing is asked where none is mapped. */
export async function readStates(session: Session, gate: Gate, addresses: string[]): Promise<Read<States>> {
  const states: States = new Map();
  const unique = [...new Set(addresses.map((a) => a.trim().toLowerCase()).filter((a) => a !== ''))];
  if (session.mapped.consentTargets.length === 0) return { ok: states };
  for (let at = 0; at < unique.length; at += BATCH) {
    const inputs = unique.slice(at, at + BATCH);
    const called = await session.hubspot.request(
      gate,
      'preferences.batch_read',
      'read',
      { method: 'POST', path: `${BASE}/read`, qs: { channel: 'EMAIL' }, body: { inputs } },
      listOf<StatusRow>,
    );
    if (called.kind !== 'ok') return stoppedBy(called);
    for (const row of called.value) {
      if (typeof row.subscriberIdString !== 'string') continue;
      const mine: Record<string, ObservedConsent> = {};
      for (const { subscriptionId, status } of row.statuses ?? []) {
        const target = String(subscriptionId);
        if (session.mapped.consentTargets.includes(target)) mine[target] = OBSERVED[status ?? ''] ?? 'none';
      }
      states.set(row.subscriberIdString.trim().toLowerCase(), mine);
    }
  }
  return { ok: states };
}

function listOf<T>(data: unknown): T[] | undefined {
  const { results } = (typeof data === 'object' && data !== null ? data : {}) as { results?: unknown };
  return Array.isArray(results) ? (results as T[]) : undefined;
}

interface Change {
  item: Item;
  address: string;
  target: string;
  state: 'SUBSCRIBED' | 'UNSUBSCRIBED';
  evidence: string | null;
}

/** What the item wants written, given what is there. `stricter`: the vendor knows of a withdrawal that the record does not. */
export function changesOf(
  item: Item,
  states: States,
  which: 'restrict' | 'permit',
): { changes: Change[]; stricter: boolean; unread?: true } {
  const changes: Change[] = [];
  const address = item.want.key;
  if (!item.parts.consent || address === null) return { changes, stricter: false };
  const row = states.get(address.trim().toLowerCase());
  const permits = Object.values(item.want.consents).some((want) => want.state === 'subscribed');
  // A restriction needs no reading; a permission over an existing record is never written without one.
  if (row === undefined && which === 'permit' && permits && item.externalIds.length > 0) {
    return { changes: [], stricter: false, unread: true };
  }
  const now = row ?? {};
  for (const [target, want] of Object.entries(item.want.consents)) {
    const present = now[target] ?? 'none';
    if (want.state === 'unsubscribed' && which === 'restrict' && present !== 'unsubscribed') {
      changes.push({ item, address, target, state: 'UNSUBSCRIBED', evidence: null });
    }
    if (want.state === 'subscribed' && which === 'permit' && present !== 'subscribed' && want.evidence !== '') {
      if (present === 'unsubscribed' && item.known?.consents[target] !== 'unsubscribed')
        return { changes: [], stricter: true };
      changes.push({ item, address, target, state: 'SUBSCRIBED', evidence: want.evidence });
    }
  }
  return { changes, stricter: false };
}

interface WriteAnswer {
  written: Set<string>;
  errors: VendorError[];
}

const keyOf = (address: string, target: string): string => `${address.trim().toLowerCase()}\n${target}`;

/** Writes the changes; each item gets the worst outcome of its own. */
export async function writeChanges(session: Session, gate: Gate, changes: Change[]): Promise<Map<Item, Outcome>> {
  const outcomes = new Map<Item, Outcome>();
  const put = (item: Item, outcome: Outcome): void => {
    const before = outcomes.get(item);
    if (before === undefined || before.kind === 'applied') outcomes.set(item, outcome);
  };
  for (let at = 0; at < changes.length; at += BATCH) {
    const some = changes.slice(at, at + BATCH);
    await halving(
      some,
      async (part) => {
        const called = await write(session, gate, part);
        if (called.kind === 'refused_whole' && part.length > 1) return 'refused_whole';
        for (const change of part) {
          put(change.item, called.kind === 'ok' ? outcomeOf(change, called.value) : stoppedBy(called).stopped);
        }
        return part;
      },
      (change) => change,
    );
  }
  return outcomes;
}

function outcomeOf(change: Change, answer: WriteAnswer): Outcome {
  const mine = answer.errors.find((error) => concerns(error, change));
  if (mine !== undefined) return refusalOf(mine);
  if (answer.written.has(keyOf(change.address, change.target))) return { kind: 'applied' };
  return { kind: 'unknown', code: 'not_in_answer' };
}

function concerns(error: VendorError, change: Change): boolean {
  const list = (name: string): string[] => {
    const value = error.context?.[name];
    return (Array.isArray(value) ? value : [value]).filter((v) => v !== undefined).map(String);
  };
  const address = list('subscriberIdString').map((a) => a.trim().toLowerCase());
  const target = list('subscriptionId');
  return (
    address.includes(change.address.trim().toLowerCase()) && (target.length === 0 || target.includes(change.target))
  );
}

function write(session: Session, gate: Gate, changes: Change[]): Promise<Called<WriteAnswer>> {
  const inputs = changes.map(({ address, target, state, evidence }) => ({
    subscriberIdString: address,
    subscriptionId: Number(target),
    statusState: state,
    channel: 'EMAIL',
    ...(evidence === null
      ? {}
      : { legalBasis: session.mapped.legalBasis, legalBasisExplanation: `Consent event ${evidence}` }),
  }));
  return session.hubspot.request(
    gate,
    'preferences.batch_write',
    'write',
    { method: 'POST', path: `${BASE}/write`, body: { inputs } },
    (data) => {
      const results = listOf<{ subscriberIdString?: string; subscriptionId?: number | string }>(data);
      if (results === undefined) return undefined;
      const { errors } = data as { errors?: VendorError[] };
      return {
        written: new Set(results.map((r) => keyOf(r.subscriberIdString ?? '', String(r.subscriptionId)))),
        errors: errors ?? [],
      };
    },
  );
}
