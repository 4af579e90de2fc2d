/** The systems as operators see them, and what they can do: pause, resume, retry, reconcile. */
import { z } from 'zod';
import { runKey } from '../../domain/change-key.ts';
import { SHORT_WORD } from '../../domain/short-word.ts';
import { problemGroups } from '../../store/delivery-views.ts';
import { backlog, budgetUse, getSystem, listSystems } from '../../store/systems.ts';
import type { SystemRow } from '../../store/systems.ts';
import { actorOf } from '../auth.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { ask } from '../handing-over.ts';
import { about, contactId, problems, writeProblems } from '../schemas/common.ts';
import { accepted } from '../tracing.ts';

const TAG = 'systems';
const params = z.object({ name: z.string().min(1).max(100) });

const SystemOut = z
  .object({
    name: z.string(),
    connector: z.string(),
    account: z.string(),
    state: z.enum(['scanning', 'open', 'paused', 'guarded']),
    stateCode: z.string().nullable(),
    stateBy: z.string().nullable(),
    stateAt: z.string(),
    scanCompletedAt: z.string().nullable().describe('When all that it holds was first read; nothing is created before'),
    lastError: z.string().nullable().describe('Masked'),
    lastErrorAt: z.string().nullable(),
    backlog: z.object({
      due: z.int(),
      urgent: z.int(),
      oldestSeconds: z.int().nullable(),
      problems: z.int(),
    }),
    budget: z
      .object({
        perDay: z.int().nullable(),
        perSecond: z.number().nullable().describe('Calls that the account allows in the long run'),
        dayUsed: z.int(),
        inFlight: z.int(),
        blockedUntil: z.string().nullable(),
      })
      .nullable()
      .describe('Of the vendor account, which several systems may share'),
    temporalUi: z.string().nullable(),
  })
  .meta({ id: 'System' });

const ProblemGroupOut = z
  .object({
    system: z.string(),
    part: z.enum(['data', 'consent']),
    kind: z.string(),
    code: z.string().nullable(),
    field: z.string().nullable().describe('The vendor’s property'),
    count: z.int(),
    oldestAt: z.string().nullable(),
    contactIds: z.array(contactId).describe('Some of those concerned'),
  })
  .meta({ id: 'ProblemGroup' });

export function addSystemRoutes(app: Api, { db, operations, once }: DoorDeps): void {
  async function out(system: SystemRow): Promise<z.output<typeof SystemOut>> {
    const [waiting, budget] = await Promise.all([backlog(db, system.name), budgetUse(db, system.account)]);
    return {
      name: system.name,
      connector: system.connector,
      account: system.account,
      state: system.state,
      stateCode: system.stateCode,
      stateBy: system.stateBy,
      stateAt: system.stateAt,
      scanCompletedAt: system.scanCompletedAt,
      lastError: system.lastError,
      lastErrorAt: system.lastErrorAt,
      backlog: waiting,
      budget: budget ?? null,
      temporalUi: operations.temporalUi({ kind: 'lane', system: system.name }),
    };
  }

  async function known(name: string): Promise<SystemRow> {
    const system = await getSystem(db, name);
    if (system === undefined) throw new Problem('not_found', 'There is no such system.');
    return system;
  }

  app.get(
    '/v1/systems',
    {
      schema: {
        ...about(TAG, 'All systems with state, backlog and budget'),
        response: { 200: z.object({ systems: z.array(SystemOut) }), ...problems() },
      },
    },
    async () => ({ systems: await Promise.all((await listSystems(db)).map(out)) }),
  );

  app.post(
    '/v1/systems/:name/pause',
    {
      schema: {
        ...about(TAG, 'Stop a lane'),
        params,
        body: z
          .strictObject({
            code: z.string().regex(SHORT_WORD, 'a short stable word').optional().describe('Why, in one word'),
          })
          .nullish(),
        response: { 200: SystemOut, ...writeProblems('not_found', 'temporal_unavailable') },
      },
    },
    async (request, reply) => {
      const { name } = await known(request.params.name);
      const code = request.body?.code ?? 'operator';
      await ask(request.log, async () => operations.pause(name, actorOf(request), code, once.facts(request, reply)));
      return out(await known(name));
    },
  );

  app.post(
    '/v1/systems/:name/resume',
    {
      schema: {
        ...about(TAG, 'Open a paused or guarded lane'),
        params,
        body: z
          .strictObject({
            acceptRestore: z
              .boolean()
              .optional()
              .describe('Needed where the lane saw that the database was restored from a backup'),
          })
          .nullish(),
        response: { 200: SystemOut, ...writeProblems('not_found', 'restored_database', 'temporal_unavailable') },
      },
    },
    async (request, reply) => {
      const { name } = await known(request.params.name);
      const accept = request.body?.acceptRestore ?? false;
      await ask(request.log, async () => operations.resume(name, actorOf(request), accept, once.facts(request, reply)));
      return out(await known(name));
    },
  );

  app.post(
    '/v1/systems/:name/retry',
    {
      schema: {
        ...about(TAG, 'Try all open work and problems of a system again'),
        params,
        response: { 200: z.object({ marked: z.int() }), ...writeProblems('not_found', 'temporal_unavailable') },
      },
    },
    async (request, reply) => {
      const { name } = await known(request.params.name);
      const marked = await ask(request.log, async () =>
        operations.retry({ system: name }, actorOf(request), once.facts(request, reply)),
      );
      return { marked };
    },
  );

  app.post(
    '/v1/retry',
    {
      schema: {
        ...about(TAG, 'Try again: one contact, one system, or all open work and problems'),
        body: z
          .strictObject({ system: z.string().min(1).max(100).optional(), contactId: contactId.optional() })
          .nullish(),
        response: { 200: z.object({ marked: z.int() }), ...writeProblems('not_found', 'temporal_unavailable') },
      },
    },
    async (request, reply) => {
      const { system, contactId: id } = request.body ?? {};
      if (system !== undefined) await known(system);
      const asked = { ...(system === undefined ? {} : { system }), ...(id === undefined ? {} : { contactId: id }) };
      const marked = await ask(request.log, async () =>
        operations.retry(asked, actorOf(request), once.facts(request, reply)),
      );
      return { marked };
    },
  );

  app.post(
    '/v1/systems/:name/reconcile',
    {
      schema: {
        ...about(TAG, 'Compare everything that a system holds with the record, now'),
        params,
        response: {
          202: z.object({ runId: z.uuid() }),
          ...writeProblems('not_found', 'already_running', 'temporal_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const { name } = await known(request.params.name);
      const runId = await ask(request.log, async () =>
        operations.startReconciliation(name, actorOf(request), once.facts(request, reply)),
      );
      accepted(request, runKey(runId));
      return reply.code(202).header('location', `/v1/runs/${runId}`).send({ runId });
    },
  );

  app.get(
    '/v1/problems',
    {
      schema: {
        ...about(TAG, 'Deliveries that need a person, grouped by what is wrong'),
        querystring: z.strictObject({ system: z.string().min(1).max(100).optional() }),
        response: { 200: z.object({ problems: z.array(ProblemGroupOut) }), ...problems('not_found') },
      },
    },
    async (request) => {
      const { system } = request.query;
      if (system !== undefined) await known(system);
      return { problems: await problemGroups(db, system) };
    },
  );
}
