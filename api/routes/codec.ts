/** Temporal's remote codec protocol: opens and seals payloads for whoever may, so that its Web UI and command line show what is in a history. */
import { JSONToPayload, payloadToJSON } from '@temporalio/common/lib/proto-utils.js';
import { z } from 'zod';
import { CodecProblem } from '../../temporal/codec.ts';
import { CODEC_PATH } from '../codec-door.ts';
import type { CodecDoor } from '../codec-door.ts';
import type { Api } from '../deps.ts';
import { Problem } from '../errors.ts';
import { about, bodyProblems } from '../schemas/common.ts';

/** A page of a history in the Web UI is sent at once. */
const BODY_LIMIT = 8 * 1024 * 1024;
const PAYLOADS_AT_MOST = 10_000;

const base64 = z.string().regex(/^[A-Za-z0-9+/_-]*={0,2}$/, 'Base64');
/** `temporal.api.common.v1.Payload` in protobuf's JSON. */
const Payload = z
  .strictObject({
    metadata: z.record(z.string().max(200), base64).nullish(),
    data: base64.nullish(),
  })
  .meta({ id: 'Payload', description: 'temporal.api.common.v1.Payload in protobuf’s JSON' });
const Payloads = z
  .strictObject({ payloads: z.array(Payload).max(PAYLOADS_AT_MOST).default([]) })
  .meta({ id: 'Payloads' });
/** The UI says whether references to outside storage are to be kept; there are none here. */
const querystring = z.strictObject({ preserveStorageRefs: z.enum(['true', 'false']).optional() });

const WAYS = {
  decode: 'Open sealed payloads of Temporal',
  encode: 'Seal payloads for Temporal',
} as const;

export function addCodecRoutes(app: Api, { codec }: CodecDoor): void {
  for (const way of ['decode', 'encode'] as const) {
    // The browser asks before it sends a key: the headers are those of the hook.
    app.options(`${CODEC_PATH}/${way}`, { schema: { hide: true, querystring } }, (_request, reply) =>
      reply.code(204).send(),
    );
    app.post(
      `${CODEC_PATH}/${way}`,
      {
        bodyLimit: BODY_LIMIT,
        schema: {
          ...about('codec', WAYS[way], 'Temporal’s remote codec protocol; the endpoint to name is /v1/codec'),
          querystring,
          body: Payloads,
          response: { 200: Payloads, ...bodyProblems('payload_not_opened') },
        },
      },
      async (request) => {
        const asked = request.body.payloads.map((payload) =>
          JSONToPayload({ metadata: payload.metadata ?? null, data: payload.data ?? null }),
        );
        const made = await codec[way](asked).catch((error: unknown) => {
          if (error instanceof CodecProblem) throw new Problem('payload_not_opened', error.message);
          throw error;
        });
        return { payloads: made.map((payload) => payloadToJSON(payload)) };
      },
    );
  }
}
