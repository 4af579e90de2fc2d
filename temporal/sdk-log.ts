/**
 * The log of Temporal's SDK and of its core, as lines of ours. Their entries carry whatever is at hand: arguments, failures with stack traces,
 * whole requests. So a line here is made anew: the fixed part of the message, and of the rest only named fields in the form of an id or a word.
 */
import type { Logger as SdkLogger, LogMetadata } from '@temporalio/worker';
import type { Logger } from 'pino';

/** Fields that may be told, by either spelling of the SDK's two halves, and what they are called here. */
const FIELDS: Readonly<Record<string, string>> = {
  workflowId: 'workflow',
  workflow_id: 'workflow',
  workflowType: 'type',
  workflow_type: 'type',
  runId: 'run',
  run_id: 'run',
  activityType: 'activity',
  activity_type: 'activity',
  taskQueue: 'queue',
  task_queue: 'queue',
  attempt: 'attempt',
  attempts: 'attempt',
  state: 'state',
  target: 'target',
};
const WORD = /^[\w./:#-]{1,200}$/;
/** Where something that is not fixed may begin. */
const FIXED = /^[^:{}[\]<>=@"`\n]*?(?= '|[:{}[\]<>=@"`\n]|$)/;
const MESSAGE_AT_MOST = 160;
/** The same message is told once in this time, with how often it came: a server that is away is news once. */
const QUIET_MS = 10_000;
const REMEMBERED = 200;

/** Temporal's entries into `log`: errors and warnings at their level, what is only progress as debugging. */
export function sdkLogger(log: Logger): SdkLogger {
  const lines = log.child({ from: 'temporal' });
  const told = new Map<string, { atMs: number; left: number }>();

  /** How often it came since it was told last; null while it is to be quiet. */
  const due = (what: string): number | null => {
    const now = Date.now();
    const last = told.get(what);
    if (last !== undefined && now - last.atMs < QUIET_MS) {
      last.left += 1;
      return null;
    }
    if (told.size >= REMEMBERED) told.clear();
    told.set(what, { atMs: now, left: 0 });
    return last?.left ?? 0;
  };

  const write = (level: 'debug' | 'warn' | 'error', message: string, meta: LogMetadata = {}): void => {
    if (!lines.isLevelEnabled(level)) return;
    const fields = fieldsOf(meta);
    const text = fixedPart(message);
    const before = due(`${text} ${String(fields['queue'])} ${String(fields['workflow'])}`);
    if (before !== null) lines[level]({ ...fields, ...(before === 0 ? {} : { before }) }, text);
  };

  return {
    log(level, message, meta) {
      if (level === 'TRACE') return;
      write(level === 'ERROR' ? 'error' : level === 'WARN' ? 'warn' : 'debug', message, meta);
    },
    // Whole activations, arguments included.
    trace() {},
    debug: (message, meta) => write('debug', message, meta),
    info: (message, meta) => write('debug', message, meta),
    warn: (message, meta) => write('warn', message, meta),
    error: (message, meta) => write('error', message, meta),
  };
}

function fixedPart(message: string): string {
  const text = (FIXED.exec(message)?.[0] ?? '').trim().slice(0, MESSAGE_AT_MOST);
  return text === '' ? 'Temporal says something' : text;
}

function fieldsOf(meta: LogMetadata): Record<string, string | number> {
  const fields: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(meta) as [string, unknown][]) {
    const known = FIELDS[name];
    if (known === undefined) continue;
    if (typeof value === 'number') fields[known] = value;
    else if (typeof value === 'string' && WORD.test(value)) fields[known] = value;
  }
  const fault = faultOf(meta['error'] ?? meta['failure']);
  return fault === undefined ? fields : { ...fields, fault };
}

/** Class of an error and the type of a failure, or the gRPC status that a text of the core names; never the text. */
function faultOf(error: unknown): string | undefined {
  if (error instanceof Error) {
    const type = 'type' in error && typeof error.type === 'string' && WORD.test(error.type) ? ` ${error.type}` : '';
    return `${WORD.test(error.name) ? error.name : 'Error'}${type}`;
  }
  return typeof error === 'string' ? /\b(?:code|status): "?([A-Z][A-Za-z]{2,30})\b/.exec(error)?.[1] : undefined;
}
