/** Builds all parts once, for worker, API and CLI. Nothing else builds a pool, a client or a connector. */
import { randomUUID } from 'node:crypto';
import type { PayloadCodec } from '@temporalio/common';
import { pino } from 'pino';
import type { Logger } from 'pino';
import type { Deps, SystemRuntime } from './activities/deps.ts';
import { shortHash } from './activities/planning.ts';
import { createWakes } from './activities/wakes.ts';
import type { Wakes } from './activities/wakes.ts';
import {
  codecKeys,
  loadConfig,
  mainKeys,
  readEnvironment,
  secretReader,
  statementsOf,
  systemConfig,
  systemRules,
} from './config/index.ts';
import type { Config, Environment } from './config/index.ts';
import { createOutbound } from './connectors/kit/outbound.ts';
import { connectorModule } from './connectors/registry.ts';
import type { Operations } from './temporal/asked.ts';
import type { SystemRules } from './domain/want.ts';
import { syncBudget } from './store/budgets.ts';
import { openDb } from './store/db.ts';
import type { Db } from './store/db.ts';
import { noteKeyInUse } from './store/key-use.ts';
import { keyProblem, keyringFrom } from './store/keyring.ts';
import type { Keyring } from './store/keyring.ts';
import { schemaProblem } from './store/migrate.ts';
import { KnownStatements, putStatements } from './store/statements.ts';
import { syncSystems } from './store/systems.ts';
import { tokenStore } from './store/vendor-tokens.ts';
import type { Meter } from './telemetry/metrics.ts';
import type { Traces } from './telemetry/spans.ts';
import { connectClient } from './temporal/client.ts';
import { createCodec } from './temporal/codec.ts';
import type { TemporalPlace } from './temporal/client.ts';
import { createOperations } from './temporal/operations.ts';

/** A reason not to start, as a sentence for an operator. */
export class StartProblem extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StartProblem';
  }
}

export interface App {
  config: Config;
  environment: Environment;
  databaseUrl: string;
  db: Db;
  keyring: Keyring;
  temporal: TemporalPlace;
  /** Seals and opens what Temporal keeps. */
  codec: PayloadCodec;
  operations: Operations;
  log: Logger;
  close(): Promise<void>;
}

const DATABASE_MISSING =
  'DATABASE_URL is not set. Set it to a PostgreSQL (15 to 18), or run `npm start`, which brings one.';

