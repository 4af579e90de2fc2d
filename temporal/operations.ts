/** What doors ask of the engine: facts first in PostgreSQL, then a word to Temporal. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { Operations } from './asked.ts';
import { OperationRefused } from './asked.ts';
import { appendAudit } from '../store/audit.ts';
import { getCause } from '../store/causes.ts';
import type { Db } from '../store/db.ts';
import { distrustAll, retryDeliveries } from '../store/marks.ts';
import { getRun, startRun } from '../store/runs.ts';
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

  async function reconcile(system: string, actor: string): Promise<string> {
    const runId = await startRun(db, 'reconciliation', system, randomUUID());
    await appendAudit(db, { kind: 'run.started', ...writer(actor), system, detail: { run: runId } });
    await startReconciliation(client, system, runId);
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
    async pause(system, actor, code) {
      if ((await getSystem(db, system)) === undefined)
        throw new OperationRefused('not_found', 'There is no such system.');
      await setSystemState(db, system, 'paused', code, writer(actor));
      await wake(system);
    },
    async resume(system, actor, acceptRestore = false) {
      const found = await getSystem(db, system);
      if (found === undefined) throw new OperationRefused('not_found', 'There is no such system.');
      if (found.state === 'guarded' && !acceptRestore) {
        throw new OperationRefused(
          'restored_database',
          'The database shows an older state than this lane has seen: it was restored from a backup. Accept that explicitly to open the lane.',
        );
      }
      if (found.state === 'guarded') {
        // The lane's memory of the lost sequence ends with its run; the keeper starts a new one.
        await client.workflow
          .getHandle(laneId(system))
          .terminate('an operator accepted the restored database')
          .catch(() => undefined);
        await distrustAll(db, system);
      }
      await setSystemState(db, system, found.scanCompletedAt === null ? 'scanning' : 'open', null, writer(actor));
      await noteError(db, system, null);
      await wake(system);
      // What the ledger believes to be there is as old as the backup: everything is read and compared again.
      if (found.state === 'guarded') await reconcile(system, actor);
    },
    async retry(asked, actor) {
      const marked = await retryDeliveries(db, asked);
      await appendAudit(db, {
        kind: 'lane.retry',
        ...writer(actor),
        ...(asked.system === undefined ? {} : { system: asked.system }),
        ...(asked.contactId === undefined ? {} : { contactId: asked.contactId }),
        detail: { marked },
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
    async startReconciliation(system, actor) {
      if ((await getSystem(db, system)) === undefined)
        throw new OperationRefused('not_found', 'There is no such system.');
      return reconcile(system, actor);
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
    async startRetention(actor) {
      const runId = await startRun(db, 'retention', null, randomUUID());
      await appendAudit(db, { kind: 'run.started', ...writer(actor), detail: { run: runId } });
      await startRetention(client, runId);
      return runId;
    },
    async resolveCause(id, asked) {
      const found = await getCause(db, id);
      if (found === undefined) throw new OperationRefused('not_found', 'There is no such cause.');
      if (found.closedAt !== null) throw new OperationRefused('already_decided', 'The cause is closed.');
      await tellCause(client, id);
      return resolveCause(client, id, asked);
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
