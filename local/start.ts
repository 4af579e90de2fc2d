/**
 * `npm start`: everything on one machine. Brings PostgreSQL and Temporal up (or uses those given), three vendor sandboxes, worker and
 * API, then shows the main job and goes on running.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { baseUrlVariable, LOCAL_ENVIRONMENT_FILE, readEnvironment, variable } from '../config/index.ts';
import { openDb } from '../store/db.ts';
import type { Db } from '../store/db.ts';
import { createKey, revokeKey } from '../store/api-keys.ts';
import { migrate } from '../store/migrate.ts';
import { ensureAccounts } from './accounts.ts';
import { startChild } from './child.ts';
import { demonstrate, importExamples, isDemonstrated, noteDemonstrated } from './demo.ts';
import type { Place } from './demo.ts';
import { PlainError, toPlainError } from './errors.ts';
import { newKeyText } from './own-keys.ts';
import { choosePorts, portTable } from './ports.ts';
import type { PortName, Ports } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { sayTo } from './say.ts';
import { SANDBOX_CREDENTIALS, SYSTEM, VENDORS } from './vendor-programs.ts';
import type { Vendor } from './vendor-programs.ts';
import { WORKER_ENV, WORKER_FLAGS } from './worker-flags.ts';
import type { Say } from './say.ts';
import { stopOnSignals, supervise } from './supervisor.ts';
import type { Supervisor } from './supervisor.ts';
import { findTemporal, userCacheDir } from './temporal-binary.ts';
import { startTemporal } from './temporal-server.ts';

const ROOT = resolve(import.meta.dirname, '..');
const SEARCH_ATTRIBUTES = { PlumblineSystem: 'Keyword', PlumblineState: 'Keyword', PlumblineCase: 'Keyword' } as const;
const HELP = `npm start [-- options]

  --once   end after the demonstration: exit code 0 when all systems agree
  --demo   show the demonstration again (it runs by itself at the first start)
  --help   this text

Data live in ${'.plumbline'} (PLUMBLINE_DATA_DIR); ports are moved by PLUMBLINE_PORT_API and its like.
DATABASE_URL and TEMPORAL_ADDRESS use an outside PostgreSQL (15 to 18) and Temporal instead.`;

function portOverrides(given: Readonly<Record<string, number>>): Partial<Ports> {
  const overrides: Partial<Ports> = {};
  for (const name of Object.keys(portTable) as PortName[]) {
    const key = portTable[name].setting.replace('PLUMBLINE_PORT_', '').toLowerCase();
    if (given[key] !== undefined) overrides[name] = given[key];
  }
  return overrides;
}

/** A secret of this installation, made at the first start and kept in a file that only its owner reads. */
function ownSecret(dataDir: string, name: string, make: () => string): string {
  const file = join(dataDir, name);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const secret = make();
    writeFileSync(file, `${secret}\n`, { mode: 0o600 });
    return secret;
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { once: { type: 'boolean' }, demo: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  if (values.help === true) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const say = sayTo(process.stdout);
  const environment = readEnvironment();
  const dataDir = resolve(ROOT, environment.dataDir);
  mkdirSync(dataDir, { recursive: true });
  const supervisor = await supervise({ dataDir, say });
  const release = stopOnSignals(supervisor, say);
  try {
    const unused: PortName[] = environment.databaseUrl === undefined ? [] : ['postgres'];
    if (outsideTemporal()) unused.push('temporal', 'temporalUi');
    const ports = await choosePorts(dataDir, portOverrides(environment.ports), unused);
    const place = await bringUp(supervisor, dataDir, ports, say, environment.databaseUrl);
    const agreed = await show(place, supervisor, say, values.once === true || values.demo === true);
    if (values.once === true) return agreed ? 0 : 1;
    sayWhere(place, say);
    await supervisor.stopped;
    return 0;
  } catch (error) {
    if (supervisor.stopping.aborted) return 0;
    throw error;
  } finally {
    await supervisor.stop();
    release();
  }
}

/** Starts every part, each waiting for the one it needs. */
async function bringUp(
  supervisor: Supervisor,
  dataDir: string,
  ports: Ports,
  say: Say,
  outsideDatabase: string | undefined,
): Promise<Place> {
  const databaseUrl = outsideDatabase ?? (await bringPostgres(supervisor, dataDir, ports, say));
  const temporal = await bringTemporal(supervisor, dataDir, ports, say);
  const key = ownSecret(dataDir, 'main.key', () => randomBytes(32).toString('base64'));
  const db = openDb({ url: databaseUrl, poolMax: 4, applicationName: 'plumbline-start' });
  try {
    const ran = await migrate(db, say);
    say(ran.length > 0 ? `Schema: ${ran.length} migrations ran.` : 'Schema: up to date.');
    const env: Record<string, string> = {
      DATABASE_URL: databaseUrl,
      PLUMBLINE_KEY: key,
      PLUMBLINE_CODEC_KEYS: ownSecret(dataDir, 'codec.keys', () => newKeyText('c1')),
      PLUMBLINE_PORT_API: String(ports.api),
      ...temporal.env,
      ...SANDBOX_CREDENTIALS,
    };
    for (const vendor of VENDORS) {
      env[baseUrlVariable(SYSTEM[vendor])] = `http://127.0.0.1:${ports[vendor]}`;
      await bringSandbox(supervisor, dataDir, vendor, ports);
    }
    say('Sandboxes of HubSpot, Mailchimp and Xero: ready.');
    // For the command line on this machine.
    writeFileSync(join(dataDir, LOCAL_ENVIRONMENT_FILE), JSON.stringify(env, null, 2), { mode: 0o600 });
    const apiKey = await demoKey(db, dataDir);
    // The commands of this machine go on as the owner; who brings a database gives the accounts too (docs/security.md).
    const accounts =
      outsideDatabase === undefined
        ? await ensureAccounts(db, databaseUrl, (name) =>
            ownSecret(dataDir, name, () => randomBytes(24).toString('hex')),
          )
        : { worker: databaseUrl, api: databaseUrl };
    await bringRole(
      supervisor,
      dataDir,
      'worker',
      { ...env, DATABASE_URL: accounts.worker, PLUMBLINE_PORT_METRICS: String(ports.workerMetrics) },
      { line: /worker ready/ },
    );
    await bringRole(
      supervisor,
      dataDir,
      'api',
      { ...env, DATABASE_URL: accounts.api, PLUMBLINE_PORT_METRICS: String(ports.apiMetrics) },
      { url: `http://127.0.0.1:${ports.api}/ready` },
    );
    say('Worker and API: ready.');
    return {
      db,
      key,
      env,
      apiUrl: `http://127.0.0.1:${ports.api}`,
      apiKey,
      metrics: { worker: `http://127.0.0.1:${ports.workerMetrics}`, api: `http://127.0.0.1:${ports.apiMetrics}` },
      apiKeyFile: join(dataDir, 'demo-api.key'),
      temporalUi: temporal.ui,
      sandboxes: {
        hubspot: { system: SYSTEM.hubspot, control: `http://127.0.0.1:${ports.hubspotControl}` },
        mailchimp: { system: SYSTEM.mailchimp, control: `http://127.0.0.1:${ports.mailchimpControl}` },
        xero: { system: SYSTEM.xero, control: `http://127.0.0.1:${ports.xeroControl}` },
      },
    };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

async function bringPostgres(supervisor: Supervisor, dataDir: string, ports: Ports, say: Say): Promise<string> {
  const postgres = await supervisor.run('PostgreSQL', (stopping) =>
    startPostgres({
      dataDir: join(dataDir, 'postgres'),
      port: ports.postgres,
      portSetting: portTable.postgres.setting,
      say,
      stopping,
    }),
  );
  say(`PostgreSQL: ready on port ${ports.postgres}.`);
  return postgres.url;
}

function outsideTemporal(): boolean {
  return (variable('TEMPORAL_ADDRESS') ?? variable('TEMPORAL_PROFILE')) !== undefined;
}

async function bringTemporal(
  supervisor: Supervisor,
  dataDir: string,
  ports: Ports,
  say: Say,
): Promise<{ env: Record<string, string>; ui: string | null }> {
  if (outsideTemporal()) {
    say('Temporal: using the server that the environment names.');
    const ui = variable('PLUMBLINE_TEMPORAL_UI') ?? null;
    return { env: {}, ui };
  }
  const cacheDir = userCacheDir(variable('XDG_CACHE_HOME'));
  const path = await findTemporal({ cacheDir, say, stopping: supervisor.stopping });
  const server = await supervisor.run('Temporal', (stopping) =>
    startTemporal({
      path,
      dataFile: join(dataDir, 'temporal', 'temporal.db'),
      port: ports.temporal,
      uiPort: ports.temporalUi,
      portSetting: portTable.temporal.setting,
      uiPortSetting: portTable.temporalUi.setting,
      namespace: 'plumbline',
      searchAttributes: SEARCH_ATTRIBUTES,
      say,
      stopping,
    }),
  );
  say(`Temporal: ready on port ${ports.temporal}.`);
  const ui = `http://127.0.0.1:${ports.temporalUi}`;
  return {
    env: { TEMPORAL_ADDRESS: server.address, TEMPORAL_NAMESPACE: 'plumbline', PLUMBLINE_TEMPORAL_UI: ui },
    ui,
  };
}

async function bringSandbox(supervisor: Supervisor, dataDir: string, vendor: Vendor, ports: Ports): Promise<void> {
  const control = ports[`${vendor}Control`];
  await supervisor.run(vendor, (stopping) =>
    startChild({
      name: vendor,
      dataDir,
      args: `cli/main.ts sandbox ${vendor} --port ${ports[vendor]} --control-port ${control} --data`
        .split(' ')
        .concat(join(dataDir, `${vendor}.json`)),
      cwd: ROOT,
      ready: { url: `http://127.0.0.1:${control}/health` },
      stopping,
    }),
  );
}

async function bringRole(
  supervisor: Supervisor,
  dataDir: string,
  role: 'worker' | 'api',
  env: Record<string, string>,
  ready: { line: RegExp } | { url: string },
): Promise<void> {
  const flags = role === 'worker' ? WORKER_FLAGS : [];
  await supervisor.run(role, (stopping) =>
    startChild({
      name: role,
      dataDir,
      args: [...flags, join(ROOT, 'cli/main.ts'), role],
      env: role === 'worker' ? { ...env, ...WORKER_ENV } : env,
      cwd: ROOT,
      ready,
      graceMs: role === 'worker' ? 45_000 : 10_000,
      stopping,
    }),
  );
}

/** A key of the API for the demonstration, kept in a file for whoever wants to try the API by hand. */
async function demoKey(db: Db, dataDir: string): Promise<string> {
  const file = join(dataDir, 'demo-api.key');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    await revokeKey(db, 'demonstration');
    const name = `demonstration-${randomBytes(3).toString('hex')}`;
    const key = await createKey(db, { name, role: 'admin', expiresAt: null });
    writeFileSync(file, `${key}\n`, { mode: 0o600 });
    return key;
  }
}

/** @returns false when a step of the demonstration did not end as it should */
async function show(place: Place, supervisor: Supervisor, say: Say, again: boolean): Promise<boolean> {
  try {
    const shown = await isDemonstrated(place);
    if (!shown) await importExamples(place, say, supervisor.stopping);
    if (shown && !again) {
      say('The demonstration ran at the first start; `npm start -- --demo` shows it again.');
      return true;
    }
    const agreed = await demonstrate(place, say, supervisor.stopping);
    await noteDemonstrated(place);
    return agreed;
  } finally {
    await place.db.destroy();
  }
}

function sayWhere(place: Place, say: Say): void {
  say('');
  say('Running. Ctrl-C stops everything in order.');
  if (place.temporalUi !== null) say(`  Temporal Web UI     ${place.temporalUi}/namespaces/plumbline/workflows`);
  if (place.temporalUi !== null) say(`    to read histories ${place.apiUrl}/v1/codec   (docs/operations.md, 0)`);
  say(`  API documentation   ${place.apiUrl}/docs   (key: ${place.apiKeyFile})`);
  say(`  Metrics             ${place.metrics.worker}/metrics, ${place.metrics.api}/metrics`);
  say('  Command line        npm run -s plumbline -- status   (and --help)');
  for (const vendor of VENDORS) say(`  ${`${vendor} sandbox`.padEnd(19)} ${place.sandboxes[vendor].control}/`);
}

try {
  process.exitCode = await main();
} catch (error) {
  const plain = toPlainError(error, { doing: 'starting' });
  const sentence =
    plain instanceof Error && ['ConfigProblem', 'EnvironmentProblem', 'SecretMissing'].includes(plain.name);
  if (plain instanceof PlainError || sentence) process.stderr.write(`${(plain as Error).message}\n`);
  else process.stderr.write(`${plain instanceof Error ? (plain.stack ?? plain.message) : String(plain)}\n`);
  process.exitCode = 1;
}
