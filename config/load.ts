/** Reads and checks `plumbline.yaml`, once, at the start of a process. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { AttributeDeclaration } from '../domain/attributes.ts';
import { CONNECTOR_NAMES, connectorModule } from '../connectors/registry.ts';
import { baseUrlVariable, EnvironmentProblem, readEnvironment, variable } from './environment.ts';
import type { Env } from './environment.ts';
import { nearest } from './nearest.ts';
import { ConfigProblem, problemAt, problemAtKey, problemsOf } from './problems.ts';
import type { Problem } from './problems.ts';
import { sections } from './schema.ts';
import type { SectionName, Sections } from './schema.ts';
import { missingSecrets } from './secrets.ts';
import { readSource } from './source.ts';
import type { Source } from './source.ts';
import { isRecord, purposeExpected, readSystem } from './systems.ts';
import type { ConnectorSource } from './systems.ts';
import type { Config, Schedule, SystemConfig } from './types.ts';

const registered: ConnectorSource = { names: CONNECTOR_NAMES, load: connectorModule };
const TOP_LEVEL = [...Object.keys(sections), 'systems'];

/**
 * The configuration, checked and with defaults. Secrets are not read and need not be there: `missingSecrets` looks for them.
 *
 * @param path of the YAML file
 * @param env `PLUMBLINE_BASE_URL_<SYSTEM>` and `PLUMBLINE_PORT_API` go before what the file says
 * @throws ConfigProblem with every mistake of the file, EnvironmentProblem
 */
export async function loadConfig(
  path: string,
  env: Env = process.env,
  connectors: ConnectorSource = registered,
): Promise<Config> {
  const { config, problems } = await read(path, env, connectors);
  if (config === null) throw new ConfigProblem(problems);
  return config;
}

/** Every mistake of the file, and every secret that it names and that is not there; empty when all is well. */
export async function checkConfig(
  path: string,
  env: Env = process.env,
  connectors: ConnectorSource = registered,
): Promise<Problem[]> {
  const { config, problems, source } = await read(path, env, connectors);
  if (config === null || source === null) return problems;
  const missing = await missingSecrets(config, env);
  return missing.map(({ at, found, expected }) => problemAt(source, at, expected, found));
}

interface Reading {
  config: Config | null;
  source: Source | null;
  problems: Problem[];
}

async function read(path: string, env: Env, connectors: ConnectorSource): Promise<Reading> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    const problem = {
      file: path,
      line: 1,
      column: 1,
      path: '',
      found: `no readable file (${code})`,
      expected: 'the configuration',
    };
    return { config: null, source: null, problems: [problem] };
  }
  const source = readSource(path, content);
  const broken = source.faults.map(({ position, message }) => ({
    file: path,
    ...position,
    path: '',
    found: `text that is no YAML (${message})`,
    expected: 'YAML',
  }));
  // Guesses about a file that could not be read would bury the one mistake that matters.
  if (broken.length > 0) return { config: null, source, problems: broken };
  if (!isRecord(source.value)) return { config: null, source, problems: [problemAt(source, [], 'a map of keys')] };

  const { values, problems } = readSections(source, source.value);
  const systems = await readSystems(source, source.value['systems'], values, connectors);
  problems.push(...systems.problems);
  if (values.retention !== undefined && values.purposes !== undefined) {
    problems.push(...retentionProblems(source, values.retention, Object.keys(values.purposes)));
  }
  if (values.purposes !== undefined) problems.push(...statementProblems(source, values.purposes));
  if (problems.length > 0 || !isComplete(values)) return { config: null, source, problems: inFileOrder(problems) };
  return { config: assemble(path, values, systems.systems, env), source, problems };
}

function readSections(
  source: Source,
  file: Record<string, unknown>,
): { values: Partial<Sections>; problems: Problem[] } {
  const problems = Object.keys(file)
    .filter((key) => !TOP_LEVEL.includes(key))
    .map((key) => {
      const meant = nearest(key, TOP_LEVEL);
      const expected = meant === null ? `one of ${TOP_LEVEL.join(', ')}` : `'${meant}' (did you mean that?)`;
      return problemAtKey(source, [], key, expected, `the unknown key '${key}'`);
    });
  const values: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(sections)) {
    // A heading with nothing under it reads as null and means the defaults.
    const parsed = schema.safeParse(file[name] ?? undefined);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(...problemsOf(source, schema, parsed.error.issues, [name]));
  }
  return { values: values as Partial<Sections>, problems };
}

function isComplete(values: Partial<Sections>): values is Sections {
  return (Object.keys(sections) as SectionName[]).every((name) => values[name] !== undefined);
}

async function readSystems(
  source: Source,
  value: unknown,
  declared: Partial<Sections>,
  connectors: ConnectorSource,
): Promise<{ systems: SystemConfig[]; problems: Problem[] }> {
  if (value === undefined || value === null) return { systems: [], problems: [] };
  if (!isRecord(value)) return { systems: [], problems: [problemAt(source, ['systems'], 'a map of systems')] };
  const systems: SystemConfig[] = [];
  const problems: Problem[] = [];
  for (const [name, entry] of Object.entries(value)) {
    if (!/^[a-z][a-z0-9-]{0,39}$/.test(name)) {
      const expected = 'a name of lower-case letters, digits and -, at most 40 characters';
      problems.push(problemAtKey(source, ['systems'], name, expected));
    }
    const read = await readSystem(
      source,
      name,
      entry,
      {
        purposes: declared.purposes === undefined ? null : Object.keys(declared.purposes),
        attributes: declared.attributes === undefined ? null : declarationsOf(declared.attributes),
      },
      connectors,
    );
    if (read.system !== null) systems.push(read.system);
    problems.push(...read.problems);
  }
  problems.push(...accountProblems(source, systems));
  return { systems, problems };
}

