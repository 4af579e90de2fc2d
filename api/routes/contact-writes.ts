/** Creating and changing single contacts. A change, its audit entry and its due marks commit together; NOTIFY wakes the lanes. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { contactKey } from '../../domain/change-key.ts';
import type { Contact, ContactData, ContactId } from '../../domain/contact.ts';
import { emptyContactData } from '../../domain/contact.ts';
import { ContactRefused, createContact, getContactByRef, patchContact } from '../../store/contacts.ts';
import type { Tx } from '../../store/db.ts';
import { lockContact } from '../../store/erasure.ts';
import type { Keyring } from '../../store/keyring.ts';
import { contactFields, mergeAttributes } from '../contact-input.ts';
import { contactAsOf, etagOf, saysNothing, shown } from '../contact-view.ts';
import type { Api, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import type { Made } from '../once.ts';
import { about, contactId, writeProblems } from '../schemas/common.ts';
import { ContactFields, ContactPatch, ContactReplace, WaitQuery, WriteAnswer } from '../schemas/contact.ts';
import type { Wait } from '../schemas/contact.ts';
import { accepted } from '../tracing.ts';
import { deliveriesWhenAsked } from '../wait-answer.ts';

const TAG = 'contacts';
const HEADERS = 'Plumbline-Reason: why, kept with the version.';

export function addContactWriteRoutes(app: Api, deps: DoorDeps): void {
  const { db, keyring, config, reads, once } = deps;

  async function again(receipt: WriteReceipt): Promise<Written> {
    return { contact: await contactAsOf(db, receipt.id, receipt.version), before: receipt.before, again: true };
  }

  async function answer(
    request: FastifyRequest<{ Querystring: Wait }>,
    reply: FastifyReply,
    { contact, before, again: told }: Written,
  ): Promise<FastifyReply> {
    // Whoever changed nothing, or is told again, reads.
    if (told || before === contact.version) await reads.note(request, [contact.id]);
    else accepted(request, contactKey(contact.id, contact.version));
    if (before === null) void reply.header('location', `/v1/contacts/${contact.id}`);
    const status = before === null ? 201 : 200;
    const wait = request.query;
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
          ...writeProblems('suppressed', 'reference_taken', 'erased'),
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
      const written = await once.write(
        request,
        reply,
        async (tx) => {
          await refuseTakenReference(tx, data.externalRef, null);
          return made(await createContact(tx, keyring, data), null);
        },
        again,
      );
      return answer(request, reply, written);
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
          ...writeProblems(
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
      const written = await once.write(
        request,
        reply,
        async (tx) => change(tx, keyring, request.params.id, expected, given),
        again,
      );
      return answer(request, reply, written);
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
          ...writeProblems('suppressed', 'reference_taken', 'erased'),
        },
      },
    },
    async (request, reply) => {
      const given = contactFields({ ...request.body, externalRef: request.params.ref }, config);
      const put = async (): Promise<Written> =>
        once.write(request, reply, async (tx) => putByReference(tx, keyring, given), again);
      const written = await put().catch(async (error: unknown) => {
        // Somebody else made it between our look and our insert: now it is there to be changed.
        if (error instanceof ContactRefused && error.code === 'reference_taken') return put();
        throw error;
      });
      return answer(request, reply, written);
    },
  );
}

/** A contact as a request left it. */
interface Written {
  contact: Contact;
  /** The version before; null when it was made. */
  before: number | null;
  /** Told from a receipt. */
  again: boolean;
}

interface WriteReceipt {
  id: ContactId;
  version: number;
  before: number | null;
}

function made(contact: Contact, before: number | null): Made<WriteReceipt, Written> {
  return {
    receipt: { id: contact.id, version: contact.version, before },
    value: { contact, before, again: false },
  };
}

/** Changes under a lock, so that attributes given by two writers at once are both kept. */
async function change(
  tx: Tx,
  keyring: Keyring,
  id: ContactId,
  expected: number | null,
  given: Partial<ContactData>,
): Promise<Made<WriteReceipt, Written>> {
  const standing = await lockContact(tx, id);
  const merged =
    given.attributes === undefined || standing === undefined
      ? given
      : { ...given, attributes: mergeAttributes(standing.attributes, given.attributes) };
  await refuseTakenReference(tx, given.externalRef ?? null, id);
  return made(await patchContact(tx, keyring, id, expected, merged), standing?.version ?? 0);
}

/** The unique index knows the references of contacts, not their aliases. @throws ContactRefused reference_taken */
async function refuseTakenReference(tx: Tx, ref: string | null, own: ContactId | null): Promise<void> {
  if (ref === null) return;
  const holder = await getContactByRef(tx, ref);
  if (holder !== undefined && holder.id !== own) {
    throw new ContactRefused('reference_taken', 'Another contact has this external reference.');
  }
}

async function putByReference(
  tx: Tx,
  keyring: Keyring,
  given: Partial<ContactData>,
): Promise<Made<WriteReceipt, Written>> {
  const ref = given.externalRef ?? null;
  if (ref === null) throw new Problem('not_found', 'An external reference is a text that is not empty.');
  const { externalRef: _ref, ...fields } = given;
  const there = await getContactByRef(tx, ref);
  if (there !== undefined) return change(tx, keyring, there.id, null, fields);
  const attributes = mergeAttributes({}, fields.attributes ?? {});
  return made(await createContact(tx, keyring, { ...emptyContactData(), ...given, attributes }), null);
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
