/** From anything thrown to a problem document and one log line, neither with a text of the request in it. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { ZodError } from 'zod';
import { ContactRefused } from '../store/contacts.ts';
import { sqlState } from '../store/db.ts';
import type { Api } from './deps.ts';
import { Problem, problemDocument } from './errors.ts';
import type { FieldFault } from './errors.ts';
import { OperationRefused } from '../temporal/asked.ts';
import type { Refusals } from './refusals.ts';
import { safeSegment } from './text.ts';

export const PROBLEM_TYPE = 'application/problem+json';

export function addProblemHandler(app: Api, refusals: Refusals): void {
  app.setErrorHandler(async (error, request, reply) => {
    const problem = problemOf(error);
    if (problem.status >= 500) request.log.error({ error: describe(error) }, problem.code);
    try {
      await refusals.note(request, problem);
    } catch (failed) {
      request.log.error({ error: describe(failed) }, 'refusal_not_recorded');
    }
    return sendProblem(reply, request, problem);
  });
  app.setNotFoundHandler(async (request, reply) =>
    sendProblem(reply, request, new Problem('no_such_route', 'See /docs for what there is.')),
  );
}

export async function sendProblem(
  reply: FastifyReply,
  request: FastifyRequest,
  problem: Problem,
): Promise<FastifyReply> {
  if (problem.status === 401) void reply.header('www-authenticate', 'Bearer realm="plumbline"');
  if (problem.retryAfterSeconds !== undefined) void reply.header('retry-after', String(problem.retryAfterSeconds));
  if (problem.currentVersion !== undefined) void reply.header('etag', `"${problem.currentVersion}"`);
  return reply.code(problem.status).type(PROBLEM_TYPE).send(problemDocument(problem, request.id));
}

/** The problem that an error stands for; whatever nobody foresaw is `internal`. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ContactRefused) {
    return new Problem(error.code, error.message, { currentVersion: error.currentVersion });
  }
  if (error instanceof OperationRefused) return new Problem(error.code, error.message);
  if (hasZodFastifySchemaValidationErrors(error)) return validationProblem(error);
  return ofFramework(error) ?? ofDatabase(error) ?? new Problem('internal', 'The log has more under this request id.');
}

function ofFramework(error: unknown): Problem | null {
  switch (codeOf(error) ?? '') {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem('body_too_large', 'Send it in smaller parts.');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem('media_type_not_supported', 'Send application/json.');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new Problem('body_not_json', 'The body and its length do not agree, or it is no JSON.');
    default:
      return null;
  }
}

/** SQLSTATE classes and socket errors that mean: not now. Nothing was written, the same request may be sent again. */
const AWAY = /^(?:08...|53...|57P0.|40001|40P01|55P03|ECONN\w+|ENOTFOUND|ETIMEDOUT|EPIPE|EAI_AGAIN)$/;

function ofDatabase(error: unknown): Problem | null {
  const state = sqlState(error) ?? '';
  const lost =
    error instanceof Error && /^(?:Connection terminated|timeout exceeded|timeout expired)/.test(error.message);
  if (AWAY.test(state) || lost || (error instanceof Error && error.name === 'KnexTimeoutError')) {
    return new Problem('database_unavailable', 'Nothing was written. Send the same again in a moment.', {
      retryAfterSeconds: 2,
    });
  }
  return null;
}

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

const IN_OF_CONTEXT: Record<string, FieldFault['in']> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'header',
};

interface ZodValidationError {
  validationContext?: string | undefined;
  validation: { keyword: string; instancePath: string; message?: string; params?: Record<string, unknown> }[];
}

function validationProblem(error: unknown): Problem {
  const { validation, validationContext } = error as ZodValidationError;
  const where = IN_OF_CONTEXT[validationContext ?? 'body'] ?? 'body';
  // An id or name of the wrong form is one that nobody has.
  if (where === 'path') return new Problem('not_found', 'There is no such thing.');
  const faults = faultsOfIssues(validation, where);
  return new Problem('validation_failed', 'See faults for each field and what was expected.', { faults });
}

/** What is wrong with a value that zod refused, in the same words as for a whole request. */
export function zodFaults(error: ZodError): FieldFault[] {
  const issues = error.issues.map((issue) => ({
    keyword: issue.code,
    instancePath: `/${issue.path.map(String).join('/')}`,
    message: issue.message,
    params: issue.code === 'unrecognized_keys' ? { keys: issue.keys } : {},
  }));
  return faultsOfIssues(issues, 'body');
}

function faultsOfIssues(issues: ZodValidationError['validation'], where: FieldFault['in']): FieldFault[] {
  return issues.slice(0, 50).map((issue) => ({
    in: where,
    path:
      issue.instancePath === '/'
        ? ''
        : issue.instancePath
            .split('/')
            .map((s) => (s === '' ? s : safeSegment(s)))
            .join('/'),
    expected: expectation(issue),
  }));
}

/** Zod's own messages name types, lengths and choices; only those about unknown keys repeat what was sent. */
function expectation(issue: ZodValidationError['validation'][number]): string {
  if (issue.keyword === 'unrecognized_keys') {
    const keys = issue.params?.['keys'];
    const named = Array.isArray(keys) ? keys.map((key) => safeSegment(String(key))).join(', ') : '…';
    return `no other fields than those described; unknown: ${named}`;
  }
  if (issue.keyword === 'invalid_union' || issue.keyword === 'invalid_key' || issue.keyword === 'invalid_element') {
    return 'one of the forms described';
  }
  return issue.message ?? 'the form described';
}

/**
 * What the log may know of an error. Messages are left out: PostgreSQL's and JSON's repeat values. The frames of the stack say
 * where it was.
 */
export function describe(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const more = error as Error & { code?: unknown; constraint?: unknown; table?: unknown; routine?: unknown };
  return {
    type: error.name,
    code: more.code,
    constraint: more.constraint,
    table: more.table,
    routine: more.routine,
    stack: (error.stack ?? '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 12)
      .join('\n'),
    cause: error.cause === undefined ? undefined : describe(error.cause),
  };
}
