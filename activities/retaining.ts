/** The steps of a retention run (storage limitation, GDPR Art. 5(1)(e)): list with reasons, then purge what still qualifies. */
import { Context } from '@temporalio/activity';
import { consentStates } from '../domain/consent.ts';
import type { Contact, ContactId } from '../domain/contact.ts';
import { retentionVerdict } from '../domain/retention.ts';
import { consentEventsOf, knownStatements } from '../store/consents.ts';
import { toContact } from '../store/contacts.ts';
import type { ContactRow } from '../store/contacts.ts';
import { asWriter, oneRow, rows } from '../store/db.ts';
import type { Db, Tx } from '../store/db.ts';
import { activeHoldsOf, closeTickets, emptyContact, lockContact } from '../store/erasure.ts';
import { addRunItems, runItems, startRun, updateRun } from '../store/runs.ts';
import type { Deps } from './deps.ts';

const PAGE = 1_000;

export interface RetentionPlan {
  looked: number;
  toPurge: number;
  active: number;
  /** True where the rules hit more than the configured share: two people must approve. */
  braked: boolean;
}

interface PlanProgress {
  after: string | null;
  looked: number;
}

/** Lists whom the rules hit, with the reasons. Changes nothing. Resumes from its heart-beat. */
export async function planRetention(deps: Deps, runId: string): Promise<RetentionPlan> {
  await startRun(deps.db, 'retention', null, runId);
  const statements = await knownStatements(deps.db);
  const saved = Context.current().info.heartbeatDetails as PlanProgress | undefined;
  let after = saved?.after ?? null;
  let looked = saved?.looked ?? 0;
  for (;;) {
    const page: ContactRow[] = await rows<ContactRow>(
      deps.db,
      `select * from contacts where state = 'active' and (?::uuid is null or id > ?::uuid) order by id limit ?`,
      [after, after, PAGE],
    );
    const contacts = page.map(toContact);
    const hits = await verdicts(deps, deps.db, contacts, statements);
    await addRunItems(
      deps.db,
      runId,
      hits.map((h) => ({ contactId: h.contact.id, action: 'purge', reasons: h.reasons })),
    );
    looked += page.length;
    after = contacts.at(-1)?.id ?? null;
    Context.current().heartbeat({ after, looked } satisfies PlanProgress);
    if (page.length < PAGE) break;
  }
  const { n: toPurge } = await oneRow<{ n: number }>(
    deps.db,
    'select count(*)::integer as n from run_items where run_id = ?',
    [runId],
  );
  const { n: active } = await oneRow<{ n: number }>(
    deps.db,
    `select count(*)::integer as n from contacts where state = 'active'`,
  );
  const braked = toPurge > active * deps.retention.maxShare;
  await updateRun(deps.db, runId, {
    ...(toPurge > 0 ? { state: 'asking' as const } : {}),
    counts: { looked, toPurge, active, braked: braked ? 1 : 0 },
  });
  return { looked, toPurge, active, braked };
}

async function verdicts(
  deps: Deps,
  tx: Db | Tx,
  contacts: Contact[],
  statements: ReadonlySet<string>,
): Promise<{ contact: Contact; reasons: string[] }[]> {
  const ids = contacts.map((c) => c.id);
  const events = await consentEventsOf(tx, ids);
  const holds = await activeHoldsOf(tx, ids);
  const now = deps.now();
  const hits: { contact: Contact; reasons: string[] }[] = [];
  for (const contact of contacts) {
    const consents = consentStates(events.get(contact.id) ?? [], deps.purposes, statements);
    const own = holds
      .filter((h) => h.contactId === contact.id)
      .map((h) => ({
        id: h.id,
        contactId: h.contactId,
        reason: h.ground,
        until: h.until,
        reviewOn: h.reviewOn,
        scope: { kind: 'everything' as const },
      }));
    for (const rule of deps.retention.rules) {
      const verdict = retentionVerdict(contact, consents, own, rule, now);
      if (verdict.purge) {
        hits.push({ contact, reasons: [rule.name, ...verdict.reasons] });
        break;
      }
    }
  }
  return hits;
}

export interface PurgeResult {
  purged: number;
  /** No longer hit when looked at again in the purging transaction (a hold, new activity, a consent). */
  spared: number;
}

/** Purges the run's items. Each is judged again under its lock, in the transaction that empties it. Safe to repeat. */
export async function purgeRun(deps: Deps, runId: string): Promise<PurgeResult> {
  const statements = await knownStatements(deps.db);
  await updateRun(deps.db, runId, { state: 'approved' });
  const result: PurgeResult = { purged: 0, spared: 0 };
  for (;;) {
    const items = await runItems(deps.db, runId, { open: true, limit: 200 });
    if (items.length === 0) return result;
    for (const item of items) {
      const purged = await purgeOne(deps, runId, item.contactId, statements);
      if (purged) result.purged += 1;
      else result.spared += 1;
      Context.current().heartbeat(result);
    }
  }
}

async function purgeOne(deps: Deps, runId: string, id: ContactId, statements: ReadonlySet<string>): Promise<boolean> {
  return asWriter(deps.db, { actor: `run:${runId}`, door: 'engine', reason: 'retention' }, async (tx) => {
    const contact = await lockContact(tx, id);
    const [hit] =
      contact === undefined || contact.state !== 'active' ? [] : await verdicts(deps, tx, [contact], statements);
    if (hit !== undefined) await emptyContact(tx, deps.keyring, hit.contact, 'purged');
    await rows(
      tx,
      `update run_items set done_at = clock_timestamp(), reasons = case when ? then reasons else reasons || 'spared'::text end
       where run_id = ? and contact_id = ?`,
      [hit !== undefined, runId, id],
    );
    return hit !== undefined;
  });
}

/** How many of the run's purged contacts some system still holds; closes tickets of those that are gone everywhere. */
export async function openOfPurge(deps: Deps, runId: string): Promise<number> {
  const { n } = await oneRow<{ n: number }>(
    deps.db,
    `select count(distinct i.contact_id)::integer as n from run_items i join deliveries d on d.contact_id = i.contact_id
     where i.run_id = ? and i.done_at is not null and d.wanted > d.settled`,
    [runId],
  );
  if (n === 0) await closeTickets(deps.db);
  return n;
}
