/** A vendor's stricter state is a withdrawal, written to the record first with the reading as its evidence. */
import type { Observation } from '../connectors/kit/connector.ts';
import type { ContactId } from '../domain/contact.ts';
import { recordConsents } from '../store/consents.ts';
import { asWriter } from '../store/db.ts';
import type { Deps, SystemRuntime } from './deps.ts';

export async function recordWithdrawals(
  deps: Deps,
  runtime: SystemRuntime,
  contactId: ContactId,
  shown: Pick<Observation, 'changedAt'>,
  purposes: string[],
): Promise<void> {
  await asWriter(deps.db, { actor: `vendor:${runtime.name}`, door: 'vendor' }, async (tx) => {
    await recordConsents(
      tx,
      purposes.map((purpose) => ({
        contactId,
        purpose,
        kind: 'withdrawn' as const,
        happenedAt: shown.changedAt ?? null,
        channel: `vendor:${runtime.rules.connector}`,
        statement: null,
        byPerson: false,
      })),
    );
  });
}
