/** What of a batch needs a call, and what is settled without one: the record is loaded and projected, contact by contact. */
import type { Item } from '../connectors/kit/connector.ts';
import { parseEmail } from '../domain/address.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { Want } from '../domain/want.ts';
import type { Due } from '../store/claims.ts';
import { handOver, suppliers } from '../store/handover.ts';
import { addNorms, loadForDelivery } from '../store/load.ts';
import type { Loaded } from '../store/load.ts';
import type { Recorded } from '../store/record.ts';
import type { Deps, SystemRuntime } from './deps.ts';
import { settledWithoutCall } from './judging.ts';
import { idsFor, itemFor, planOne } from './planning.ts';
import type { Planned } from './planning.ts';
import { breathe } from './running.ts';
import type { Running } from './running.ts';

const HANDOVER_MS = 500;

/** A contact that needs a call. */
export interface Work {
  planned: Planned;
  item: Item;
}

export interface Triaged {
  work: Work[];
  settled: Recorded[];
  /** What it let others pass for after the record was loaded. */
  waitedMs: number;
}

export async function triage(context: Running, due: Due[]): Promise<Triaged> {
  const { deps, runtime } = context;
  const loaded = await loadForDelivery(
    deps.db,
    deps.keyring,
    runtime.name,
    due.map((d) => d.contactId),
  );
  await context.trace?.look(
    loaded.map(({ contact, events }) => ({
      contactId: contact.id,
      version: contact.version,
      lastEvent: Math.max(0, ...events.map((event) => event.id)),
    })),
  );
  await addNorms(
    deps.db,
    loaded.flatMap((l) => l.missingNorms.map((norm) => ({ contactId: l.contact.id, norm }))),
  );
  const statements = await deps.statements.of(loaded.flatMap((l) => [l, ...l.holders]).flatMap((l) => l.events));
  const work: Work[] = [];
  const settled: Recorded[] = [];
  let waitedMs = 0;
  for (const one of loaded) {
    waitedMs += await breathe(context);
    const planned = planOne(one, runtime.rules, deps.purposes, statements);
    const { want } = planned;
    if (one.suppressed && one.contact.state === 'active') {
      const stop: Outcome = { kind: 'refused', code: 'erased_person' };
      settled.push({
        ...settledWithoutCall(planned, stop, { touched: true }),
        dataOutcome: 'suppressed',
        verified: null,
      });
      continue;
    }
    if (want.presence === 'carried' && hasOwnFormerRecord(one, want)) {
      work.push({ planned, item: leavingItem(planned, runtime) });
      continue;
    }
    if (want.presence === 'carried') {
      const waits = await handedOver(deps, runtime, planned, want);
      if (waits !== null) {
        settled.push(waits);
        continue;
      }
      settled.push(
        settledWithoutCall(planned, { kind: 'carried', by: want.carriedBy ?? '' }, { touched: planned.parts.data }),
      );
      continue;
    }
    if (!planned.parts.data && !planned.parts.consent) {
      settled.push(settledWithoutCall(planned, { kind: 'unchanged' }, { touched: false }));
      continue;
    }
    const ids = idsFor(planned, runtime.name, runtime.rules);
    if ('ambiguous' in ids) {
      const stop: Outcome = { kind: 'ambiguous', code: 'several_records_match' };
      settled.push({ ...settledWithoutCall(planned, stop, { touched: true }), verified: null });
      continue;
    }
    const item = itemFor(planned, runtime.name, ids.ids);
    if (ids.ids.length === 0 && !item.lookFirst && want.presence !== 'present') {
      settled.push(settledWithoutCall(planned, { kind: 'not_held' }, { touched: false }));
      continue;
    }
    work.push({ planned, item });
  }
  return { work, settled, waitedMs };
}

/**
 * A record under a shared address goes over to the contact that supplies it. An emptied contact is done only when that one was read
 * back: until then its data are still there.
 * @returns what to record while that is open; null when there is nothing to wait for
 */
async function handedOver(deps: Deps, runtime: SystemRuntime, planned: Planned, want: Want): Promise<Recorded | null> {
  const { loaded } = planned;
  const to = want.carriedBy ?? '';
  const ids = [...new Set([...loaded.externalIds, ...(loaded.ticket?.externalIds[runtime.name] ?? [])])];
  if (ids.length === 0) return null;
  const supplier = (await suppliers(deps.db, runtime.name, [to])).get(to);
  if (supplier === undefined) return null;
  const owns = supplier.externalIds.length > 0;
  if (!owns) await handOver(deps.db, runtime.name, to, ids);
  if (loaded.contact.state === 'active' || (owns && supplier.settled)) return null;
  const wait: Outcome = { kind: 'retry', code: 'next_holder_supplies', afterMs: HANDOVER_MS };
  return {
    ...settledWithoutCall(planned, wait, { touched: false }),
    settled: false,
    notBeforeMs: HANDOVER_MS,
    verified: null,
    externalIds: null,
  };
}

/** True where the contact was held under another address before it came to share one: that record is theirs alone and has to go. */
function hasOwnFormerRecord(loaded: Loaded, want: Want): boolean {
  const { knownKey, lookFirst } = loaded.ledger;
  const mayBeThere = loaded.externalIds.length > 0 || lookFirst;
  if (!mayBeThere || knownKey === null || want.key === null) return false;
  return keyOf(knownKey) !== keyOf(want.key);
}

function keyOf(address: string): string {
  const parsed = parseEmail(address);
  return parsed.ok ? parsed.key : address;
}

/** Leaves by the former address and our reference only: the record under the shared address is another's by now. */
function leavingItem(planned: Planned, runtime: SystemRuntime): Item {
  const item = itemFor(planned, runtime.name, planned.loaded.externalIds);
  const { knownKey } = planned.loaded.ledger;
  return {
    ...item,
    want: { presence: 'outside', key: null, fields: {}, consents: {} },
    lookFirst: item.externalIds.length === 0,
    identity: { addresses: knownKey === null ? [] : [knownKey], names: item.identity.names },
  };
}
