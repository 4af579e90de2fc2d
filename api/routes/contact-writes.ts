/** Creating and changing single contacts. A change, its audit entry and its due marks commit together; NOTIFY wakes the lanes. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Contact, ContactData, ContactId } from '../../domain/contact.ts';
import { emptyContactData } from '../../domain/contact.ts';
import { ContactRefused, createContact, getContactByRef, patchContact } from '../../store/contacts.ts';
import { asWriter } from '../../store/db.ts';
import type { Tx } from '../../store/db.ts';
import { lockContact } from '../../store/erasure.ts';
import type { Keyring } from '../../store/keyring.ts';
import { writerOf } from '../auth.ts';
import { contactFields, mergeAttributes } from '../contact-input.ts';
import { etagOf, saysNothing, shown } from '../contact-view.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { about, bodyProblems, contactId } from '../schemas/common.ts';
import { ContactFields, ContactPatch, ContactReplace, WaitQuery, WriteAnswer } from '../schemas/contact.ts';
import type { Wait } from '../schemas/contact.ts';
import { deliveriesWhenAsked } from '../wait-answer.ts';

const TAG = 'contacts';
const HEADERS = 'Plumbline-Reason: why, kept with the version.';

export function addContactWriteRoutes(app: Api, deps: DoorDeps): void {
  const { db, keyring, config, reads } = deps;

  async function answer(reply: FastifyReply, wait: Wait, contact: Contact, status: 200 | 201): Promise<FastifyReply> {
    const waited = await deliveriesWhenAsked(deps, reply, wait, contact.id);
    void reply.header('etag', etagOf(contact));
    return reply.code(waited?.open === true ? 202 : status).send({
      contact: shown(contact),
      ...(waited === null ? {} : { verified: waited.verified, deliveries: waited.deliveries }),
    });
  }

  app.post(
    '/v1/contacts',
    {
      schema: {
        ...about(TAG, 'Create a contact', HEADERS),
        body: ContactFields,
        querystring: WaitQuery,
        response: {
          201: WriteAnswer,
          202: WriteAnswer.describe('Created; some systems are still open when the time to wait is over'),
          ...bodyProblems('suppressed', 'reference_taken'),
        },
      },
    },
    async (request, reply) => {
      const given = contactFields(request.body, config);
      if (saysNothing(given)) {
        throw new Problem('validation_failed', 'A contact needs at least one field.', {
          faults: [{ in: 'body', path: '', expected: 'at least one field with a value' }],
        });
      }
      const data: ContactData = {
        ...emptyContactData(),
        ...given,
        attributes: mergeAttributes({}, given.attributes ?? {}),
      };
      const contact = await asWriter(db, writerOf(request), async (tx) => {
        await refuseTakenReference(tx, data.externalRef, null);
        return createContact(tx, keyring, data);
      });
      void reply.header('location', `/v1/contacts/${contact.id}`);
      return answer(reply, request.query, contact, 201);
    },
  );

  app.patch(
    '/v1/contacts/:id',
    {
      schema: {
        ...about(
          TAG,
          'Change some fields of a contact',
          `JSON merge patch (RFC 7396). If-Match with the version as entity tag, or expectedVersion, refuses a stale change. ${HEADERS}`,
        ),
        params: z.object({ id: contactId }),
        querystring: WaitQuery,
        body: ContactPatch,
        consumes: ['application/json', 'application/merge-patch+json'],
        response: {
          200: WriteAnswer,
          202: WriteAnswer.describe('Changed; some systems are still open when the time to wait is over'),
          ...bodyProblems(
            'precondition_unclear',
            'not_found',
            'erased',
            'version_conflict',
            'suppressed',
            'reference_taken',
          ),
        },
      },
    },
    async (request, reply) => {
      const { expectedVersion, ...fields } = request.body;
      const expected = expectedOf(request, expectedVersion);
      const given = contactFields(fields, config);
      const { before, after } = await asWriter(db, writerOf(request), async (tx) =>
        change(tx, keyring, request.params.id, expected, given),
      );
      if (after.version === before) await reads.note(request, [after.id]);
      return answer(reply, request.query, after, 200);
    },
  );

  app.put(
    '/v1/contacts/by-reference/:ref',
    {
      schema: {
        ...about(TAG, 'Create a contact by its external reference, or set fields of the one that has it', HEADERS),
        params: z.object({ ref: z.string().min(1).max(400) }),
        querystring: WaitQuery,
        body: ContactReplace,
        response: {
          200: WriteAnswer,
          201: WriteAnswer,
          202: WriteAnswer.describe('Written; some systems are still open when the time to wait is over'),
          ...bodyProblems('suppressed', 'reference_taken'),
        },
      },
    },
    async (request, reply) => {
      const given = contactFields({ ...request.body, externalRef: request.params.ref }, config);
      const { contact, before } = await putByReference(deps, request, given);
      if (before === contact.version) await reads.note(request, [contact.id]);
      if (before === null) void reply.header('location', `/v1/contacts/${contact.id}`);
      return answer(reply, request.query, contact, before === null ? 201 : 200);
    },
  );
}

/** Changes under a lock, so that attributes given by two writers at once are both kept. */
async function change(
  tx: Tx,
  keyring: Keyring,
  id: ContactId,
  expected: number | null,
  given: Partial<ContactData>,
): Promise<{ before: number; after: Contact }> {
  const standing = await lockContact(tx, id);
  const merged =
    given.attributes === undefined || standing === undefined
      ? given
      : { ...given, attributes: mergeAttributes(standing.attributes, given.attributes) };
  await refuseTakenReference(tx, given.externalRef ?? null, id);
  const after = await patchContact(tx, keyring, id, expected, merged);
  return { before: standing?.version ?? 0, after };
}

