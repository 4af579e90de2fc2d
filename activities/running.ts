/** A batch under way, as its steps see it. */
import type { BatchTrace } from '../telemetry/batch-trace.ts';
import type { Deps, SystemRuntime } from './deps.ts';
import type { Turn } from './precedence.ts';

export interface BatchContext {
  deps: Deps;
  runtime: SystemRuntime;
  token: number;
  turn: Turn;
  closing: AbortSignal;
  /** The last batches needed a call for nearly all of theirs: the token is taken first, and the record loaded once, after it. */
  expectsCalls: boolean;
  onCall: (name: string) => void;
  /** So long it waited for a token, a connection, a late reading, or more urgent work. */
  onWaited: (ms: number) => void;
}

/** `trace`: null where nobody traces. */
export type Running = BatchContext & { trace: BatchTrace | null };

/** Between two steps: more urgent batches pass. */
export async function giveWay({ turn, onWaited }: Running): Promise<void> {
  onWaited(await turn.giveWay());
}

/** For each of many records: see `Turn.breathe`. */
export async function breathe({ turn, onWaited }: Running): Promise<number> {
  const ms = await turn.breathe();
  onWaited(ms);
  return ms;
}
