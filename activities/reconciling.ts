/** What follows a reconciliation's scan: the brake, the marks, and the wait until all marked contacts agree again. */
import { Context } from '@temporalio/activity';
import type { ContactId } from '../domain/contact.ts';
import { useDecision } from '../store/cases.ts';
import { oneRow, rows } from '../store/db.ts';
import { markContacts } from '../store/marks.ts';
import { getRun, updateRun } from '../store/runs.ts';
import type { DriftKind } from '../store/runs.ts';
import type { Deps } from './deps.ts';
import { heldCount } from './scanning.ts';

const MARK_BATCH = 500;
/** Kinds that are repaired by making the delivery due again; the others are only reported or were recorded already. */
const REPAIRED: DriftKind[] = [
  'older_value',
  'missing',
  'erased_but_present',
  'purged_but_present',
  'withdrawn_but_subscribed',
];

export interface Assessment {
  toChange: number;
  held: number;
  /** True where the run would change more than its share: nothing is written before somebody answers. */
  asks: boolean;
}

export async function assessRun(deps: Deps, runId: string): Promise<Assessment> {
  const run = await getRun(deps.db, runId);
  const { n: toChange } = await oneRow<{ n: number }>(
    deps.db,
    'select count(distinct contact_id)::integer as n from drifts where run_id = ? and kind = any (?::text[])',
    [runId, REPAIRED],
  );
  const held = run?.system === null || run === undefined ? 0 : await heldCount(deps, run.system);
  const asks = toChange > Math.max(deps.brake.minimum, held * deps.brake.maxShare);
  await updateRun(deps.db, runId, {
    ...(asks ? { state: 'asking' as const } : {}),
    counts: { ...run?.counts, toChange, held },
  });
  return { toChange, held, asks };
}

/** Marks what differs due again, in small batches that never wait for a writer. @returns contacts marked */
export async function markRun(deps: Deps, runId: string): Promise<number> {
  const run = await getRun(deps.db, runId);
  if (run?.system === undefined || run.system === null) return 0;
  if (run.state === 'asking') await updateRun(deps.db, runId, { state: 'approved' });
  let after: string | null = null;
  let marked = 0;
  for (;;) {
    const page: { contactId: ContactId; urgent: boolean }[] = await rows(
      deps.db,
      `select contact_id as "contactId", bool_or(kind in ('erased_but_present', 'withdrawn_but_subscribed')) as urgent
       from drifts where run_id = ? and kind = any (?::text[]) and contact_id is not null and (?::uuid is null or contact_id > ?::uuid)
       group by contact_id order by contact_id limit ?`,
      [runId, REPAIRED, after, after, MARK_BATCH],
    );
    if (page.length === 0) break;
    for (const urgent of [true, false]) {
      let left = page.filter((p) => p.urgent === urgent).map((p) => p.contactId);
      for (let round = 0; left.length > 0 && round < 20; round += 1) {
        const done = new Set(
          await markContacts(deps.db, run.system, left, { priority: urgent ? 0 : 20, distrust: true }),
        );
        marked += done.size;
        left = left.filter((id) => !done.has(id));
        if (left.length > 0) await Context.current().sleep(250);
      }
    }
    after = page.at(-1)?.contactId ?? null;
    Context.current().heartbeat({ marked });
  }
  return marked;
}

/** How many of the run's marked contacts are not read back as wanted yet. */
export async function openOfRun(deps: Deps, runId: string): Promise<number> {
  const { n } = await oneRow<{ n: number }>(
    deps.db,
    `select count(distinct d.contact_id)::integer as n from drifts f
     join deliveries d on d.contact_id = f.contact_id and d.system = f.system
     where f.run_id = ? and f.kind = any (?::text[]) and d.wanted > d.settled`,
    [runId, REPAIRED],
  );
  return n;
}

/** Ends a run with its last counts. */
export async function finishRun(
  deps: Deps,
  runId: string,
  state: 'done' | 'failed' | 'refused',
  counts: Record<string, number>,
): Promise<void> {
  const run = await getRun(deps.db, runId);
  await updateRun(deps.db, runId, { state, counts: { ...run?.counts, ...counts } });
}

export interface RunDecision {
  accepted: boolean;
  verdict: 'approve' | 'refuse' | null;
  by: string | null;
}

/** Takes a decision made at the API or CLI for a run. `accepted` false: not a decision of this run, or used already. */
export async function takeRunDecision(deps: Deps, runId: string, decisionId: string): Promise<RunDecision> {
  const decision = await useDecision(deps.db, decisionId, `run:${runId}`);
  if (decision === undefined) return { accepted: false, verdict: null, by: null };
  await updateRun(deps.db, runId, { decidedBy: decision.decidedBy });
  return { accepted: true, verdict: decision.verdict, by: decision.decidedBy };
}
