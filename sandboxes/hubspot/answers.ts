/** The shapes of HubSpot's answers (developers.hubspot.com/docs/api-reference/error-handling, models of @hubspot/api-client). */
import { randomUUID } from 'node:crypto';
import type { Answer } from '../kit/vendor.ts';

export type Category =
  | 'VALIDATION_ERROR'
  | 'OBJECT_NOT_FOUND'
  | 'CONFLICT'
  | 'MISSING_SCOPES'
  | 'INVALID_AUTHENTICATION'
  | 'EXPIRED_AUTHENTICATION'
  | 'RATE_LIMITS';

export interface ErrorDetail {
  message: string;
  code?: string;
  in?: string;
  context?: Record<string, string[]>;
}

/** Why one input, or one request about one record, is refused. */
export interface Problem {
  status: number;
  category: Category;
  message: string;
  context?: Record<string, string[]>;
  errors?: ErrorDetail[];
}

export function ok(body: unknown, more: Partial<Answer> = {}): Answer {
  return { status: 200, body, ...more };
}

/** A request refused as a whole. */
export function refused(problem: Problem, more: Partial<Answer> = {}): Answer {
  const { status, ...rest } = problem;
  return { status, body: { status: 'error', ...rest, correlationId: randomUUID() }, ...more };
}

export function notFound(): Answer {
  return refused({ status: 404, category: 'OBJECT_NOT_FOUND', message: 'resource not found' });
}

export function invalid(message: string, errors?: ErrorDetail[]): Problem {
  return {
    status: 400,
    category: 'VALIDATION_ERROR',
    message,
    ...(errors === undefined ? {} : { errors }),
  };
}

/** 429 as documented under usage guidelines; HubSpot promises no Retry-After. */
export function rateLimited(policyName: string): Answer {
  return {
    status: 429,
    summary: policyName,
    body: {
      status: 'error',
      message: `You have reached your ${policyName.toLowerCase()} limit.`,
      errorType: 'RATE_LIMIT',
      correlationId: randomUUID(),
      policyName,
    },
  };
}

/** One refused input of a batch that went on without it (207). */
export interface BatchError {
  status: 'error';
  category: Category;
  message: string;
  context: Record<string, string[]>;
  links: Record<string, string>;
  errors: ErrorDetail[];
}

export function batchError(problem: Problem, context: Record<string, string[]>): BatchError {
  const { category, message, errors = [] } = problem;
  return { status: 'error', category, message, context: { ...problem.context, ...context }, links: {}, errors };
}

/**
 * The answer of a batch: 207 when inputs failed. Results come in another order than the inputs: HubSpot promises none, so
 * nobody may rely on it.
 */
export function batch(results: unknown[], errors: BatchError[], okStatus: 200 | 201 = 200): Answer {
  const at = new Date().toISOString();
  const times = { requestedAt: at, startedAt: at, completedAt: at };
  const shuffled = results.toReversed();
  if (errors.length === 0) return { status: okStatus, body: { status: 'COMPLETE', results: shuffled, ...times } };
  return {
    status: 207,
    body: { status: 'COMPLETE', results: shuffled, numErrors: errors.length, errors, ...times },
  };
}
