/**
 * Finds workflows whose workflow task fails again and again: code that cannot replay, a payload that cannot be read. Temporal retries these for
 * ever and shows them as running, so nobody else would tell.
 *
 * A server says itself which they are (`TemporalReportedProblems`, set at the fifth failure in a row, within a minute). One that does not know that
 * attribute is gone through in turns, so that each open workflow is looked at within five minutes.
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { Db } from '../store/db.ts';
import { noteStuck } from '../store/stuck.ts';
import type { StuckWorkflow } from '../store/stuck.ts';

/** A task that failed so often will not end by itself; the third attempt comes within seconds. */
export const STUCK_AT_ATTEMPT = 4;
/** What a server writes of a task that failed, and of one that ran out of time, again and again. */
const REPORTED = `TemporalReportedProblems IN ('category=WorkflowTaskFailed', 'category=WorkflowTaskTimedOut')`;
const RUNNING = `ExecutionStatus = 'Running'`;
/** Named at most; many more have one cause, which a few show as well. */
const NAMED_AT_MOST = 1_000;
/** Looked at in one round, every half minute and what it takes: all of 100,000 in five. A few where the server reports, lest it stops to. */
const TURN = { silent: 20_000, reporting: 200 } as const;
const AT_ONCE = 16;
const PAGE = 1_000;
/** gRPC's INVALID_ARGUMENT. */
const INVALID = 3;

/** Looks in rounds, and goes on where the last one ended. */
export class StuckFinder {
  readonly #client: Client;
  readonly #turn: { silent: number; reporting: number };
  readonly #reported: string;
  /** Where the next turn goes on in the list of all that is open. */
  #next: Uint8Array = new Uint8Array();
  #known: ReadonlySet<string> = new Set();
  #isClosed = false;

  /** @param reported how the server is asked what it reports; for tests, as `turn` is */
  constructor(client: Client, turn: { silent: number; reporting: number } = TURN, reported = REPORTED) {
    this.#client = client;
    this.#turn = turn;
    this.#reported = reported;
  }

  /** One round: what is stuck is named in the database and, when it is found first, in the log. */
  async round(db: Db, log: Logger): Promise<StuckWorkflow[]> {
    const stuck = await this.find();
    if (this.#isClosed) return stuck;
    await noteStuck(db, stuck);
    for (const { id, type, attempt } of stuck)
      if (!this.#known.has(id))
        log.error({ workflow: id, type, attempt }, 'A workflow cannot make progress: its task fails again and again');
    this.#known = new Set(stuck.map(({ id }) => id));
    return stuck;
  }

  /** Ends a round that is under way, without a word of it. */
  close(): void {
    this.#isClosed = true;
  }

  /** Every lane, what the server reports, what was stuck in the last round, and the next turn of all. @returns the most tried first */
  async find(): Promise<StuckWorkflow[]> {
    const lanes = await this.#list(`${RUNNING} AND WorkflowType = 'lane'`);
    const reported = await this.#list(`${RUNNING} AND ${this.#reported}`).catch((error: unknown) => {
      if (isInvalid(error)) return null;
      throw error;
    });
    const turn = await this.#takeTurn(reported === null ? this.#turn.silent : this.#turn.reporting);
    const all = new Set([...this.#known, ...turn, ...lanes, ...(reported ?? [])]);
    const stuck: StuckWorkflow[] = [];
    const left = all.values();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const id of left) {
          if (this.#isClosed) return;
          const found = await this.#look(id);
          if (found !== null) stuck.push(found);
        }
      }),
    );
    return stuck.toSorted((a, b) => b.attempt - a.attempt).slice(0, NAMED_AT_MOST);
  }

  async #look(id: string): Promise<StuckWorkflow | null> {
    // One that ended meanwhile must not end the round.
    const found = await this.#client.workflow
      .getHandle(id)
      .describe()
      .catch(() => null);
    const attempt = found?.raw.pendingWorkflowTask?.attempt ?? 0;
    if (found === null || attempt < STUCK_AT_ATTEMPT) return null;
    return { id, type: found.type, attempt, foundAt: new Date().toISOString() };
  }

  async #list(query: string): Promise<string[]> {
    const open: string[] = [];
    for await (const { workflowId } of this.#client.workflow.list({ query, pageSize: PAGE })) {
      if (open.length >= NAMED_AT_MOST) break;
      open.push(workflowId);
    }
    return open;
  }

  /** The next so many of all that is open; at the end of the list it begins anew with the next round. */
  async #takeTurn(size: number): Promise<string[]> {
    const { connection, options } = this.#client;
    const open: string[] = [];
    while (open.length < size && !this.#isClosed) {
      const from = this.#next;
      // Where the place is not known any more (another server, an emptied store), the next round begins anew.
      this.#next = new Uint8Array();
      const page = await connection.workflowService.listWorkflowExecutions({
        namespace: options.namespace,
        query: RUNNING,
        pageSize: Math.min(PAGE, size - open.length),
        nextPageToken: from,
      });
      open.push(...page.executions.flatMap(({ execution }) => execution?.workflowId ?? []));
      this.#next = page.nextPageToken;
      if (page.nextPageToken.length === 0) break;
    }
    return open;
  }
}

/** True where the server does not know what a query names. */
function isInvalid(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: number } };
  return cause?.code === INVALID;
}
