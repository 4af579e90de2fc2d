/** Reading contacts. An address to find somebody by is in the body: addresses in URLs end in logs. */
import { z } from 'zod';
import { activeHoldsOf } from '../../store/erasure.ts';
import { contactVersion, contactVersions, findContactsByEmail } from '../../store/contacts.ts';
import { deliveriesOf } from '../../store/delivery-views.ts';
import { consentsOf, etagOf, existingContact, shown, standingContact } from '../contact-view.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { about, bodyProblems, contactId, problems } from '../schemas/common.ts';
import { ContactOut, ContactWithConsents, Delivery } from '../schemas/contact.ts';

const TAG = 'contacts';
const params = z.object({ id: contactId });

const VersionOut = z
  .object({
    version: z.int(),
    at: z.string(),
    actor: z.string().describe('Who: a key, a process, or sql: and a database account'),
    door: z.string(),
    reason: z.string().nullable(),
    contact: ContactOut,
  })
  .meta({ id: 'ContactVersion' });

export function addContactReadRoutes(app: Api, { db, config, reads }: DoorDeps): void {
  app.get(
    '/v1/contacts/:id',
    {
      schema: {
        ...about(TAG, 'A contact with the consents and holds that stand'),
        params,
        response: { 200: ContactWithConsents, ...problems('not_found', 'erased') },
      },
    },
    async (request, reply) => {
      const contact = await standingContact(db, request.params.id);
      await reads.note(request, [contact.id]);
      const [consents, holds] = await Promise.all([
        consentsOf(db, config, contact.id),
        activeHoldsOf(db, [contact.id]),
      ]);
      const kept = holds.map(({ id, ground, until, reviewOn }) => ({ id, ground, until, reviewOn }));
      return reply.header('etag', etagOf(contact)).send({ ...shown(contact), consents, holds: kept });
    },
  );

  app.post(
    '/v1/contacts/find',
    {
      schema: {
        ...about(TAG, 'Every contact that holds an address, the oldest first'),
        body: z.strictObject({ email: z.string().max(1_000) }),
        response: { 200: z.object({ contacts: z.array(ContactOut) }), ...bodyProblems() },
      },
    },
    async (request) => {
      const found = await findContactsByEmail(db, request.body.email);
      await reads.note(
        request,
        found.map((c) => c.id),
      );
      return { contacts: found.map(shown) };
    },
  );

  app.get(
    '/v1/contacts/:id/versions',
    {
      schema: {
        ...about(TAG, 'All versions with who, when, why and by which door; the newest first'),
        params,
        querystring: z.strictObject({ limit: z.coerce.number().int().min(1).max(500).optional() }),
        response: { 200: z.object({ versions: z.array(VersionOut) }), ...problems('not_found', 'erased') },
      },
    },
    async (request) => {
      const contact = await standingContact(db, request.params.id);
      await reads.note(request, [contact.id]);
      const versions = await contactVersions(db, contact.id, request.query.limit ?? 100);
      return { versions: versions.map((v) => ({ ...v, contact: shown(v.contact) })) };
    },
  );

  app.get(
    '/v1/contacts/:id/versions/:version',
    {
      schema: {
        ...about(TAG, 'One version'),
        params: params.extend({ version: z.coerce.number().int().min(1).max(2_147_483_647) }),
        response: { 200: VersionOut, ...problems('not_found', 'erased') },
      },
    },
    async (request) => {
      const contact = await standingContact(db, request.params.id);
      await reads.note(request, [contact.id]);
      const version = await contactVersion(db, contact.id, request.params.version);
      if (version === undefined) throw new Problem('not_found', 'The contact has no such version.');
      return { ...version, contact: shown(version.contact) };
    },
  );

  app.get(
    '/v1/contacts/:id/deliveries',
    {
      schema: {
        ...about(
          TAG,
          'What each system holds of a contact, as last read back',
          'Erased contacts too: how far they are gone.',
        ),
        params,
        response: { 200: z.object({ deliveries: z.array(Delivery) }), ...problems('not_found') },
      },
    },
    async (request) => {
      const contact = await existingContact(db, request.params.id);
      await reads.note(request, [contact.id]);
      return { deliveries: await deliveriesOf(db, contact.id) };
    },
  );
}
