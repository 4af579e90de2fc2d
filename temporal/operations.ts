/** What doors ask of the engine: facts first in PostgreSQL, then a word to Temporal. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { Facts, Operations } from './asked.ts';
import { OperationRefused } from './asked.ts';
import { appendAudit } from '../store/audit.ts';
import { getCause } from '../store/causes.ts';
import type { Db, Tx } from '../store/db.ts';
import { distrustAll, retryDeliveries } from '../store/marks.ts';
import { getRun, startRun } from '../store/runs.ts';
import type { RunKind } from '../store/runs.ts';
import { getSystem, listSystems, noteError, setSystemState } from '../store/systems.ts';
import { causeId, erasureId, laneId, reconciliationId, retentionId } from '../workflows/contracts/index.ts';
import {
  decide,
  resolveCause,
  startErasure,
  startReconciliation,
  startRetention,
  tellCause,
  wakeLane,
} from './starters.ts';

/** How often, and how far apart, a decision is handed to a run whose workflow is about to ask. */
const ASKS_SOON = 10;
const ASKS_SOON_MS = 200;

export interface OperationsOptions {
  db: Db;
  client: Client;
  namespace: string;
  /** Base URL of the Temporal Web UI, or null where none is known. */
  uiUrl: string | null;
}

export function createOperations({ db, client, namespace, uiUrl }: OperationsOptions): Operations {
  const writer = (actor: string): { actor: string; door: 'operator' } => ({ actor, door: 'operator' });

  async function wake(system: string): Promise<void> {
    await wakeLane(client, system);
  }

  const plain: Facts = { commit: async (change) => db.transaction(change), amend: async () => Promise.resolve() };

  async function recordRun(tx: Tx, kind: RunKind, system: string | null, actor: string): Promise<string> {
    const runId = await startRun(tx, kind, system, randomUUID());
    const of = system === null ? {} : { system };
    await appendAudit(tx, { kind: 'run.started', ...writer(actor), ...of, detail: { run: runId } });
    return runId;
  }

  async function runWorkflow(runId: string): Promise<string> {
    const run = await getRun(db, runId);
    if (run === undefined) throw new OperationRefused('not_found', 'There is no such run.');
    if (run.state !== 'asking') throw new OperationRefused('already_decided', 'The run asks nothing now.');
    const byHand = run.kind === 'retention' ? retentionId(runId) : reconciliationId(run.system ?? '', runId);
    try {
      await client.workflow.getHandle(byHand).describe();
      return byHand;
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      // Started by a schedule: the run's id is the workflow's run id.
      for await (const found of client.workflow.list({ query: `RunId = '${runId}'` })) return found.workflowId;
      throw new OperationRefused('not_found', 'The workflow of this run is not known any more. Start the run again.');
    }
  }

  return {
    wake,
    async pause(system, actor, code, facts = plain) {
      await facts.commit(async (tx) => {
        if ((await getSystem(tx, system)) === undefined)
          throw new OperationRefused('not_found', 'There is no such system.');
        await setSystemState(tx, system, 'paused', code, writer(actor));
        return {};
      });
      await wake(system);
    },
    async resume(system, actor, acceptRestore = false, facts = plain) {
      const { runId } = await facts.commit(async (tx) => {
        const found = await getSystem(tx, system);
        if (found === undefined) throw new OperationRefused('not_found', 'There is no such system.');
        const restored = found.state === 'guarded';
        if (restored && !acceptRestore) {
          throw new OperationRefused(
            'restored_database',
            'The database shows an older state than this lane has seen: it was restored from a backup. Accept that explicitly to open the lane.',
          );
        }
        if (restored) {
          // The lane's memory of the lost sequence ends with its run; the keeper starts a new one.
          await client.workflow
            .getHandle(laneId(system))
            .terminate('an operator accepted the restored database')
            .catch(() => undefined);
          // In batches of their own, which a crash before the end repeats without harm.
          await distrustAll(db, system);
        }
        await setSystemState(tx, system, found.scanCompletedAt === null ? 'scanning' : 'open', null, writer(actor));
        await noteError(tx, system, null);
        // What the ledger believes to be there is as old as the backup: everything is read and compared again.
        return { runId: restored ? await recordRun(tx, 'reconciliation', system, actor) : null };
      });
      await wake(system);
      if (runId !== null) await startReconciliation(client, system, runId);
    },
    async retry(asked, actor, facts = plain) {
      const { marked } = await facts.commit(async (tx) => {
        // Marks go in batches of their own, so that no writer waits for all of them; marking again after a crash costs a look more.
        const done = await retryDeliveries(db, asked);
        await appendAudit(tx, {
          kind: 'lane.retry',
          ...writer(actor),
          ...(asked.system === undefined ? {} : { system: asked.system }),
          ...(asked.contactId === undefined ? {} : { contactId: asked.contactId }),
          detail: { marked: done },
        });
        return { marked: done };
      });
      for (const { name } of await listSystems(db))
        if (asked.system === undefined || asked.system === name) await wake(name);
      return marked;
    },
    async openErasure(caseId) {
      await startErasure(client, caseId);
    },
    async decideErasure(caseId, decisionId) {
      await startErasure(client, caseId);
      await decided(erasureId(caseId), decisionId);
    },
    async startReconciliation(system, actor, facts = plain) {
      const { runId } = await facts.commit(async (tx) => {
        if ((await getSystem(tx, system)) === undefined)
          throw new OperationRefused('not_found', 'There is no such system.');
        return { runId: await recordRun(tx, 'reconciliation', system, actor) };
      });
      await startReconciliation(client, system, runId);
      return runId;
    },
    async decideRun(runId, decisionId) {
      const workflowId = await runWorkflow(runId);
      // The row says that the run asks a moment before its workflow does.
      for (let attempt = 1; ; attempt += 1) {
        try {
          await decided(workflowId, decisionId);
          return;
        } catch (error) {
          if (!(error instanceof OperationRefused) || attempt >= ASKS_SOON) throw error;
          await sleep(ASKS_SOON_MS);
        }
      }
    },
    async startRetention(actor, facts = plain) {
      const { runId } = await facts.commit(async (tx) => ({ runId: await recordRun(tx, 'retention', null, actor) }));
      await startRetention(client, runId);
      return runId;
    },
    async resolveCause(id, asked, facts = plain) {
      const begun = await facts.commit<{ updateId: string; done?: string }>(async (tx) => {
        const found = await getCause(tx, id);
        if (found === undefined) throw new OperationRefused('not_found', 'There is no such cause.');
        if (found.closedAt !== null) throw new OperationRefused('already_decided', 'The cause is closed.');
        return { updateId: randomUUID() };
      });
      if (begun.done !== undefined) return begun.done;
      await tellCause(client, id);
      // The workflow makes the change; by the id of the update it makes it once, whoever asks again after a crash.
      const done = await resolveCause(client, id, asked, begun.updateId);
      await facts.amend({ ...begun, done });
      return done;
    },
    async problem() {
      try {
        await client.workflowService.getSystemInfo({});
        return null;
      } catch {
        return 'Temporal does not answer. Changes are kept and travel when it is back.';
      }
    },
    temporalUi(of) {
      if (uiUrl === null) return null;
      const base = `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows`;
      switch (of.kind) {
        case 'home':
          return base;
        case 'lane':
          return `${base}/${encodeURIComponent(laneId(of.system))}`;
        case 'case':
          return `${base}/${encodeURIComponent(erasureId(of.caseId))}`;
        case 'cause':
          return `${base}/${encodeURIComponent(causeId(of.id))}`;
        case 'run':
          return `${base}?query=${encodeURIComponent(`WorkflowId ENDS_WITH '${of.runId}' or RunId = '${of.runId}'`)}`;
      }
    },
  };

  async function decided(workflowId: string, decisionId: string): Promise<void> {
    try {
      await decide(client, workflowId, decisionId);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError || error instanceof WorkflowUpdateFailedError) {
        throw new OperationRefused('already_decided', 'The workflow takes no decision now.');
      }
      throw error;
    }
  }
}
