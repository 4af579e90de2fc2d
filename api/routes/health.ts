/** For supervisors: is the process alive, and can its doors do their work. */
import { z } from 'zod';
import { row } from '../../store/db.ts';
import { keyProblem } from '../../store/keyring.ts';
import { schemaProblem } from '../../store/migrate.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { within } from '../handing-over.ts';
import { describe } from '../problem-handler.ts';

const Check = z.object({ ok: z.boolean(), problem: z.string().nullable() });
const Ready = z
  .object({ ready: z.boolean(), database: Check, schema: Check, key: Check, temporal: Check })
  .meta({ id: 'Ready' });
type ReadyAnswer = z.output<typeof Ready>;

const REMEMBER_MS = 1_000;
/** A supervisor asks again soon; a part that is slower than this is away. */
const LOOK_MS = 3_000;
const fine = { ok: true, problem: null };

export function addHealthRoutes(app: Api, { db, keyring, operations, log }: DoorDeps): void {
  app.get(
    '/health',
    {
      schema: {
        tags: ['health'],
        summary: 'The process is alive',
        response: { 200: z.object({ status: z.literal('ok') }) },
      },
    },
    () => ({ status: 'ok' as const }),
  );

  async function check(problem: () => Promise<string | null>, otherwise: string): Promise<z.output<typeof Check>> {
    try {
      const found = await within(LOOK_MS, problem());
      return found === null ? fine : { ok: false, problem: found };
    } catch (error) {
      log.warn({ error: describe(error) }, 'not_ready');
      return { ok: false, problem: otherwise };
    }
  }

  async function look(): Promise<ReadyAnswer> {
    const unknown = { ok: false, problem: 'Not known while the database is away.' };
    const [database, temporal] = await Promise.all([
      check(
        async () => ((await row(db, 'select 1')) === undefined ? 'no answer' : null),
        'The database cannot be reached.',
      ),
      check(async () => operations.problem(), 'Temporal cannot be reached.'),
    ]);
    if (!database.ok) return { ready: false, database, schema: unknown, key: unknown, temporal };
    const schema = await check(async () => schemaProblem(db), 'The schema cannot be read.');
    const key = schema.ok ? await check(async () => keyProblem(db, keyring), 'The key cannot be checked.') : unknown;
    return { ready: schema.ok && key.ok, database, schema, key, temporal };
  }

  // Anybody may ask, so asking often must not cost often.
  let last: { untilMs: number; answer: Promise<ReadyAnswer> } | null = null;
  app.get(
    '/ready',
    {
      schema: {
        tags: ['health'],
        summary: 'Whether the doors can work',
        description: 'Temporal is named but does not decide: without it changes are taken and wait.',
        response: { 200: Ready, 503: Ready },
      },
    },
    async (_request, reply) => {
      if (last === null || last.untilMs < Date.now()) last = { untilMs: Date.now() + REMEMBER_MS, answer: look() };
      const answer = await last.answer;
      return reply.code(answer.ready ? 200 : 503).send(answer);
    },
  );
}
