/**
 * The shape of `plumbline.yaml`, section by section. Each section is parsed by itself, so that a mistake in one hides none in another.
 * Messages given here say what is expected; `problems.ts` says what was found and where.
 */
import { z } from 'zod';
import { ATTRIBUTE_TEXT_LIMIT, ATTRIBUTE_TYPES } from '../domain/attributes.ts';
import { RELATIONSHIPS } from '../domain/contact.ts';
import { DEFAULT_RETENTION_RULE } from '../domain/retention.ts';
import { TRANSFORM_NAMES } from '../domain/transforms.ts';
import { FIELD_KINDS } from '../domain/want.ts';
import { isCron, isTimeZone } from './time.ts';

const text = z.string().min(1, { error: 'a text' }).max(500, { error: 'a text of at most 500 characters' });
const slug = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,59}$/, { error: 'a name of lower-case letters, digits, - and _, at most 60 characters' });
const share = z.number().gt(0, { error: 'a share, e.g. 0.05' }).max(1, { error: 'a share, e.g. 0.05' });
const seconds = z.number().positive({ error: 'a number of seconds above 0' });
const perMinute = z.int({ error: 'a whole number, at least 1' }).min(1, { error: 'a whole number, at least 1' });
const network = "an address or a network, e.g. '10.0.0.0/8'";
const port = z.int({ error: 'a port, 0 to 65535' }).min(0).max(65_535);
const baseUrl = z.url({ protocol: /^https?$/, error: "a web address, e.g. 'https://api.example.com'" });
const collector = baseUrl.refine((address) => !/^https?:\/\/[^/]*@/.test(address), {
  error: 'a web address without a password: a key for the collector goes into OTEL_EXPORTER_OTLP_HEADERS',
});
const timeZone = z.string().refine(isTimeZone, { error: "a time zone, e.g. 'Europe/Berlin'" });
const cron = z.string().refine(isCron, { error: "a cron expression of five fields, e.g. '30 2 * * *'" });

export const secretRef = z.union(
  [
    z.strictObject({
      env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'the name of an environment variable' }),
    }),
    z.strictObject({ file: text }),
  ],
  { error: 'where the secret is kept: {env: NAME} or {file: path}' },
);

const purpose = z.strictObject({
  title: text,
  statements: z.record(
    z.string().regex(/^[\w.-]{1,100}$/, { error: 'a version id of letters, digits, dots, - and _' }),
    z.string().min(1, { error: 'the exact wording' }).max(10_000, { error: 'a wording of at most 10,000 characters' }),
  ),
  validityMonths: z.int().min(1, { error: 'a number of months, at least 1' }).optional(),
});

const fieldRule = z.union(
  [
    text,
    z.strictObject({
      from: text.optional(),
      value: z.string().max(1000).optional(),
      kind: z.enum(FIELD_KINDS).optional(),
      maxLength: z.int().min(1, { error: 'a number of characters, at least 1' }).optional(),
      transform: z.enum(TRANSFORM_NAMES).optional(),
    }),
  ],
  { error: 'a field of ours, e.g. givenName, or {from, value, kind, maxLength, transform}' },
);

/** One system; its `settings` are checked by the connector's own schema. */
export const systemSchema = z.strictObject({
  connector: slug,
  account: slug.optional(),
  baseUrl: baseUrl.optional(),
  privateAddresses: z.boolean({ error: 'true or false' }).default(false),
  credentials: z.record(z.string(), secretRef).prefault({}),
  limits: z
    .strictObject({
      calls: z.int().min(1).optional(),
      windowMs: z.int().min(1).optional(),
      perDay: z.int().min(1).optional(),
      concurrency: z.int().min(1).optional(),
      off: z.literal(true, { error: 'true, or no such line' }).optional(),
    })
    .prefault({}),
  settings: z.record(z.string(), z.unknown()).prefault({}),
  who: z.union(
    [
      z.literal('everybody'),
      z.strictObject({ relationship: z.array(z.enum(RELATIONSHIPS)).min(1, { error: 'at least one relationship' }) }),
      z.strictObject({ consent: slug }),
    ],
    { error: 'everybody, {relationship: [customer, …]} or {consent: purpose}' },
  ),
  outsiders: z.enum(['unsubscribe', 'leave', 'report']).optional(),
  fields: z.record(text, fieldRule).prefault({}),
  consents: z.record(slug, text).prefault({}),
});
export type SystemInput = z.output<typeof systemSchema>;

