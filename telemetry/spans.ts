/**
 * What is told of a piece of work for a trace. A span is told when it is over, with both of its ends, by whoever did the work: nothing is
 * carried through the code, and nothing is done where no collector is configured.
 *
 * The trace of a change follows from its key (`domain/change-key.ts`), so that API and workers write into one trace without a word between
 * them. Attributes are names of systems, classes, codes, counts: no id of a person, no address, no text.
 */
import { createHash, randomBytes } from 'node:crypto';
import { SpanKind, TraceFlags } from '@opentelemetry/api';
import type { Attributes, SpanContext } from '@opentelemetry/api';

export { SpanKind };
export type { Attributes, SpanContext };

/** A span that is over. */
export interface Told {
  /** One of few. */
  name: string;
  kind?: SpanKind;
  /** Of the Unix epoch, in milliseconds. */
  startMs: number;
  endMs: number;
  attributes: Attributes;
  context: SpanContext;
  parent?: SpanContext | null;
  links?: readonly SpanContext[];
  failed?: boolean;
}

export interface Traces {
  tell(span: Told): void;
  /** The place of a change's first span; null where that trace is not among those that are kept. */
  origin(key: string): SpanContext | null;
  /** Sends what is left. */
  close(): Promise<void>;
}

/** The place of the first span of a change: 16 and 8 bytes of the key's SHA-256. */
export function originOf(key: string): SpanContext {
  const hash = createHash('sha256').update(key).digest('hex');
  return { traceId: hash.slice(0, 32), spanId: hash.slice(32, 48), traceFlags: TraceFlags.SAMPLED };
}

/** A place for a span: in `of`'s trace, or at the start of one of its own. */
export function newContext(of: SpanContext | null = null): SpanContext {
  return {
    traceId: of?.traceId ?? randomBytes(16).toString('hex'),
    spanId: randomBytes(8).toString('hex'),
    traceFlags: TraceFlags.SAMPLED,
  };
}