/** Systems that share an account share its limits, so they must be of one vendor and say the same. */
function accountProblems(source: Source, systems: readonly SystemConfig[]): Problem[] {
  const problems: Problem[] = [];
  const first = new Map<string, SystemConfig>();
  for (const system of systems) {
    const other = first.get(system.account);
    if (other === undefined) {
      first.set(system.account, system);
    } else if (other.connector !== system.connector) {
      problems.push(
        problemAt(
          source,
          ['systems', system.name, 'account'],
          `an account of ${system.connector}`,
          `'${system.account}', the ${other.connector} account of '${other.name}'`,
        ),
      );
    } else if (JSON.stringify(other.limits) !== JSON.stringify(system.limits)) {
      problems.push(
        problemAt(
          source,
          ['systems', system.name, 'limits'],
          `the limits of '${other.name}', which shares the account '${system.account}'`,
          'other limits',
        ),
      );
    }
  }
  return problems;
}

function retentionProblems(source: Source, retention: Sections['retention'], purposes: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  for (const [index, rule] of retention.rules.entries()) {
    const path = ['retention', 'rules', index];
    if (names.has(rule.name)) problems.push(problemAt(source, [...path, 'name'], 'a name that no other rule has'));
    names.add(rule.name);
    const wanted = rule.unless.consentGiven;
    if (!Array.isArray(wanted)) continue;
    for (const [at, purpose] of wanted.entries()) {
      if (!purposes.includes(purpose)) {
        problems.push(problemAt(source, [...path, 'unless', 'consentGiven', at], purposeExpected(purpose, purposes)));
      }
    }
  }
  return problems;
}

/** Evidence points to a wording by its id alone. */
function statementProblems(source: Source, purposes: Sections['purposes']): Problem[] {
  const problems: Problem[] = [];
  const ownerOf = new Map<string, string>();
  for (const [purpose, { statements }] of Object.entries(purposes)) {
    for (const id of Object.keys(statements)) {
      const owner = ownerOf.get(id);
      if (owner === undefined) ownerOf.set(id, purpose);
      else {
        const path = ['purposes', purpose, 'statements'];
        problems.push(problemAtKey(source, path, id, `an id that no wording of '${owner}' has`));
      }
    }
  }
  return problems;
}

/** The collector's address; OTLP's path is added to a base, and the environment goes before the file. */
function tracesOf({ endpoint, share }: Sections['telemetry']['traces'], env: Env): Config['telemetry']['traces'] {
  const { url, base = endpoint } = readEnvironment(env).collector;
  if (url !== undefined) return { url, share };
  return base === undefined ? null : { url: `${base.replace(/\/+$/, '')}/v1/traces`, share };
}

function inFileOrder(problems: Problem[]): Problem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

function assemble(path: string, values: Sections, systems: readonly SystemConfig[], env: Env): Config {
  const { timeZone } = values.organisation;
  const withZone = (input: { cron: string; timeZone?: string | undefined }): Schedule => ({
    cron: input.cron,
    timeZone: input.timeZone ?? timeZone,
  });
  const port = readEnvironment(env).ports['api'] ?? values.api.port;
  return {
    file: resolve(path),
    organisation: values.organisation,
    database: values.database,
    api: { ...values.api, port, publicUrl: values.api.publicUrl ?? `http://${values.api.host}:${port}` },
    worker: values.worker,
    telemetry: {
      host: values.telemetry.host,
      port: readEnvironment(env).ports['metrics'] ?? values.telemetry.port ?? null,
      traces: tracesOf(values.telemetry.traces, env),
    },
    purposes: Object.fromEntries(
      Object.entries(values.purposes).map(([name, purpose]) => [
        name,
        { title: purpose.title, statements: purpose.statements, validityMonths: purpose.validityMonths ?? null },
      ]),
    ),
    attributes: declarationsOf(values.attributes),
    systems: Object.fromEntries(systems.map((system) => [system.name, withBaseUrl(system, env)])),
    retention: {
      maxShare: values.retention.maxShare,
      rules: values.retention.rules.map(({ name, after, unless }) => ({
        name,
        after,
        unless: {
          ...(unless.consentGiven === undefined ? {} : { consentGiven: unless.consentGiven }),
          ...(unless.contract === undefined ? {} : { contract: unless.contract }),
        },
      })),
    },
    schedules: {
      reconcile: withZone(values.schedules.reconcile),
      retention: withZone(values.schedules.retention),
      changesEverySeconds: values.schedules.changesEverySeconds,
    },
    brake: values.brake,
    erasure: values.erasure,
    keys: { main: values.keys.main, codec: values.keys.codec ?? null },
  };
}

function declarationsOf(attributes: Sections['attributes']): Record<string, AttributeDeclaration> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, given]) => {
      const { type, values, maxLength } =
        typeof given === 'string' ? { type: given, values: undefined, maxLength: undefined } : given;
      return [
        name,
        { type, ...(values === undefined ? {} : { values }), ...(maxLength === undefined ? {} : { maxLength }) },
      ];
    }),
  );
}

function withBaseUrl(system: SystemConfig, env: Env): SystemConfig {
  const override = variable(baseUrlVariable(system.name), env);
  if (override !== undefined && !/^https?:\/\//.test(override)) {
    throw new EnvironmentProblem(`${baseUrlVariable(system.name)} must be a web address.`);
  }
  return override === undefined ? system : { ...system, baseUrl: override.replace(/\/+$/, '') };
}