const attribute = z.union(
  [
    z.enum(ATTRIBUTE_TYPES),
    z.strictObject({
      type: z.enum(ATTRIBUTE_TYPES),
      values: z.array(text).min(1, { error: 'at least one value' }).optional(),
      maxLength: z.int().min(1).max(ATTRIBUTE_TEXT_LIMIT).optional(),
    }),
  ],
  { error: `${ATTRIBUTE_TYPES.join(', ')} or {type, values, maxLength}` },
);

const retentionRule = z.strictObject({
  name: slug,
  after: z.strictObject({
    months: z.int().min(1, { error: 'a number of months, at least 1' }),
    since: z.literal('obtainedAt'),
  }),
  unless: z
    .strictObject({
      consentGiven: z
        .union([z.literal('any'), z.array(slug).min(1, { error: 'at least one purpose' })], {
          error: 'any, or a list of purposes',
        })
        .optional(),
      contract: z
        .strictObject({
          runningEnd: z.boolean().default(true),
          relationships: z.array(z.enum(RELATIONSHIPS)).default([]),
          transactionWithinMonths: z.int().min(1).nullable().default(null),
        })
        .optional(),
    })
    .prefault({}),
});

const schedule = (at: string) => z.strictObject({ cron: cron.default(at), timeZone: timeZone.optional() }).prefault({});

/** Every top-level key but `systems`. */
export const sections = {
  organisation: z.strictObject({ name: text, timeZone: timeZone.default('UTC') }),
  database: z
    .strictObject({ poolMax: z.int().min(2, { error: 'at least 2 connections' }).max(500).default(10) })
    .prefault({}),
  api: z
    .strictObject({
      host: text.default('127.0.0.1'),
      port: port.default(7300),
      publicUrl: baseUrl.optional(),
      idempotencyHours: z
        .int({ error: 'a number of hours, 1 to 720' })
        .min(1, { error: 'a number of hours, 1 to 720' })
        .max(720, { error: 'a number of hours, 1 to 720' })
        .default(24),
      requestSeconds: seconds.max(3_600, { error: 'a number of seconds, at most 3600' }).default(60),
      limits: z
        .strictObject({
          requestsPerMinute: perMinute.default(30_000),
          failedKeysPerMinute: perMinute.default(60),
        })
        .prefault({}),
      trustedProxies: z.array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], { error: network })).default([]),
    })
    .prefault({}),
  worker: z
    .strictObject({
      lingerMs: z.int().min(0).default(10_000),
      drainSeconds: seconds.default(60),
      sweepSeconds: seconds.default(15),
      leaseSeconds: seconds.default(5),
      callSeconds: seconds.default(30),
    })
    .prefault({}),
  telemetry: z
    .strictObject({
      host: text.default('127.0.0.1'),
      port: port.optional(),
      traces: z.strictObject({ endpoint: collector.optional(), share: share.default(1) }).prefault({}),
    })
    .prefault({}),
  purposes: z.record(slug, purpose).prefault({}),
  attributes: z
    .record(z.string().regex(/^[A-Za-z]\w{0,59}$/, { error: 'a name of letters, digits and _' }), attribute)
    .prefault({}),
  retention: z
    .strictObject({
      rules: z
        .array(retentionRule)
        .default(() => [structuredClone(DEFAULT_RETENTION_RULE) as z.output<typeof retentionRule>]),
      maxShare: share.default(0.05),
    })
    .prefault({}),
  schedules: z
    .strictObject({
      reconcile: schedule('30 2 * * *'),
      retention: schedule('30 4 * * 0'),
      changesEverySeconds: z.int().min(5, { error: 'a number of seconds, at least 5' }).default(300),
    })
    .prefault({}),
  brake: z.strictObject({ maxShare: share.default(0.1), minimum: z.int().min(0).default(20) }).prefault({}),
  erasure: z
    .strictObject({
      deadlineDays: z.int().min(1).max(30, { error: 'at most 30 days: GDPR Art. 12(3) gives one month' }).default(30),
      remindDaysBefore: z.array(z.int().min(0)).default([7, 2]),
    })
    .prefault({}),
  keys: z
    .strictObject({ main: secretRef.prefault({ env: 'PLUMBLINE_KEY' }), codec: secretRef.optional() })
    .prefault({}),
} as const;

export type SectionName = keyof typeof sections;
export type Sections = { [Name in SectionName]: z.output<(typeof sections)[Name]> };
