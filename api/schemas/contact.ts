/** A contact as the doors take and give it. */
import { z } from 'zod';
import { RELATIONSHIPS } from '../../domain/contact.ts';
import { CONSENT_STATES } from '../../domain/consent.ts';
import { contactId } from './common.ts';

const text = (max: number): z.ZodNullable<z.ZodString> => z.string().max(max).nullable();

/** Read by the domain, which says better than a pattern what is wrong with it. */
const date = z.string().max(40).nullable().describe('YYYY-MM-DD, or a moment with its offset (ISO 8601)');

/** All fields that a writer may set. Unknown names (`id`, `version`, `state`, `erasedAt` …) are refused, never dropped. */
const fields = {
  externalRef: text(100).describe('The id of the person in the system of origin'),
  givenName: text(200),
  familyName: text(200),
  emails: z.array(z.string().max(320)).max(20).nullable().describe('The first is the primary one'),
  phones: z.array(z.string().max(60)).max(20).nullable().describe('The first is the primary one'),
  organisation: text(300),
  street: text(500),
  city: text(200),
  postcode: text(40),
  country: z.string().max(60).nullable().describe('ISO 3166-1 alpha-2'),
  locale: text(35).describe('BCP 47'),
  relationship: z.enum(RELATIONSHIPS).nullable(),
  accountManager: text(200),
  source: text(200).describe('Where the data came from (GDPR Art. 14(2)(f))'),
  obtainedAt: date,
  contractEnd: date.describe('YYYY-MM-DD'),
  lastTransactionAt: date,
  attributes: z
    .record(z.string().max(60), z.union([z.string().max(1_000), z.number(), z.boolean(), z.null()]))
    .nullable()
    .describe('Declared with their types in the configuration; merged by name, null takes one away'),
};

const optional = Object.fromEntries(
  Object.entries(fields).map(([name, schema]) => [name, schema.optional()]),
) as unknown as { [F in keyof typeof fields]: z.ZodOptional<(typeof fields)[F]> };

export const ContactFields = z.strictObject(optional).meta({
  id: 'ContactFields',
  description: 'Fields of a contact. Absent ones stay as they are, null ones are emptied (RFC 7396).',
});
export type ContactFieldsIn = z.output<typeof ContactFields>;

export const ContactPatch = z
  .strictObject({
    ...optional,
    expectedVersion: z.int().min(1).optional().describe('As If-Match: answered with 412 when the contact has moved on'),
  })
  .meta({ id: 'ContactPatch' });

export const ContactReplace = ContactFields.omit({ externalRef: true }).meta({
  id: 'ContactByReference',
  description: 'Fields to set on the contact with this reference, which is made when there is none.',
});

export const Delivery = z
  .object({
    system: z.string(),
    state: z
      .enum(['verified', 'due', 'problem', 'retained', 'skipped'])
      .describe(
        'verified: read back as wanted; due: still to do; problem: a person is needed; retained: lawfully kept',
      ),
    dueSince: z.string().nullable(),
    notBefore: z.string().nullable(),
    contactVersion: z.int().nullable().describe('The version that was last settled'),
    verifiedAt: z.string().nullable().describe('When it was last read back'),
    presence: z.string().nullable(),
    data: z.object({ outcome: z.string().nullable(), code: z.string().nullable(), field: z.string().nullable() }),
    consent: z.object({ outcome: z.string().nullable(), code: z.string().nullable() }),
    message: z.string().nullable().describe('What the vendor said, masked'),
    outcomeAt: z.string().nullable(),
    reviewOn: z.string().nullable(),
    externalIds: z.array(z.string()).describe('Ids of the person at the vendor'),
  })
  .meta({ id: 'Delivery' });

export const ConsentNow = z
  .object({
    state: z.enum(CONSENT_STATES),
    since: z.string().nullable(),
    because: z.int().nullable().describe('Event that led to this state'),
    evidence: z.int().nullable().describe('With given: the newest event that proves it'),
    reasons: z.array(z.object({ eventId: z.int(), note: z.string() })).describe('What each event did, and why'),
  })
  .meta({ id: 'ConsentNow' });

const whole = {
  id: contactId,
  version: z.int(),
  state: z.enum(['active', 'purged', 'erased']),
  createdAt: z.string(),
  changedAt: z.string(),
  ...(Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, schema])) as typeof fields),
  // What SQL wrote may be of any form: it is shown as it stands.
  emails: z.array(z.string()),
  phones: z.array(z.string()),
  country: z.string().nullable(),
  obtainedAt: z.string().nullable(),
  contractEnd: z.string().nullable(),
  lastTransactionAt: z.string().nullable(),
  attributes: z.record(z.string(), z.unknown()),
};

export const ContactOut = z.object(whole).meta({ id: 'Contact' });

export const ContactWithConsents = z
  .object({
    ...whole,
    consents: z.record(z.string(), ConsentNow).describe('By purpose'),
    holds: z.array(
      z.object({ id: z.uuid(), ground: z.string(), until: z.string().nullable(), reviewOn: z.string().nullable() }),
    ),
  })
  .meta({ id: 'ContactWithConsents' });

export const WriteAnswer = z
  .object({
    contact: ContactOut,
    verified: z
      .boolean()
      .optional()
      .describe(
        'With wait=verified: true when every system was read back as wanted; false when one needs a person or more time',
      ),
    deliveries: z.array(Delivery).optional(),
  })
  .meta({ id: 'WriteAnswer' });

export const WaitQuery = z.strictObject({
  wait: z.enum(['verified']).optional().describe('Answer when every system was read back'),
  timeoutMs: z.coerce
    .number()
    .int()
    .min(0)
    .max(30_000)
    .optional()
    .describe('At most this long; then 202 (default 10000)'),
});
export type Wait = z.output<typeof WaitQuery>;
