/** The audit log of one contact: who did what, when, by which door; free of personal data. */
import { z } from 'zod';
import { auditOf } from '../../store/audit.ts';
import { existingContact } from '../contact-view.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { about, contactId, problems } from '../schemas/common.ts';

const AuditEntryOut = z
  .object({
    id: z.int(),
    at: z.string(),
    kind: z.string(),
    actor: z.string(),
    door: z.string(),
    contactId: z.string().nullable(),
    version: z.int().nullable(),
    system: z.string().nullable(),
    caseId: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: 'AuditEntry' });

export function addAuditRoutes(app: Api, { db }: DoorDeps): void {
  app.get(
    '/v1/audit',
    {
      schema: {
        ...about('audit', 'Entries about a contact, the newest first; erased ones too'),
        querystring: z.strictObject({
          contact: contactId,
          limit: z.coerce.number().int().min(1).max(1_000).optional(),
        }),
        response: { 200: z.object({ entries: z.array(AuditEntryOut) }), ...problems('not_found') },
      },
    },
    async (request) => {
      const contact = await existingContact(db, request.query.contact);
      return { entries: await auditOf(db, contact.id, request.query.limit ?? 200) };
    },
  );
}
