/** A shared address changes hands: the vendor's record under it goes over to the contact that supplies it now. */
import type { ContactId } from '../domain/contact.ts';
import { markContacts } from './marks.ts';
import { rows } from './db.ts';
import type { Db } from './db.ts';

export interface Supplier {
  /** Nothing is due, and what the vendor holds was read back. */
  settled: boolean;
  externalIds: string[];
}

/** How the contacts that supply shared records stand in a system. */
export async function suppliers(db: Db, system: string, ids: ContactId[]): Promise<Map<ContactId, Supplier>> {
  if (ids.length === 0) return new Map();
  const found = await rows<{ contactId: ContactId; settled: boolean; externalIds: string[] }>(
    db,
    `select d.contact_id as "contactId", d.wanted = d.settled and d.data_hash is not null as settled,
       array(select e.external_id from external_ids e where e.contact_id = d.contact_id and e.system = d.system and not e.former) as "externalIds"
     from deliveries d where d.system = ? and d.contact_id = any (?::uuid[])`,
    [system, ids],
  );
  return new Map(found.map(({ contactId, ...rest }) => [contactId, rest]));
}

/** Gives a record's id to its new supplier and has it looked at at once: the old holder's data must not stay there. */
export async function handOver(db: Db, system: string, to: ContactId, externalIds: string[]): Promise<void> {
  await rows(
    db,
    `insert into external_ids (contact_id, system, external_id) select ?, ?, unnest(?::text[])
     on conflict (contact_id, system, external_id) do update set former = false`,
    [to, system, externalIds],
  );
  await markContacts(db, system, [to], { priority: 0, distrust: true, rereading: true });
}
