/** Consent of one contact: the events as evidence, and the state that follows from them (GDPR Art. 7). */
import { z } from 'zod';
import { consentKey } from '../../domain/change-key.ts';
import { CONSENT_KINDS, isKnownEvidence } from '../../domain/consent.ts';
import type { ConsentEvent } from '../../domain/consent.ts';
import { readDate } from '../../domain/dates.ts';
import { DAY_MS } from '../../domain/time.ts';
import { consentEventsOf, recordConsents } from '../../store/consents.ts';
import type { NewConsentEvent } from '../../store/consents.ts';
import { lockContact } from '../../store/erasure.ts';
import { consentsOf, erasedProblem, standingContact } from '../contact-view.ts';
import type { Api, ApiConfig, DoorDeps } from '../deps.ts';
import { Problem } from '../errors.ts';
import type { FieldFault } from '../errors.ts';
import { about, contactId, problems, writeProblems } from '../schemas/common.ts';
import { ConsentNow, Delivery, WaitQuery } from '../schemas/contact.ts';
import { accepted } from '../tracing.ts';
import { deliveriesWhenAsked } from '../wait-answer.ts';

const TAG = 'consents';
const params = z.object({ id: contactId });

const ConsentEventOut = z
  .object({
    id: z.int().describe('The central sequence: the order of recording'),
    purpose: z.string(),
    kind: z.enum(CONSENT_KINDS),
    happenedAt: z.string().nullable(),
    recordedAt: z.string(),
    channel: z.string().nullable(),
    statement: z.string().nullable(),
    recordedBy: z.string(),
    door: z.string(),
    byPerson: z.boolean(),
  })
  .meta({ id: 'ConsentEvent' });

const happened = z
  .string()
  .max(40)
  .refine((text) => readDate(text).ok, 'a day (YYYY-MM-DD) or a moment with its offset (ISO 8601)')
  .describe(
    'When the person did it, as a moment or a day; null when nobody knows. A mere day counts from its start for a given consent, to its end for all else.',
  );

const ConsentEventIn = z
  .strictObject({
    purpose: z.string().min(1).max(60),
    kind: z.enum(CONSENT_KINDS),
    happenedAt: happened.nullable().optional(),
    channel: z.string().min(1).max(60).nullable().optional().describe('How: web_form, paper, phone …'),
    statement: z.string().min(1).max(100).nullable().optional().describe('Id of the exact wording shown'),
    evidence: z.string().max(10_000).nullable().optional().describe('Free text; kept apart and emptied at erasure'),
    byPerson: z
      .boolean()
      .optional()
      .describe(
        'The caller states that the person did this themselves, through the caller’s own form or desk. A given needs when, how and wording then. ' +
          'Only such a given lifts a withdrawal, and only when it happened later.',
      ),
  })
  .meta({ id: 'NewConsentEvent' });
type EventIn = z.output<typeof ConsentEventIn>;

const ConsentsOut = z.object({
  consents: z.record(z.string(), ConsentNow).describe('By purpose'),
  events: z.array(ConsentEventOut).describe('In the order of recording'),
});

