/**
 * The trace of one batch: a span of its own with a call under it for each request to the vendor, and in the trace of each change that the
 * batch carries one span for the delivery. The two are linked, because a batch serves many changes and a change is served by several batches.
 */
import { isSuccess } from '../domain/outcome.ts';
import { carriedBy } from '../store/changes.ts';
import type { Carried, Held } from '../store/changes.ts';
import type { Db } from '../store/db.ts';
import type { Recorded } from '../store/record.ts';
import { newContext, SpanKind } from './spans.ts';
import type { Attributes, SpanContext, Traces } from './spans.ts';

/** What a call is for: writing what is wanted, or reading what is there. */
export type Step = 'write' | 'read_back';

interface Called {
  name: string;
  step: Step;
  startMs: number;
  endMs: number;
  isFailed: boolean;
}

export interface BatchTraceOptions {
  traces: Traces;
  db: Db;
  system: string;
  callClass: string;
}

export class BatchTrace {
  readonly #options: BatchTraceOptions;
  readonly #startMs = Date.now();
  readonly #context = newContext();
  readonly #calls: Called[] = [];
  #carried: Carried[] = [];
  #step: Step = 'read_back';

  constructor(options: BatchTraceOptions) {
    this.#options = options;
  }

  /** Looks up what the batch carries, of what was loaded for it and not of what came since. */
  async look(held: readonly Held[]): Promise<void> {
    const { db, system } = this.#options;
    // Whatever becomes of a trace, the work goes on.
    this.#carried = await carriedBy(db, system, held).catch(() => []);
  }

  /** What the calls from now on are for. */
  to(step: Step): void {
    this.#step = step;
  }

  /** A call to the vendor has just ended. */
  called(name: string, seconds: number, isFailed: boolean): void {
    const endMs = Date.now();
    this.#calls.push({ name, step: this.#step, startMs: endMs - seconds * 1000, endMs, isFailed });
  }

  /** The batch was recorded: tells all of it. */
  recorded(results: readonly Recorded[]): void {
    const { traces } = this.#options;
    const endMs = Date.now();
    const carriedOf = Map.groupBy(this.#carried, ({ contactId }) => contactId);
    const deliveries: SpanContext[] = [];
    for (const result of results) {
      for (const { key, door, agoMs } of carriedOf.get(result.contactId) ?? []) {
        const origin = traces.origin(key);
        if (origin === null) continue;
        const context = newContext(origin);
        deliveries.push(context);
        traces.tell({
          name: `deliver ${this.#options.system}`,
          startMs: this.#startMs,
          endMs,
          context,
          // Whoever writes elsewhere than at the API tells nothing: there the deliveries begin the trace.
          parent: door === 'api' ? origin : null,
          links: [this.#context],
          attributes: { ...this.#about(), 'plumbline.waited_ms': Math.round(agoMs), ...outcomeOf(result) },
          failed: !result.settled,
        });
      }
    }
    if (deliveries.length > 0) this.#tell(endMs, results.length, deliveries, false);
  }

  /** It ended before it was recorded. Told only where calls were made: to wait in vain for a turn is no event. */
  broke(): void {
    if (this.#calls.length > 0) this.#tell(Date.now(), 0, [], true);
  }

  #tell(endMs: number, contacts: number, links: SpanContext[], failed: boolean): void {
    const { traces, system } = this.#options;
    traces.tell({
      name: `batch ${system}`,
      startMs: this.#startMs,
      endMs,
      context: this.#context,
      links,
      attributes: { ...this.#about(), 'plumbline.contacts': contacts },
      failed,
    });
    for (const call of this.#calls) {
      traces.tell({
        name: `${system} ${call.name}`,
        kind: SpanKind.CLIENT,
        startMs: call.startMs,
        endMs: call.endMs,
        context: newContext(this.#context),
        parent: this.#context,
        attributes: { ...this.#about(), 'plumbline.call': call.name, 'plumbline.step': call.step },
        failed: call.isFailed,
      });
    }
  }

  #about(): Attributes {
    return { 'plumbline.system': this.#options.system, 'plumbline.class': this.#options.callClass };
  }
}

function outcomeOf(result: Recorded): Attributes {
  return {
    'plumbline.outcome': result.dataOutcome,
    'plumbline.consent_outcome': result.consentOutcome,
    // The end of the way: read back as wanted, now or, where nothing was to be done, before.
    'plumbline.verified':
      result.settled && isSuccess({ kind: result.dataOutcome }) && isSuccess({ kind: result.consentOutcome }),
    'plumbline.settled': result.settled,
  };
}
