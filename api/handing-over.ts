/** Asking Temporal after the facts were committed. */
import type { FastifyBaseLogger } from 'fastify';
import { Problem } from './errors.ts';
import { OperationRefused } from '../temporal/asked.ts';
import { describe } from './problem-handler.ts';

/** How long a request waits for Temporal where it need not. */
const TRY_MS = 5_000;

/** @throws Error when the promise takes longer; it goes on, and nobody looks at it any more */
export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs an operation without which the request is not done.
 * @throws OperationRefused as it comes; Problem temporal_unavailable for everything else
 */
export async function ask<T>(log: FastifyBaseLogger, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    if (error instanceof OperationRefused || error instanceof Problem) throw error;
    log.error({ error: describe(error) }, 'temporal_unavailable');
    throw new Problem('temporal_unavailable', 'What was to be recorded is recorded. Send the same again in a moment.', {
      retryAfterSeconds: 5,
    });
  }
}

/** Runs an operation that a sweep would make up for. @returns false when it did not work now */
export async function tryNow(log: FastifyBaseLogger, operation: () => Promise<void>): Promise<boolean> {
  try {
    await within(TRY_MS, operation());
    return true;
  } catch (error) {
    log.warn({ error: describe(error) }, 'temporal_unavailable');
    return false;
  }
}
