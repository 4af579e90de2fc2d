/** Causes: what stops deliveries, one thing to do each, and what a person can do about it. */
import { z } from 'zod';
import { adviceFor } from '../../domain/advice.ts';
import { SHORT_WORD } from '../../domain/short-word.ts';
import { contactsOfCause, getCause, listCauses } from '../../store/causes.ts';
import type { Cause } from '../../store/causes.ts';
import { actorOf } from '../auth.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { ask } from '../handing-over.ts';
import { about, contactId, problems, writeProblems } from '../schemas/common.ts';

const TAG = 'causes';
const SAMPLES = 5;
const params = z.object({ id: z.uuid() });
const word = z.string().regex(SHORT_WORD, 'a short stable word of a-z, 0-9, _ . -');

const cause = {
  id: z.uuid(),
  system: z.string(),
  part: z.enum(['data', 'consent']),
  kind: z.string().describe('Kind of outcome: rejected, refused, ambiguous …'),
  code: z.string().nullable(),
  field: z.string().nullable().describe('The vendor’s property'),
  contacts: z.int().describe('Deliveries that it stops now'),
  openedAt: z.string(),
  assignedTo: z.string().nullable(),
  action: z.enum(['retry', 'skip', 'hand_over']).nullable().describe('What a person did last'),
  reason: z.string().nullable(),
  actedBy: z.string().nullable(),
  actedAt: z.string().nullable(),
  closedAt: z.string().nullable(),
  resolution: z.enum(['converged', 'skipped']).nullable(),
  advice: z.string(),
  temporalUi: z.string().nullable(),
};
const CauseOut = z.object(cause).meta({ id: 'Cause' });
const CauseDetails = z
  .object({ ...cause, contactIds: z.array(contactId).describe('Some of those concerned') })
  .meta({ id: 'CauseDetails' });

const Resolution = z
  .discriminatedUnion('action', [
    z.strictObject({ action: z.literal('retry') }),
    z.strictObject({ action: z.literal('skip'), reason: word }),
    z.strictObject({
      action: z.literal('hand_over'),
      to: word.describe('A team or an account'),
    }),
  ])
  .meta({ id: 'CauseResolution' });

export function addCauseRoutes(app: Api, { db, operations, once }: DoorDeps): void {
  const out = (found: Cause): z.output<typeof CauseOut> => ({
    ...found,
    advice: adviceFor(found.kind, found.code),
    temporalUi: operations.temporalUi({ kind: 'cause', id: found.id }),
  });

  app.get(
    '/v1/causes',
    {
      schema: {
        ...about(TAG, 'What stops deliveries, the most frequent first'),
        querystring: z.strictObject({
          system: z.string().min(1).max(100).optional(),
          closed: z.enum(['true', 'false']).optional().describe('Those that were closed last instead'),
        }),
        response: { 200: z.object({ causes: z.array(CauseOut) }), ...problems() },
      },
    },
    async (request) => {
      const { system, closed } = request.query;
      const found = await listCauses(db, {
        closed: closed === 'true',
        ...(system === undefined ? {} : { system }),
      });
      return { causes: found.map(out) };
    },
  );

  app.get(
    '/v1/causes/:id',
    {
      schema: {
        ...about(TAG, 'One cause, with some of its contacts'),
        params,
        response: { 200: CauseDetails, ...problems('not_found') },
      },
    },
    async (request) => {
      const found = await getCause(db, request.params.id);
      if (found === undefined) throw new Problem('not_found', 'There is no such cause.');
      const contactIds = found.closedAt === null ? await contactsOfCause(db, found, null, SAMPLES) : [];
      return { ...out(found), contactIds };
    },
  );

  app.post(
    '/v1/causes/:id/resolution',
    {
      schema: {
        ...about(TAG, 'Try all of its deliveries again, accept them as they are, or hand the cause over'),
        params,
        body: Resolution,
        response: {
          200: z.object({ done: z.string() }),
          ...writeProblems('not_found', 'already_decided', 'temporal_unavailable'),
        },
      },
    },
    async (request, reply) => ({
      done: await ask(request.log, async () =>
        operations.resolveCause(
          request.params.id,
          { ...request.body, by: actorOf(request) },
          once.facts(request, reply),
        ),
      ),
    }),
  );
}
