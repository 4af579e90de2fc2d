/** A server on a database of its own; Temporal is beyond these tests, so what is asked of it is recorded. */
import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect } from 'vitest';
import type { Api, ApiConfig } from '../../api/deps.ts';
import type { Facts, Operations } from '../../temporal/asked.ts';
import { buildApi } from '../../api/server.ts';
import type { NamedKey } from '../../domain/keys.ts';
import { createKey, ROLES } from '../../store/api-keys.ts';
import type { Role } from '../../store/api-keys.ts';
import { openDb } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { keyringFrom } from '../../store/keyring.ts';
import type { Keyring } from '../../store/keyring.ts';
import { migrate } from '../../store/migrate.ts';
import { createCodec } from '../../temporal/codec.ts';
import { accountUrl } from '../rig/accounts.ts';
import { createDatabase } from '../rig/database.ts';

const template = {
  name: 'api_template',
  async prepare(url: string): Promise<void> {
    const db = openDb({ url, applicationName: 'template', poolMax: 3 });
    await migrate(db);
    await db.destroy();
  },
};

export interface Recorded {
  name: string;
  args: unknown[];
}

export interface RecordingOperations extends Operations {
  asked: Recorded[];
  /** When set, every operation throws it. */
  failure: Error | null;
}

export function recordingOperations(): RecordingOperations {
  const asked: Recorded[] = [];
  const ops: RecordingOperations = {
    asked,
    failure: null,
    wake: (...args) => note('wake', args, undefined),
    pause: (system, actor, code, facts) => note('pause', [system, actor, code], undefined, facts),
    resume: (system, actor, accept, facts) => note('resume', [system, actor, accept], undefined, facts),
    retry: (of, actor, facts) => note('retry', [of, actor], 3, facts),
    openErasure: (...args) => note('openErasure', args, undefined),
    decideErasure: (...args) => note('decideErasure', args, undefined),
    startReconciliation: (system, actor, facts) => note('startReconciliation', [system, actor], randomUUID(), facts),
    decideRun: (...args) => note('decideRun', args, undefined),
    startRetention: (actor, facts) => note('startRetention', [actor], randomUUID(), facts),
    resolveCause: (id, of, facts) => note('resolveCause', [id, of], '3 deliveries are tried again.', facts),
    problem: () => Promise.resolve(ops.failure === null ? null : 'Temporal cannot be reached.'),
    temporalUi: (of) => (of.kind === 'home' ? 'http://127.0.0.1:8233/' : `http://127.0.0.1:8233/${of.kind}`),
  };
  /** As the real ones do: facts are committed first, and asked again they are not made again. */
  async function note<T>(name: string, args: unknown[], answer: T, facts?: Facts): Promise<T> {
    const make = async (): Promise<{ answer: T }> => {
      asked.push({ name, args });
      return Promise.resolve({ answer });
    };
    const made = await (facts === undefined ? make() : facts.commit(make));
    if (ops.failure !== null) throw ops.failure;
    return made.answer;
  }
  return ops;
}

export interface ApiRig {
  api: Api;
  db: Db;
  /** The pool of the doors. */
  doorsDb: Db;
  keyring: Keyring;
  operations: RecordingOperations;
  keys: Record<Role, string>;
  /** All lines logged so far, as one text. */
  logged(): string;
  call(method: Method, url: string, options?: CallOptions): Promise<Answer>;
  close(): Promise<void>;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export interface CallOptions {
  as?: Role;
  /** Sent as it is when a text or bytes, else as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
}
export interface Answer {
  status: number;
  headers: Record<string, unknown>;
  // Tests look into answers of every shape.
  // oxlint-disable-next-line typescript/no-explicit-any
  json: any;
  text: string;
}

export const CONFIG: ApiConfig = {
  purposes: { newsletter: {}, events: {} },
  attributes: { vip: { type: 'boolean' }, tier: { type: 'text' }, seats: { type: 'number' } },
  erasure: { deadlineDays: 30 },
  api: {
    idempotencyHours: 24,
    requestSeconds: 60,
    limits: { requestsPerMinute: 30_000, failedKeysPerMinute: 10_000 },
    trustedProxies: [],
  },
};

export const UI_ORIGIN = 'https://temporal.example';
export const CODEC_KEYS: readonly NamedKey[] = [
  { id: 'c2', secret: Buffer.alloc(32, 2) },
  { id: 'c1', secret: Buffer.alloc(32, 1) },
];

export async function apiRig(settings: Partial<ApiConfig['api']> = {}): Promise<ApiRig> {
  const database = await createDatabase(template);
  const db = openDb({ url: database.url, applicationName: 'api-test', poolMax: 10 });
  const keyring = keyringFrom(Buffer.alloc(32, 7));
  const operations = recordingOperations();
  const lines: string[] = [];
  const log = pino(
    { level: 'trace' },
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    }),
  );
  // As in real life: the doors have an account that may do their work and no other.
  const doorsDb = openDb({
    url: await accountUrl(db, database.url, 'api'),
    applicationName: 'api-test-doors',
    poolMax: 10,
  });
  const codec = { codec: createCodec(async () => [...CODEC_KEYS]), uiOrigin: UI_ORIGIN, secure: true };
  const api = buildApi({
    db: doorsDb,
    keyring,
    config: { ...CONFIG, api: { ...CONFIG.api, ...settings } },
    operations,
    log,
    codec,
  });
  await api.ready();
  const keys = Object.fromEntries(
    await Promise.all(ROLES.map(async (role) => [role, await createKey(db, { name: `test-${role}`, role })] as const)),
  ) as Record<Role, string>;

  return {
    api,
    db,
    doorsDb,
    keyring,
    operations,
    keys,
    logged: () => lines.join(''),
    async call(method, url, { as, body, headers = {} } = {}) {
      const raw = typeof body === 'string' || Buffer.isBuffer(body);
      const answer = await api.inject({
        method,
        url,
        headers: {
          ...(as === undefined ? {} : { authorization: `Bearer ${keys[as]}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { payload: raw ? body : JSON.stringify(body) }),
      });
      const isJson = /json/.test(String(answer.headers['content-type']));
      return {
        status: answer.statusCode,
        headers: answer.headers,
        json: isJson ? answer.json() : null,
        text: answer.payload,
      };
    },
    async close() {
      await api.close();
      await doorsDb.destroy();
      await db.destroy();
      await database.drop();
    },
  };
}

/** A system as the engine would have written it, open for work. */
export async function addSystem(db: Db, name: string): Promise<void> {
  await db.raw(
    `insert into systems (name, connector, account, state, rules, rules_hash) values (?, 'hubspot', ?, 'open', '{}', 'h')`,
    [name, `account-${name}`],
  );
}

/** Settles deliveries as a lane would after reading back. */
export async function settle(db: Db, contactId: string, system: string, outcome = 'applied'): Promise<void> {
  await db.raw(
    `update deliveries set settled = wanted, data_outcome = ?, consent_outcome = 'unchanged', verified_at = clock_timestamp(),
       outcome_at = clock_timestamp(), presence = 'present' where contact_id = ? and system = ?`,
    [outcome, contactId, system],
  );
}

export function expectProblem(answer: Answer, status: number, code: string): void {
  expect({ status: answer.status, code: answer.json?.code, type: answer.headers['content-type'] }).toEqual({
    status,
    code,
    type: expect.stringMatching(/^application\/problem\+json/),
  });
  expect(answer.json).toMatchObject({ type: `urn:plumbline:problem:${code}`, status, title: expect.any(String) });
}
