/** What the doors are given. Nothing in this folder builds a pool or a client. */
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AttributeDeclarations } from '../domain/attributes.ts';
import type { Db } from '../store/db.ts';
import type { Keyring } from '../store/keyring.ts';
import type { Traces } from '../telemetry/spans.ts';
import type { Operations } from '../temporal/asked.ts';
import type { Once } from './once.ts';
import type { CodecDoor } from './codec-door.ts';
import type { Reads } from './reads.ts';
import type { Waiters } from './waiting.ts';

/** The part of the configuration that the doors need; the whole of it fits. */
export interface ApiConfig {
  /** By name. */
  purposes: Readonly<Record<string, unknown>>;
  /** Further attributes of a contact and their types. */
  attributes: AttributeDeclarations;
  /** GDPR Art. 12(3): within one month of receipt. */
  erasure: { deadlineDays: number };
  api: {
    /** How long an idempotency key is remembered. */
    idempotencyHours: number;
    /** How long a request may take to arrive. */
    requestSeconds: number;
    limits: {
      /** Of one API key, in one process. */
      requestsPerMinute: number;
      /** Requests without a good key from one address, in one process. */
      failedKeysPerMinute: number;
    };
    /** Whose `X-Forwarded-For` is believed: addresses or networks of reverse proxies. */
    trustedProxies: readonly string[];
  };
}

export interface ApiDeps {
  db: Db;
  keyring: Keyring;
  config: ApiConfig;
  operations: Operations;
  /** A pino logger. */
  log: FastifyBaseLogger;
  /** Seals and opens payloads for Temporal's UI; left out: nothing is sealed, and no browser is let in. */
  codec?: CodecDoor;
  /** Told of each answer: method, the route's pattern, status, seconds. */
  onAnswered?: (method: string, route: string, status: number, seconds: number) => void;
  /** Where accepted changes are told of; left out where no traces are sent. */
  traces?: Traces | null;
}

/** What the doors share besides. */
export interface DoorDeps extends ApiDeps {
  reads: Reads;
  once: Once;
  waiters: Waiters;
}

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;
