/** One system as a command asks it: its connector, and a gate that takes from the account's budget as everybody does. */
import { openGate } from '../activities/gate.ts';
import type { EngineGate } from '../activities/gate.ts';
import type { SystemRuntime } from '../activities/deps.ts';
import { buildSystem } from '../app.ts';
import type { App } from '../app.ts';
import { systemRules } from '../config/index.ts';
import { NO_METER } from '../telemetry/metrics.ts';

const ASKED_FOR_MS = 60_000;

export async function withRuntime<T>(
  app: Pick<App, 'config' | 'db' | 'keyring'>,
  system: string,
  fn: (runtime: SystemRuntime, gate: EngineGate) => Promise<T>,
): Promise<T> {
  const runtime = await buildSystem(app, system, systemRules(app.config, system));
  const gate = openGate({
    db: app.db,
    account: runtime.account,
    system: runtime.name,
    meter: NO_METER,
    callClass: 'live',
    callTimeoutMs: runtime.callTimeoutMs,
    concurrency: runtime.concurrency,
    closing: AbortSignal.timeout(ASKED_FOR_MS),
    stopsBetweenCalls: true,
    longestWaitMs: ASKED_FOR_MS,
  });
  try {
    return await fn(runtime, gate);
  } finally {
    runtime.connector.close();
  }
}
