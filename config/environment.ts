/** Everything that Plumbline reads from its environment, in one place; Temporal's own variables are read by its SDK. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Env = Readonly<Record<string, string | undefined>>;

export interface Environment {
  /** `DATABASE_URL`: an outside PostgreSQL, 15 to 18. */
  databaseUrl: string | undefined;
  /** `PLUMBLINE_CONFIG`: path of the configuration file. */
  configPath: string;
  /** `PLUMBLINE_LOG_LEVEL`. */
  logLevel: LogLevel;
  /** `PLUMBLINE_TEMPORAL_UI`: base URL of the Temporal Web UI, for links and for its calls of the codec endpoint. */
  temporalUi: string | undefined;
  /** `PLUMBLINE_DATA_DIR`: the folder in which the one-machine rig keeps its data. */
  dataDir: string;
  /** `PLUMBLINE_PORT_<NAME>`: lower-case name (`api`, `postgres`, `temporal`, `temporal_ui`, `hubspot` …) → port. */
  ports: Readonly<Record<string, number>>;
  /**
   * Where traces are sent, as OpenTelemetry names it: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (the whole address) before
   * `OTEL_EXPORTER_OTLP_ENDPOINT` (a base). Headers, keys among them, are read by its exporter.
   */
  collector: { url?: string; base?: string };
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const PORT_PREFIX = 'PLUMBLINE_PORT_';
const BASE_URL_PREFIX = 'PLUMBLINE_BASE_URL_';

/** A value of the environment that cannot be used; the message is a plain sentence for an operator. */
export class EnvironmentProblem extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EnvironmentProblem';
  }
}

/**
 * Reads the environment. An empty variable counts as not set.
 * @throws EnvironmentProblem naming every variable that cannot be used
 */
export function readEnvironment(env: Env = process.env): Environment {
  const mistakes: string[] = [];
  const level = set(env['PLUMBLINE_LOG_LEVEL']) ?? 'info';
  if (!isLogLevel(level)) mistakes.push(`PLUMBLINE_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}.`);
  const ui = set(env['PLUMBLINE_TEMPORAL_UI']);
  if (ui !== undefined && !/^https?:\/\//.test(ui)) mistakes.push('PLUMBLINE_TEMPORAL_UI must be a web address.');
  const ports: Record<string, number> = {};
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PORT_PREFIX) || set(value) === undefined) continue;
    const port = Number(value);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) mistakes.push(`${name} must be a port, 0 to 65535.`);
    else ports[name.slice(PORT_PREFIX.length).toLowerCase()] = port;
  }
  const collector: Environment['collector'] = {};
  for (const [part, name] of [
    ['url', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'],
    ['base', 'OTEL_EXPORTER_OTLP_ENDPOINT'],
  ] as const) {
    const value = set(env[name]);
    if (value === undefined) continue;
    if (isCollector(value)) collector[part] = value;
    else mistakes.push(`${name} must be a web address without a password, e.g. http://127.0.0.1:4318.`);
  }
  if (mistakes.length > 0) throw new EnvironmentProblem(mistakes.join(' '));
  return {
    databaseUrl: set(env['DATABASE_URL']),
    configPath: set(env['PLUMBLINE_CONFIG']) ?? 'plumbline.yaml',
    logLevel: isLogLevel(level) ? level : 'info',
    temporalUi: ui,
    dataDir: set(env['PLUMBLINE_DATA_DIR']) ?? '.plumbline',
    ports,
    collector,
  };
}

function isCollector(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}

function isLogLevel(text: string): text is LogLevel {
  return (LOG_LEVELS as readonly string[]).includes(text);
}

/** `PLUMBLINE_BASE_URL_HUBSPOT_MAIN` of `hubspot-main`: how the local rig points a system at its sandbox. */
export function baseUrlVariable(system: string): string {
  return `${BASE_URL_PREFIX}${system.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
}

/** The value of a variable, or undefined where it is missing or empty. */
export function variable(name: string, env: Env = process.env): string | undefined {
  return set(env[name]);
}

function set(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}

/** Where `npm start` notes how its parts are reached, inside its data folder; for commands on the same machine. */
export const LOCAL_ENVIRONMENT_FILE = 'environment.json';

/**
 * Takes what `npm start` noted into the environment, where the environment says nothing of a database itself. What is set already stays.
 * @returns true when something was taken
 */
export function adoptLocalEnvironment(env: Record<string, string | undefined> = process.env): boolean {
  if (set(env['DATABASE_URL']) !== undefined) return false;
  const file = join(set(env['PLUMBLINE_DATA_DIR']) ?? '.plumbline', LOCAL_ENVIRONMENT_FILE);
  let noted: Record<string, string>;
  try {
    noted = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  } catch {
    return false;
  }
  for (const [name, value] of Object.entries(noted)) env[name] ??= value;
  return true;
}
