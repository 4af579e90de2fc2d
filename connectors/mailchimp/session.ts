/** What the parts of this connector share for one system. */
import type { Outcome } from '../../domain/outcome.ts';
import { GateClosed } from '../kit/connector.ts';
import type { Item, ItemResult } from '../kit/connector.ts';
import type { Client } from './client.ts';
import type { Mapped, Member } from './member.ts';
import { observe } from './member.ts';

export interface Session {
  client: Client;
  mapped: Mapped;
  recent: RecentWrites;
}

/** When Mailchimp says that our latest writes changed something, to read them back by one listing instead of one by one. */
export class RecentWrites {
  readonly #atMs = new Map<string, number>();

  note(member: Member): void {
    const ms = Date.parse(member.last_changed ?? '');
    if (Number.isNaN(ms)) return;
    this.#atMs.delete(member.contact_id);
    this.#atMs.set(member.contact_id, ms);
    // Oldest first out: a map keeps the order of insertion.
    if (this.#atMs.size > 20_000) this.#atMs.delete(this.#atMs.keys().next().value ?? '');
  }

  /** Milliseconds since 1970. */
  at(contactId: string): number | undefined {
    return this.#atMs.get(contactId);
  }
}

/** What an item wants of its only consent target; the strictest where several targets were mapped. */
export type Wish = 'subscribed' | 'unsubscribed' | 'untouched';

export function wishOf(item: Item, targets: readonly string[]): Wish {
  if (!item.parts.consent) return 'untouched';
  const wants = targets.map((target) => item.want.consents[target]).filter((want) => want !== undefined);
  if (wants.some((want) => want.state === 'unsubscribed')) return 'unsubscribed';
  const permitted = wants.length > 0 && wants.every((want) => want.state === 'subscribed' && want.evidence !== '');
  return permitted ? 'subscribed' : 'untouched';
}

/** True where the last reading showed the restriction, so that evidence newer than it may lift it. */
export function isKnownUnsubscribed(item: Item, targets: readonly string[]): boolean {
  return targets.length > 0 && targets.every((target) => item.known?.consents[target] === 'unsubscribed');
}

/** Both parts; `member` is what was last read or answered. */
export function resultOf(
  session: Session,
  item: Item,
  outcomes: { data: Outcome; consent: Outcome },
  member?: Member,
): ItemResult {
  if (member !== undefined) session.recent.note(member);
  const ids = member === undefined ? item.externalIds : [member.contact_id, ...item.externalIds];
  return {
    data: item.parts.data ? outcomes.data : { kind: 'unchanged' },
    consent: item.parts.consent ? outcomes.consent : { kind: 'unchanged' },
    externalIds: [...new Set(ids)],
    ...(member === undefined ? {} : { observation: observe(member, session.mapped) }),
  };
}

export function bothParts(session: Session, item: Item, outcome: Outcome): ItemResult {
  return resultOf(session, item, { data: outcome, consent: outcome });
}

/**
 * Runs the tasks, at most `width` at once, in the order given. The first GateClosed stops those not begun; it is thrown once
 * all begun ones have ended.
 */
export async function fanOut<T>(tasks: readonly (() => Promise<T>)[], width: number): Promise<T[]> {
  const results: T[] = [];
  const errors: unknown[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < tasks.length && errors.length === 0) {
      const at = next;
      next += 1;
      try {
        results[at] = await tasks[at]!();
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(width, tasks.length)) }, work));
  const bug = errors.find((error) => !(error instanceof GateClosed));
  if (bug !== undefined) throw bug;
  if (errors.length > 0) throw errors[0];
  return results;
}
