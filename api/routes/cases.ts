/** Erasure requests and the decisions about them (GDPR Art. 17). The decision is a row first; Temporal carries it out. */
import { z } from 'zod';
import { caseKey } from '../../domain/change-key.ts';
import { SHORT_WORD } from '../../domain/short-word.ts';
import { getCase, listCases, openErasureCase, recordDecision, wasUsed } from '../../store/cases.ts';
import type { CaseRow } from '../../store/cases.ts';
import { lockContact } from '../../store/erasure.ts';
import { actorOf } from '../auth.ts';
import { erasedProblem } from '../contact-view.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { ask, tryNow } from '../handing-over.ts';
import { about, contactId, problems, writeProblems } from '../schemas/common.ts';
import { accepted } from '../tracing.ts';

const TAG = 'cases';

export const Decision = z
  .strictObject({
    verdict: z.enum(['approve', 'refuse']),
    ground: z
      .string()
      .regex(SHORT_WORD, 'a short stable word of small letters, digits, points, underscores, hyphens')
      .optional()
      .describe(
        'Why, as a short word (art17_1_b, legal_claim, identity_not_proven); never names a person. A refusal needs one.',
      ),
  })
  .meta({ id: 'Decision' });

export const DecisionTaken = z.object({ decisionId: z.uuid() }).meta({ id: 'DecisionTaken' });

export const CaseOut = z
  .object({
    id: z.uuid(),
    kind: z.enum(['erasure']),
    contactId,
    state: z.enum(['open', 'approved', 'erasing', 'done', 'refused']),
    requestedBy: z.string(),
    requestedAt: z.string(),
    deadline: z.string(),
    decision: z.enum(['approve', 'refuse']).nullable(),
    decidedBy: z.string().nullable(),
    decidedAt: z.string().nullable(),
    decisionGround: z.string().nullable(),
    summary: z.record(z.string(), z.unknown()).nullable().describe('By system: what came of it'),
    closedAt: z.string().nullable(),
    temporalUi: z.string().nullable(),
  })
  .meta({ id: 'Case' });

/** @throws Problem validation_failed for a refusal without a ground */
export function refuseWithoutGround(decision: z.output<typeof Decision>): void {
  if (decision.verdict === 'approve' || decision.ground !== undefined) return;
  throw new Problem('validation_failed', 'A refusal needs a ground.', {
    faults: [{ in: 'body', path: '/ground', expected: 'a ground, because the verdict is refuse' }],
  });
}

export function addCaseRoutes(app: Api, { db, config, operations, once }: DoorDeps): void {
  const out = (found: CaseRow): z.output<typeof CaseOut> => ({
    ...found,
    temporalUi: operations.temporalUi({ kind: 'case', caseId: found.id }),
  });

  app.post(
    '/v1/contacts/:id/erasure',
    {
      schema: {
        ...about(
          TAG,
          'Ask for the erasure of a contact',
          'A second request while one is open gives the open case. Nothing is erased before it is approved.',
        ),
        params: z.object({ id: contactId }),
        body: z
          .strictObject({
            text: z.string().max(10_000).optional().describe('The request in words; emptied at erasure'),
          })
          .nullish(),
        response: {
          202: z.object({
            caseId: z.uuid(),
            opened: z.boolean().describe('False where a case was open already'),
            started: z
              .boolean()
              .describe('False where Temporal could not be reached yet: it starts as soon as it can be'),
          }),
          ...writeProblems('not_found', 'erased'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const opened = await once.facts(request, reply).commit(async (tx) => {
        const contact = await lockContact(tx, id);
        if (contact === undefined) throw new Problem('not_found', 'There is no such contact.');
        if (contact.state === 'erased') throw erasedProblem();
        const text = request.body?.text;
        return openErasureCase(tx, {
          contactId: id,
          requestedBy: actorOf(request),
          deadlineDays: config.erasure.deadlineDays,
          ...(text === undefined ? {} : { text }),
        });
      });
      if (opened.opened) accepted(request, caseKey(opened.id));
      const started = await tryNow(request.log, async () => operations.openErasure(opened.id));
      void reply.header('location', `/v1/cases/${opened.id}`);
      return reply.code(202).send({ caseId: opened.id, opened: opened.opened, started });
    },
  );

  app.get(
    '/v1/cases',
    {
      schema: {
        ...about(TAG, 'Cases by deadline, open ones first'),
        querystring: z.strictObject({
          state: z.enum(['open', 'closed']).optional(),
          contact: contactId.optional(),
          limit: z.coerce.number().int().min(1).max(1_000).optional(),
        }),
        response: { 200: z.object({ cases: z.array(CaseOut) }), ...problems() },
      },
    },
    async (request) => {
      const { state, contact, limit } = request.query;
      const cases = await listCases(db, {
        ...(state === undefined ? {} : { open: state === 'open' }),
        ...(contact === undefined ? {} : { contactId: contact }),
        ...(limit === undefined ? {} : { limit }),
      });
      return { cases: cases.map(out) };
    },
  );

  app.get(
    '/v1/cases/:id',
    {
      schema: {
        ...about(TAG, 'A case with what came of it in each system'),
        params: z.object({ id: z.uuid() }),
        response: { 200: CaseOut, ...problems('not_found') },
      },
    },
    async (request) => {
      const found = await getCase(db, request.params.id);
      if (found === undefined) throw new Problem('not_found', 'There is no such case.');
      return out(found);
    },
  );

  app.post(
    '/v1/cases/:id/decision',
    {
      schema: {
        ...about(TAG, 'Approve or refuse an erasure'),
        params: z.object({ id: z.uuid() }),
        body: Decision,
        response: { 202: DecisionTaken, ...writeProblems('not_found', 'already_decided', 'temporal_unavailable') },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { verdict, ground } = request.body;
      refuseWithoutGround(request.body);
      const decisionId = await once.facts(request, reply).commit(async (tx) => {
        const found = await getCase(tx, id);
        if (found === undefined) throw new Problem('not_found', 'There is no such case.');
        if (found.state !== 'open') throw new Problem('already_decided', `The case is in the state '${found.state}'.`);
        return recordDecision(tx, {
          subject: `case:${id}`,
          verdict,
          decidedBy: actorOf(request),
          ...(ground === undefined ? {} : { ground }),
        });
      });
      // Told again, it may have been taken long ago.
      if (!(await wasUsed(db, decisionId)))
        await ask(request.log, async () => operations.decideErasure(id, decisionId));
      return reply.code(202).send({ decisionId });
    },
  );
}
