/** Tells of the steps of cases and runs, each in the trace of its case or run (`domain/change-key.ts`). */
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { caseKey, runKey } from '../domain/change-key.ts';
import { newContext } from '../telemetry/spans.ts';
import type { Traces } from '../telemetry/spans.ts';

/** Steps that do something; others look whether it is done yet, again and again. */
const TOLD: ReadonlySet<string> = new Set([
  'scan',
  'assessRun',
  'markRun',
  'finishRun',
  'takeRunDecision',
  'takeCaseDecision',
  'eraseRecord',
  'closeCase',
  'planRetention',
  'purgeRun',
]);

export function traceSteps(traces: Traces): ActivityInterceptorsFactory {
  return ({ info }) => ({
    inbound: {
      async execute(input, next) {
        const key = TOLD.has(info.activityType) ? keyOf(input.args[0]) : null;
        const origin = key === null ? null : traces.origin(key);
        if (origin === null) return next(input);
        const startMs = Date.now();
        let failed = true;
        try {
          const result = await next(input);
          failed = false;
          return result;
        } finally {
          traces.tell({
            name: info.activityType,
            startMs,
            endMs: Date.now(),
            context: newContext(origin),
            attributes: { 'plumbline.attempt': info.attempt, 'plumbline.queue': info.taskQueue },
            failed,
          });
        }
      },
    },
  });
}

function keyOf(input: unknown): string | null {
  if (typeof input !== 'object' || input === null) return null;
  if ('caseId' in input && typeof input.caseId === 'string') return caseKey(input.caseId);
  return 'runId' in input && typeof input.runId === 'string' ? runKey(input.runId) : null;
}
