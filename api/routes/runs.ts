/** Runs of retention, reconciliation and scans: what they found, and the question that a braked run asks. */
import { z } from 'zod';
import { runKey } from '../../domain/change-key.ts';
import { recordDecision, wasUsed } from '../../store/cases.ts';
import { getRun, listDrifts, listRuns, runItems } from '../../store/runs.ts';
import type { RunRow } from '../../store/runs.ts';
import { actorOf } from '../auth.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { ask } from '../handing-over.ts';
import { about, contactId, problems, writeProblems } from '../schemas/common.ts';
import { accepted } from '../tracing.ts';
import { Decision, DecisionTaken, refuseWithoutGround } from './cases.ts';

const TAG = 'runs';
const KINDS = ['retention', 'reconciliation', 'first_scan', 'changes'] as const;

const run = {
  id: z.uuid(),
  kind: z.enum(KINDS),
  system: z.string().nullable(),
  state: z.enum(['running', 'asking', 'approved', 'refused', 'done', 'failed']),
  counts: z.record(z.string(), z.unknown()),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  decidedBy: z.string().nullable(),
  temporalUi: z.string().nullable(),
};
const RunOut = z.object(run).meta({ id: 'Run' });

const RunDetails = z
  .object({
    ...run,
    items: z.array(
      z.object({ contactId, action: z.string(), reasons: z.array(z.string()), doneAt: z.string().nullable() }),
    ),
    drifts: z.array(
      z.object({
        id: z.int(),
        kind: z.string(),
        contactId: contactId.nullable(),
        externalId: z.string().nullable(),
        fields: z.array(z.string()),
        foundAt: z.string(),
      }),
    ),
    nextItems: contactId.nullable().describe('For itemsAfter, where there is more'),
    nextDrifts: z.int().nullable().describe('For driftsAfter, where there is more'),
  })
  .meta({ id: 'RunDetails' });

export function addRunRoutes(app: Api, { db, operations, once }: DoorDeps): void {
  const out = (found: RunRow): z.output<typeof RunOut> => ({
    ...found,
    temporalUi: operations.temporalUi({ kind: 'run', runId: found.id }),
  });

  app.get(
    '/v1/runs',
    {
      schema: {
        ...about(TAG, 'Runs, the newest first'),
        querystring: z.strictObject({
          kind: z.enum(KINDS).optional(),
          system: z.string().min(1).max(100).optional(),
          limit: z.coerce.number().int().min(1).max(500).optional(),
        }),
        response: { 200: z.object({ runs: z.array(RunOut) }), ...problems() },
      },
    },
    async (request) => {
      const { kind, system, limit } = request.query;
      const found = await listRuns(db, {
        ...(kind === undefined ? {} : { kind }),
        ...(system === undefined ? {} : { system }),
        ...(limit === undefined ? {} : { limit }),
      });
      return { runs: found.map(out) };
    },
  );

  app.get(
    '/v1/runs/:id',
    {
      schema: {
        ...about(TAG, 'A run with the contacts it is about and the differences it found, in pages'),
        params: z.object({ id: z.uuid() }),
        querystring: z.strictObject({
          itemsAfter: contactId.optional(),
          driftsAfter: z.coerce.number().int().min(0).optional(),
          limit: z.coerce.number().int().min(1).max(1_000).optional(),
        }),
        response: { 200: RunDetails, ...problems('not_found') },
      },
    },
    async (request) => {
      const found = await getRun(db, request.params.id);
      if (found === undefined) throw new Problem('not_found', 'There is no such run.');
      const { itemsAfter, driftsAfter, limit = 200 } = request.query;
      const [items, drifts] = await Promise.all([
        runItems(db, found.id, { limit, ...(itemsAfter === undefined ? {} : { after: itemsAfter }) }),
        listDrifts(db, found.id, { limit, ...(driftsAfter === undefined ? {} : { after: driftsAfter }) }),
      ]);
      return {
        ...out(found),
        items,
        drifts,
        nextItems: items.length === limit ? (items.at(-1)?.contactId ?? null) : null,
        nextDrifts: drifts.length === limit ? (drifts.at(-1)?.id ?? null) : null,
      };
    },
  );

  app.post(
    '/v1/runs/:id/decision',
    {
      schema: {
        ...about(TAG, 'Answer a run that stopped and asks'),
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
        const found = await getRun(tx, id);
        if (found === undefined) throw new Problem('not_found', 'There is no such run.');
        if (found.state !== 'asking') throw new Problem('already_decided', `The run is in the state '${found.state}'.`);
        return recordDecision(tx, {
          subject: `run:${id}`,
          verdict,
          decidedBy: actorOf(request),
          ...(ground === undefined ? {} : { ground }),
        });
      });
      // Told again, it may have been taken long ago.
      if (!(await wasUsed(db, decisionId))) await ask(request.log, async () => operations.decideRun(id, decisionId));
      return reply.code(202).send({ decisionId });
    },
  );

  app.post(
    '/v1/retention/runs',
    {
      schema: {
        ...about(
          TAG,
          'Look now for contacts that the retention rules no longer keep',
          'A dry run: its list waits for a decision.',
        ),
        response: { 202: z.object({ runId: z.uuid() }), ...writeProblems('already_running', 'temporal_unavailable') },
      },
    },
    async (request, reply) => {
      const runId = await ask(request.log, async () =>
        operations.startRetention(actorOf(request), once.facts(request, reply)),
      );
      accepted(request, runKey(runId));
      return reply.code(202).header('location', `/v1/runs/${runId}`).send({ runId });
    },
  );
}
