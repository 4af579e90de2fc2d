/**
 * Finds workflows whose workflow task fails again and again: code that cannot replay, a payload that cannot be read. Temporal retries these for
 * ever and shows them as running, so nobody else would tell.
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { Db } from '../store/db.ts';
import { noteStuck } from '../store/stuck.ts';
import type { StuckWorkflow } from '../store/stuck.ts';

/** A task that failed so often will not end by itself; the third attempt comes within seconds. */
export const STUCK_AT_ATTEMPT = 4;
/** Workflows besides the lanes that one round looks at. */
const LOOKED_AT = 300;
const RUNNING = `ExecutionStatus = 'Running'`;

/** Every lane, and of the others as many as a round allows. @returns what is stuck, the most tried first */
export async function findStuck(client: Client): Promise<StuckWorkflow[]> {
  const stuck: StuckWorkflow[] = [];
  for (const [query, atMost] of [
    [`${RUNNING} AND WorkflowType = 'lane'`, Infinity],
    [`${RUNNING} AND WorkflowType != 'lane'`, LOOKED_AT],
  ] as const) {
    let looked = 0;
    for await (const { workflowId, type } of client.workflow.list({ query })) {
      if (looked >= atMost) break;
      looked += 1;
      // One that ended meanwhile must not end the round.
      const found = await client.workflow
        .getHandle(workflowId)
        .describe()
        .catch(() => null);
      const attempt = found?.raw.pendingWorkflowTask?.attempt ?? 0;
      if (attempt >= STUCK_AT_ATTEMPT) stuck.push({ id: workflowId, type, attempt, foundAt: new Date().toISOString() });
    }
  }
  return stuck.toSorted((a, b) => b.attempt - a.attempt);
}

/** One round: what is stuck is named in the database and, when it is found first, in the log. */
export async function lookForStuck(
  { db, client, log }: { db: Db; client: Client; log: Logger },
  known: ReadonlySet<string>,
): Promise<Set<string>> {
  const stuck = await findStuck(client);
  await noteStuck(db, stuck);
  for (const { id, type, attempt } of stuck)
    if (!known.has(id))
      log.error({ workflow: id, type, attempt }, 'A workflow cannot make progress: its task fails again and again');
  return new Set(stuck.map(({ id }) => id));
}