/** The unique index knows the references of contacts, not their aliases. @throws ContactRefused reference_taken */
async function refuseTakenReference(tx: Tx, ref: string | null, own: ContactId | null): Promise<void> {
  if (ref === null) return;
  const holder = await getContactByRef(tx, ref);
  if (holder !== undefined && holder.id !== own) {
    throw new ContactRefused('reference_taken', 'Another contact has this external reference.');
  }
}

/** @returns the contact, and the version it had before; null when it was made */
async function putByReference(
  { db, keyring }: DoorDeps,
  request: FastifyRequest,
  given: Partial<ContactData>,
): Promise<{ contact: Contact; before: number | null }> {
  const ref = given.externalRef ?? null;
  if (ref === null) throw new Problem('not_found', 'An external reference is a text that is not empty.');
  const { externalRef: _ref, ...fields } = given;
  const attempt = async (): Promise<{ contact: Contact; before: number | null }> =>
    asWriter(db, writerOf(request), async (tx) => {
      const there = await getContactByRef(tx, ref);
      if (there === undefined) {
        const attributes = mergeAttributes({}, fields.attributes ?? {});
        return {
          contact: await createContact(tx, keyring, { ...emptyContactData(), ...given, attributes }),
          before: null,
        };
      }
      const { before, after } = await change(tx, keyring, there.id, null, fields);
      return { contact: after, before };
    });
  try {
    return await attempt();
  } catch (error) {
    // Somebody else made it between our look and our insert: now it is there to be changed.
    if (error instanceof ContactRefused && error.code === 'reference_taken') return attempt();
    throw error;
  }
}

/** The version that the writer saw: from `If-Match` (RFC 9110 section 13.1.1) or the body; null where neither says one. */
function expectedOf(request: FastifyRequest, inBody: number | undefined): number | null {
  const header = request.headers['if-match'];
  if (header === undefined) return inBody ?? null;
  if (header.trim() === '*') return inBody ?? null;
  const found = /^"([1-9]\d{0,9})"$/.exec(header.trim())?.[1];
  if (found === undefined) {
    throw new Problem(
      'precondition_unclear',
      'If-Match takes one strong entity tag as given by ETag, for instance "3".',
    );
  }
  if (inBody !== undefined && inBody !== Number(found)) {
    throw new Problem('precondition_unclear', 'If-Match and expectedVersion name different versions.');
  }
  return Number(found);
}
