/** Pieces that many doors share, and the problem documents that each may answer with. */
import { z } from 'zod';
import { PROBLEM_CODES, PROBLEMS } from '../errors.ts';
import type { ProblemCode } from '../errors.ts';

export const contactId = z.uuid().describe('Opaque id of a contact');
export const fault = z
  .object({
    in: z.enum(['body', 'query', 'path', 'header']),
    path: z.string().describe('JSON pointer'),
    expected: z.string().describe('What was expected; never what was sent'),
    code: z.string().optional(),
  })
  .meta({ id: 'Fault' });

export const ProblemDocument = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(PROBLEM_CODES),
    detail: z.string(),
    instance: z.string().describe('urn:uuid: and the id of the request, under which the log has it'),
    faults: z.array(fault).optional(),
    currentVersion: z.int().optional().describe('With version_conflict: the version that stands'),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem document; the codes are explained in docs/errors.md' });

const ALWAYS: readonly ProblemCode[] = [
  'body_not_json',
  'text_not_allowed',
  'key_missing',
  'key_unknown',
  'key_expired',
  'key_revoked',
  'role_missing',
  'validation_failed',
  'too_many_requests',
  'internal',
  'database_unavailable',
];
const WITH_BODY: readonly ProblemCode[] = ['body_too_large', 'media_type_not_supported'];

/**
 * Response schemas for the problems that a door may answer with, by status; those that every door shares are added.
 * The type is empty on purpose: handlers throw problems, they never send them.
 */
export function problems(...codes: ProblemCode[]): Record<never, never> {
  const byStatus: Record<number, ProblemCode[]> = {};
  for (const code of [...ALWAYS, ...codes]) (byStatus[PROBLEMS[code].status] ??= []).push(code);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, all]) => [
      status,
      {
        description: [...new Set(all)].join(', '),
        content: { 'application/problem+json': { schema: ProblemDocument } },
      },
    ]),
  );
}

/** Like `problems`, for doors that take a body. */
export function bodyProblems(...codes: ProblemCode[]): Record<never, never> {
  return problems(...WITH_BODY, ...codes);
}

/** Like `bodyProblems`, for doors that change something: each of them takes an idempotency key. */
export function writeProblems(...codes: ProblemCode[]): Record<never, never> {
  return bodyProblems('idempotency_key_busy', 'idempotency_key_reused', ...codes);
}

/** Security, tag and summary of a door under /v1. */
export function about(
  tag: string,
  summary: string,
  description?: string,
): {
  tags: string[];
  summary: string;
  description?: string;
  security: Record<string, string[]>[];
} {
  return { tags: [tag], summary, ...(description === undefined ? {} : { description }), security: [{ key: [] }] };
}
