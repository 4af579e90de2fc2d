/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the same key with the same request is one change, however often it is sent.
 *
 * A change and its receipt commit together, so a crash leaves both or neither. The receipt has what the answer is told from (ids,
 * versions, counts), never the answer. Refusals change nothing and leave no receipt: the same request is judged anew.
 * Key and request are stored as keyed hashes (HMAC-SHA-256), since either may hold a person.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { canonicalJson } from '../domain/canonical-json.ts';
import { asWriter } from '../store/db.ts';
import type { Tx } from '../store/db.ts';
import { keepReceipt, seenBefore } from '../store/idempotency.ts';
import type { KeyedRequest } from '../store/idempotency.ts';
import type { Facts } from '../temporal/asked.ts';
import { writerOf } from './auth.ts';
import type { ApiDeps } from './deps.ts';
import { Problem } from './errors.ts';

/** A change as the handler has it, and what is kept of it. */
export interface Made<R, V> {
  /** Plain JSON without anything of a person; fields are only ever added, since another release may read it. */
  receipt: R;
  value: V;
}

const MAX_KEY = 255;
/** A String of RFC 9651 section 3.3.3, as the draft asks; the bare form is what many clients send. */
const QUOTED = /^"((?:[\x20-\x21\x23-\x5B\x5D-\x7E]|\\["\\])*)"$/;
const BARE = /^[A-Za-z0-9._:~/+=@-]+$/;

/** The key of a request, or null where none was sent. @throws Problem validation_failed */
export function idempotencyKeyOf(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  const text = typeof header === 'string' ? header.trim() : '';
  const key = QUOTED.exec(text)?.[1]?.replaceAll(/\\(["\\])/g, '$1') ?? (BARE.test(text) ? text : '');
  if (key !== '' && key.length <= MAX_KEY) return key;
  throw new Problem('validation_failed', 'The idempotency key cannot be read.', {
    faults: [
      { in: 'header', path: '/idempotency-key', expected: `one text in quotes, 1 to ${MAX_KEY} characters of ASCII` },
    ],
  });
}

/** Carries out the writes of one server. */
export class Once {
  readonly #deps: Pick<ApiDeps, 'db' | 'keyring' | 'config'>;

  constructor(deps: Pick<ApiDeps, 'db' | 'keyring' | 'config'>) {
    this.#deps = deps;
  }

  /**
   * Makes a change in the caller's name, in one transaction, unless its key was seen.
   * @param again gives the value from the receipt of the first time
   * @throws Problem idempotency_key_busy, idempotency_key_reused, validation_failed, and what the two functions throw
   */
  async write<R, V>(
    request: FastifyRequest,
    reply: FastifyReply,
    change: (tx: Tx) => Promise<Made<R, V>>,
    again: (receipt: R) => Promise<V>,
  ): Promise<V> {
    const { db, config } = this.#deps;
    const keyed = this.#keyed(request);
    const done = await asWriter(db, writerOf(request), async (tx): Promise<Made<R, V> | { receipt: R }> => {
      if (keyed === null) return change(tx);
      const seen = await seenBefore<R>(tx, keyed, config.api.idempotencyHours);
      switch (seen.kind) {
        case 'busy':
          throw new Problem('idempotency_key_busy', 'The first request with this key is under way.', {
            retryAfterSeconds: 1,
          });
        case 'other':
          throw new Problem('idempotency_key_reused', 'A key belongs to one request; a new one needs a new key.');
        case 'again':
          return { receipt: seen.receipt };
        case 'new': {
          const made = await change(tx);
          await keepReceipt(tx, keyed[0]!, made.receipt);
          return made;
        }
      }
    });
    if ('value' in done) return done.value;
    void reply.header('idempotent-replayed', 'true');
    return again(done.receipt);
  }

  /** The same for operations that commit by themselves. */
  facts(request: FastifyRequest, reply: FastifyReply): Facts {
    return {
      commit: async (change) =>
        this.write(
          request,
          reply,
          async (tx) => {
            const receipt = await change(tx);
            return { receipt, value: receipt };
          },
          async (receipt) => Promise.resolve(receipt),
        ),
      amend: async (receipt) => {
        const keyed = this.#keyed(request);
        if (keyed !== null) await keepReceipt(this.#deps.db, keyed[0]!, receipt);
      },
    };
  }

  /** The request under each key of the keyring, the one in use first. */
  #keyed(request: FastifyRequest): KeyedRequest[] | null {
    const key = idempotencyKeyOf(request.headers['idempotency-key']);
    if (key === null || request.apiKey === null) return null;
    const { keyring } = this.#deps;
    const route = `${request.method} ${request.routeOptions.url ?? ''}`;
    const asked = { path: request.params, body: request.body ?? null, ifMatch: request.headers['if-match'] ?? null };
    const requests = keyring.hashes('idempotent_request', canonicalJson(asked));
    return keyring
      .hashes('idempotency_key', `${request.apiKey.id}\n${route}\n${key}`)
      .map((name, at) => ({ name, request: requests[at]! }));
  }
}
