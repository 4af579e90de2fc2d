/**
 * What the doors need of Temporal. Facts are committed in PostgreSQL before any of this is called, so a Temporal that is away costs
 * time and never a change.
 */
import type { ContactId } from '../domain/contact.ts';
import type { Tx } from '../store/db.ts';
import type { ResolveInput } from '../workflows/contracts/index.ts';

/**
 * How the facts of an operation are committed. A door that takes idempotency keys commits a receipt with them; asked again, it gives the receipt
 * back without a change, and what follows in Temporal is repeated, which is safe.
 */
export interface Facts {
  /** Runs `change` in one transaction. What it gives back is plain JSON without a person. */
  commit<R>(change: (tx: Tx) => Promise<R>): Promise<R>;
  /** Puts another receipt in the place of the one that was committed: there is more to tell now. */
  amend(receipt: unknown): Promise<void>;
}

/** Implemented over the Temporal client; tests record what was asked. `facts` left out: committed as they are. */
export interface Operations {
  /** Makes the system's lane look for work now. */
  wake(system: string): Promise<void>;
  /** Stops a lane: calls in flight end, no more are made. `code` says why, in one stable word. */
  pause(system: string, actor: string, code: string, facts?: Facts): Promise<void>;
  /** Opens a paused lane. A lane that saw a restored database opens only with `acceptRestore`. */
  resume(system: string, actor: string, acceptRestore?: boolean, facts?: Facts): Promise<void>;
  /** Marks deliveries due again: those of one contact, or the open ones of one system or of all. @returns how many */
  retry(asked: { system?: string; contactId?: ContactId }, actor: string, facts?: Facts): Promise<number>;
  /** Starts the workflow of a case that stands in the database; does nothing where it runs. */
  openErasure(caseId: string): Promise<void>;
  /** Hands a recorded decision to its case. */
  decideErasure(caseId: string, decisionId: string): Promise<void>;
  /** Starts a reconciliation by hand. @returns the run's id */
  startReconciliation(system: string, actor: string, facts?: Facts): Promise<string>;
  /** Hands a recorded decision to a run that asks. */
  decideRun(runId: string, decisionId: string): Promise<void>;
  /** Starts a retention run (a dry run until somebody approves it). @returns the run's id */
  startRetention(actor: string, facts?: Facts): Promise<string>;
  /** Retries, skips or hands over a cause. @returns a sentence with the count */
  resolveCause(id: string, asked: ResolveInput, facts?: Facts): Promise<string>;
  /** Null when Temporal answers, else one sentence without addresses or secrets. */
  problem(): Promise<string | null>;
  /** Links into Temporal's Web UI, with the right filter; null where no UI is known. */
  temporalUi(of: TemporalUiTarget): string | null;
}

export type TemporalUiTarget =
  | { kind: 'home' }
  | { kind: 'lane'; system: string }
  | { kind: 'case'; caseId: string }
  | { kind: 'run'; runId: string }
  | { kind: 'cause'; id: string };

/** Thrown by an operation that is impossible as things stand; everything else thrown means that Temporal could not be asked. */
export class OperationRefused extends Error {
  readonly code: 'not_found' | 'already_decided' | 'restored_database' | 'already_running';
  constructor(code: OperationRefused['code'], message: string) {
    super(message);
    this.name = 'OperationRefused';
    this.code = code;
  }
}
