/** Asking Temporal after the facts were committed. */
import type { FastifyBaseLogger } from 'fastify';
import { Problem } from './errors.ts';
import { OperationRefused } from './operations.ts';
import { describe } from './problem-handler.ts';

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
    await operation();
    return true;
  } catch (error) {
    log.warn({ error: describe(error) }, 'temporal_unavailable');
    return false;
  }
}
