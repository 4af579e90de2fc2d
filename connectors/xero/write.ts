/** Writes of many contacts with an outcome for each. */
import type { Contact } from 'xero-node';
import type { Outcome } from '../../domain/outcome.ts';
import type { Gate } from '../kit/connector.ts';
import { halving } from '../kit/halve.ts';
import type { Written } from './client.ts';
import { refusalOf } from './faults.ts';
import type { Refusal } from './faults.ts';
import { chunks } from './find.ts';
import { WRITE_BATCH } from './limits.ts';
import { valuesOf } from './mapping.ts';
import type { Session } from './session.ts';

export type ElementResult =
  | { kind: 'written'; contact: Contact }
  | { kind: 'refused'; refusal: Refusal }
  | { kind: 'outcome'; outcome: Outcome };

/** New contacts, by PUT. Same length, same order. */
export function createAll(session: Session, elements: Contact[], gate: Gate): Promise<ElementResult[]> {
  return inBatches(session, elements, async (some) => {
    const written = await session.client.create(some, session.createKeys.keyOf(some), gate);
    const isOpen = written.kind === 'outcome' && written.outcome.kind === 'unknown';
    if (!isOpen) session.createKeys.answered(some);
    return written;
  });
}

/** Changes of existing contacts, each with its ContactID. Same length, same order. */
export function updateAll(session: Session, elements: Contact[], gate: Gate): Promise<ElementResult[]> {
  return inBatches(session, elements, (some) => session.client.update(some, gate));
}

async function inBatches(
  session: Session,
  elements: Contact[],
  run: (some: Contact[]) => Promise<Written>,
): Promise<ElementResult[]> {
  const results: ElementResult[] = [];
  for (const batch of chunks(elements, WRITE_BATCH)) {
    results.push(
      ...(await halving<Contact, ElementResult>(
        batch,
        async (some) => {
          const written = await run(some);
          if (written.kind === 'refused_whole') return 'refused_whole';
          if (written.kind === 'outcome') return some.map(() => written);
          return written.contacts.map((contact, index) => resultOfElement(session, contact, some[index]));
        },
        () => ({ kind: 'outcome', outcome: { kind: 'rejected', code: 'refused_alone' } }),
      )),
    );
  }
  return results;
}

function resultOfElement(session: Session, contact: Contact, element: Contact | undefined): ElementResult {
  if (contact.hasValidationErrors !== true && contact.statusAttributeString !== 'ERROR') {
    session.recent.note(contact);
    return { kind: 'written', contact };
  }
  const messages = (contact.validationErrors ?? []).flatMap((error) => error.message ?? []);
  return { kind: 'refused', refusal: refusalOf(messages, valuesOf(element)) };
}
