/** Who may be written to for a purpose: the count as JSON, the list as CSV. */
import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { appendAudit } from '../../store/audit.ts';
import { recipients } from '../../store/recipients.ts';
import { actorOf } from '../auth.ts';
import { csvLine } from '../../domain/csv-line.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { describe } from '../problem-handler.ts';
import { about, problems } from '../schemas/common.ts';

export const RECIPIENT_COLUMNS = [
  'contactId',
  'email',
  'givenName',
  'familyName',
  'organisation',
  'locale',
  'since',
  'evidence',
] as const;

export function addRecipientRoutes(app: Api, { db, keyring, config }: DoorDeps): void {
  app.get(
    '/v1/purposes/:purpose/recipients',
    {
      schema: {
        ...about(
          'consents',
          'Who may be written to',
          'With Accept: text/csv the list, one line an address, and an audit entry; else the count. A cell that a spreadsheet would run as a formula starts with an apostrophe.',
        ),
        params: z.object({ purpose: z.string().min(1).max(60) }),
        response: {
          200: {
            description: 'The count, or the list as CSV (RFC 4180)',
            content: {
              'application/json': { schema: z.object({ purpose: z.string(), count: z.int() }) },
              'text/csv': { schema: z.string() },
            },
          },
          ...problems('not_found'),
        },
      },
    },
    async (request, reply) => {
      const { purpose } = request.params;
      if (!Object.hasOwn(config.purposes, purpose)) throw new Problem('not_found', 'There is no such purpose.');
      if (!wantsCsv(request.headers.accept)) {
        let count = 0;
        for await (const page of recipients(db, keyring, purpose)) count += page.length;
        return reply.type('application/json').send({ purpose, count });
      }
      // Before the first line leaves: what cannot be recorded is not given out.
      await appendAudit(db, { kind: 'recipients.exported', actor: actorOf(request), door: 'api', detail: { purpose } });
      const lines = async function* (): AsyncGenerator<string> {
        yield csvLine(RECIPIENT_COLUMNS);
        try {
          for await (const page of recipients(db, keyring, purpose)) {
            if (page.length > 0) yield page.map((r) => csvLine(RECIPIENT_COLUMNS.map((column) => r[column]))).join('');
          }
        } catch (error) {
          // The head is sent; a cut connection is the only way left to say that the list is not whole.
          request.log.error({ error: describe(error) }, 'export_cut');
          throw error;
        }
      };
      const csv: FastifyReply = reply;
      return csv
        .type('text/csv; charset=utf-8')
        .header('content-disposition', `attachment; filename="recipients.csv"`)
        .send(Readable.from(lines()));
    },
  );
}

function wantsCsv(accept: string | undefined): boolean {
  return (accept ?? '').split(',').some((type) => type.trim().toLowerCase().startsWith('text/csv'));
}