export function addConsentRoutes(app: Api, deps: DoorDeps): void {
  const { db, config, reads, once } = deps;

  app.get(
    '/v1/contacts/:id/consents',
    {
      schema: {
        ...about(TAG, 'State per purpose, with what each event did to it and why'),
        params,
        response: { 200: ConsentsOut, ...problems('not_found', 'erased') },
      },
    },
    async (request) => {
      const contact = await standingContact(db, request.params.id);
      await reads.note(request, [contact.id]);
      const events = (await consentEventsOf(db, [contact.id])).get(contact.id) ?? [];
      return { consents: await consentsOf(db, config, contact.id), events };
    },
  );

  app.post(
    '/v1/contacts/:id/consents',
    {
      schema: {
        ...about(
          TAG,
          'Record consent events',
          'Append-only. A withdrawal or refusal counts without proof; a given without when, how and wording counts as unknown. An event that says ' +
            'exactly what is on file already, with the same time, is not recorded again.',
        ),
        params,
        querystring: WaitQuery,
        body: z.strictObject({ events: z.array(ConsentEventIn).min(1).max(50) }),
        response: {
          201: ConsentsAnswer,
          202: ConsentsAnswer.describe('Recorded; some systems are still open when the time to wait is over'),
          ...writeProblems('not_found', 'erased', 'purpose_unknown'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      refuseUnknownPurposes(request.body.events, config);
      refuseHalfProof(request.body.events);
      const { recorded, upTo } = await once.write(
        request,
        reply,
        async (tx) => {
          const contact = await lockContact(tx, id);
          if (contact === undefined) throw new Problem('not_found', 'There is no such contact.');
          if (contact.state === 'erased') throw erasedProblem();
          const known = (await consentEventsOf(tx, [id])).get(id) ?? [];
          const ids = await recordConsents(tx, newEvents(id, request.body.events, known));
          const receipt = { recorded: ids, upTo: Math.max(0, ...known.map((event) => event.id), ...ids) };
          return { receipt, value: receipt };
        },
        async (receipt) => {
          await standingContact(db, id);
          await reads.note(request, [id]);
          return receipt;
        },
      );
      accepted(request, ...recorded.map((event) => consentKey(id, event)));
      const waited = await deliveriesWhenAsked(deps, reply, request.query, id);
      return reply.code(waited?.open === true ? 202 : 201).send({
        recorded,
        known: request.body.events.length - recorded.length,
        consents: await consentsOf(db, config, id, upTo),
        ...(waited === null ? {} : { verified: waited.verified, deliveries: waited.deliveries }),
      });
    },
  );
}

const ConsentsAnswer = z
  .object({
    recorded: z.array(z.int()).describe('Ids of the events that were recorded'),
    known: z.int().describe('How many said nothing new'),
    consents: z.record(z.string(), ConsentNow),
    verified: z.boolean().optional(),
    deliveries: z.array(Delivery).optional(),
  })
  .meta({ id: 'ConsentsAnswer' });

function newEvents(contactId: string, given: EventIn[], known: readonly ConsentEvent[]): NewConsentEvent[] {
  return (
    given
      .map((event) => ({
        contactId,
        purpose: event.purpose,
        kind: event.kind,
        happenedAt: momentOf(event),
        channel: event.channel ?? null,
        statement: event.statement ?? null,
        evidence: event.evidence ?? null,
        byPerson: event.byPerson ?? false,
      }))
      // Without a time it may be a second act of the same kind: a withdrawal is never taken for an old one.
      .filter((event) => event.happenedAt === null || !isKnownEvidence(known, event))
  );
}

/** In UTC. Of a mere day the end that permits less is taken: nobody can show that a consent of the same day came after a withdrawal. */
function momentOf({ kind, happenedAt }: EventIn): string | null {
  const read = readDate(happenedAt ?? '');
  if (!read.ok) return null;
  if (kind === 'given' || read.stated !== read.day) return read.moment;
  return new Date(read.ms + DAY_MS - 1).toISOString();
}

function refuseUnknownPurposes(events: EventIn[], config: ApiConfig): void {
  const faults = events.flatMap((event, at): FieldFault[] =>
    Object.hasOwn(config.purposes, event.purpose)
      ? []
      : [{ in: 'body', path: `/events/${at}/purpose`, expected: `one of: ${Object.keys(config.purposes).join(', ')}` }],
  );
  if (faults.length > 0)
    throw new Problem('purpose_unknown', 'Purposes are declared in the configuration.', { faults });
}

const PROOF = ['happenedAt', 'channel', 'statement'] as const;

/** Who states that the person gave consent must be able to say when, how and to which wording. */
function refuseHalfProof(events: EventIn[]): void {
  const faults = events.flatMap((event, at): FieldFault[] =>
    event.byPerson === true && event.kind === 'given'
      ? PROOF.filter((field) => (event[field] ?? null) === null).map((field) => ({
          in: 'body',
          path: `/events/${at}/${field}`,
          expected: 'a value, because byPerson is stated for a given consent',
        }))
      : [],
  );
  if (faults.length > 0)
    throw new Problem('validation_failed', 'A stated consent of the person needs its proof.', { faults });
}