/** JSON lines on standard error; nothing of a person is ever passed to it. */
export function createLog(level: string, role: string): Logger {
  return pino(
    {
      level,
      base: { role, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** Opens the database alone: for migrations, before there is a schema. */
export async function openDatabase(role: string): Promise<{ db: Db; config: Config; url: string }> {
  const environment = readEnvironment();
  const config = await loadConfig(environment.configPath);
  if (environment.databaseUrl === undefined) throw new StartProblem(DATABASE_MISSING);
  const db = openDb({
    url: environment.databaseUrl,
    poolMax: config.database.poolMax,
    applicationName: `plumbline-${role}`,
  });
  return { db, config, url: environment.databaseUrl };
}

/** The codec of an installation. @throws SecretMissing where its keys are not there */
export async function openCodec(config: Config): Promise<PayloadCodec> {
  await codecKeys(config);
  return createCodec(() => codecKeys(config));
}

/**
 * Builds the common parts and checks that they fit together: schema, key.
 * @throws StartProblem, ConfigProblem, SecretMissing with sentences
 */
export async function openApp(role: string): Promise<App> {
  const environment = readEnvironment();
  const { db, config, url } = await openDatabase(role);
  try {
    const keyring = keyringFrom(await mainKeys(config));
    const problem = (await schemaProblem(db)) ?? (await keyProblem(db, keyring));
    if (problem !== null) throw new StartProblem(problem);
    await noteKeyInUse(db, keyring);
    // Whoever judges a consent must know the wordings, whichever role comes first.
    await putStatements(db, statementsOf(config));
    const codec = await openCodec(config);
    const temporal = await connectClient(codec);
    const operations = createOperations({
      db,
      client: temporal.client,
      namespace: temporal.namespace,
      uiUrl: environment.temporalUi ?? null,
    });
    return {
      config,
      environment,
      databaseUrl: url,
      db,
      keyring,
      temporal,
      codec,
      operations,
      log: createLog(environment.logLevel, role),
      async close() {
        await temporal.close();
        await db.destroy();
      },
    };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

/** One batch of spans a second. */
const COLLECTOR_SOCKETS = 2;
const COLLECTOR_TIMEOUT_MS = 10_000;

/** Sends traces, where the configuration says to whom; null where it says nothing. */
export async function openAppTraces(
  { config, log }: Pick<App, 'config' | 'log'>,
  role: string,
): Promise<Traces | null> {
  const { traces } = config.telemetry;
  if (traces === null) return null;
  const { openTraces } = await import('./telemetry/traces.ts');
  const outbound = createOutbound({
    urls: [traces.url],
    // A collector stands beside the process as a rule.
    privateAddresses: true,
    maxSockets: COLLECTOR_SOCKETS,
    timeoutMs: COLLECTOR_TIMEOUT_MS,
  });
  const opened = openTraces({
    ...traces,
    role,
    agent: outbound.agent(traces.url),
    onLost: (spans, fault) => log.warn({ spans, fault }, 'Spans could not be sent to the collector'),
  });
  return {
    ...opened,
    async close() {
      await opened.close();
      outbound.close();
    },
  };
}

/** Builds the connectors and what the engine needs to know of each system. */
export async function buildSystems(app: Pick<App, 'config' | 'db' | 'keyring'>): Promise<Map<string, SystemRuntime>> {
  const systems = new Map<string, SystemRuntime>();
  for (const name of Object.keys(app.config.systems)) {
    systems.set(name, await buildSystem(app, name, systemRules(app.config, name)));
  }
  return systems;
}

/** One system by given rules: those of the configuration, or earlier ones that are still in force. */
export async function buildSystem(
  app: Pick<App, 'config' | 'db' | 'keyring'>,
  name: string,
  rules: SystemRules,
): Promise<SystemRuntime> {
  const { config, db, keyring } = app;
  const system = systemConfig(config, name);
  const module = await connectorModule(system.connector);
  const callTimeoutMs = config.worker.callSeconds * 1000;
  await syncBudget(db, system.account, system.limits);
  return {
    name,
    rules,
    rulesHash: shortHash(rules),
    account: system.account,
    connector: module.create({
      system: name,
      ...(system.baseUrl === null ? {} : { baseUrl: system.baseUrl }),
      privateAddresses: system.privateAddresses,
      settings: system.settings,
      secret: secretReader(config, name),
      fields: rules.fields.map(({ target, kind }) => ({ target, kind })),
      consentTargets: rules.consents.map((c) => c.target),
      callTimeoutMs,
      tokens: tokenStore(db, keyring),
    }),
    capabilities: module.capabilities,
    concurrency: system.limits.concurrency,
    callsPerSecond: callsPerSecond(system.limits),
    callTimeoutMs,
  };
}

function callsPerSecond({ calls, windowMs }: { calls?: number; windowMs?: number }): number | null {
  return calls === undefined || windowMs === undefined ? null : (calls * 1000) / windowMs;
}

/** Writes the configured systems into the database. */
export async function syncConfiguration(
  app: Pick<App, 'db'>,
  systems: ReadonlyMap<string, SystemRuntime>,
): Promise<{ added: string[]; rulesChanged: string[]; removed: string[] }> {
  return syncSystems(
    app.db,
    [...systems.values()].map(({ rules, account, rulesHash }) => ({ rules, account, rulesHash })),
  );
}

/** What activities are built from. */
export function activityDeps(
  app: App,
  systems: ReadonlyMap<string, SystemRuntime>,
  stopping: AbortSignal,
  { meter, traces = null }: { meter: Meter; traces?: Traces | null },
  wakes: Wakes = createWakes(),
): Deps {
  const { config } = app;
  return {
    db: app.db,
    keyring: app.keyring,
    systems,
    purposes: Object.keys(config.purposes),
    statements: new KnownStatements(app.db),
    owner: `${process.pid}-${randomUUID().slice(0, 8)}`,
    timing: {
      lingerMs: config.worker.lingerMs,
      drainMs: config.worker.drainSeconds * 1000,
      sweepMs: config.worker.sweepSeconds * 1000,
      leaseMs: config.worker.leaseSeconds * 1000,
    },
    wakes,
    stopping,
    log: app.log,
    meter,
    traces,
    brake: config.brake,
    retention: config.retention,
    erasure: config.erasure,
    now: () => new Date().toISOString(),
  };
}
