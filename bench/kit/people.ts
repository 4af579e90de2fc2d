/** Made-up customers, put into the record by SQL in the name of an import, with a proven newsletter each. */
import { asWriter } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { emptyContact, lockContact } from '../../store/erasure.ts';
import type { Keyring } from '../../store/keyring.ts';

const STEP = 20_000;

/** Adds `count` customers with the references `b<from>` on, who belong in all three systems. */
export async function addCustomers(db: Db, count: number, from = 0): Promise<void> {
  for (let at = from; at < from + count; at += STEP) {
    const last = Math.min(at + STEP, from + count) - 1;
    await db.transaction(async (tx) => {
      await tx.raw(`select set_config('plumbline.door', 'csv', true), set_config('plumbline.actor', 'bench', true)`);
      await tx.raw(
        `insert into contacts (external_ref, given_name, family_name, emails, phones, organisation, street, city, postcode, country,
           relationship, source, obtained_at)
         select 'b' || n, 'Given' || n, 'Family' || n, array['b' || n || '@example.com'], array['+44 20 7946 ' || lpad((n % 10000)::text, 4, '0')],
           'Sample ' || n % 1000 || ' Ltd', n || ' High Street', 'Leeds', 'LS1 4AP', 'GB', 'customer', 'website', '2026-10-01'
         from generate_series(?::integer, ?::integer) n`,
        [at, last],
      );
      await tx.raw(
        `insert into consent_events (contact_id, purpose, kind, happened_at, channel, statement, by_person, recorded_by, door)
         select id, 'newsletter', 'given', '2026-10-02T10:00:00Z', 'web_form', 'newsletter-2025-1', true, 'bench', 'csv'
         from contacts where external_ref in (select 'b' || n from generate_series(?::integer, ?::integer) n)`,
        [at, last],
      );
    });
  }
  await db.raw('analyze contacts, deliveries, consent_events, contact_addresses');
}

/** The transaction that a case runs once it was approved, for some contacts at once. */
export async function erase(db: Db, keyring: Keyring, ids: readonly string[]): Promise<void> {
  await asWriter(db, { actor: 'bench', door: 'engine' }, async (tx) => {
    for (const id of ids) {
      const contact = await lockContact(tx, id);
      if (contact !== undefined) await emptyContact(tx, keyring, contact, 'erased');
    }
  });
}
