/** One system of the configuration: its shape, its connector's own settings, and what it refers to elsewhere in the file. */
import type { AccountLimits, ConnectorModule } from '../connectors/kit/module.ts';
import type { AttributeDeclarations } from '../domain/attributes.ts';
import { isKnownPath, PLAIN_FIELDS } from '../domain/mapping.ts';
import type { FieldKind, FieldRule, Who } from '../domain/want.ts';
import { nearest } from './nearest.ts';
import { problemAt, problemAtKey, problemsOf } from './problems.ts';
import type { Problem } from './problems.ts';
import { systemSchema } from './schema.ts';
import type { SystemInput } from './schema.ts';
import type { Source } from './source.ts';
import type { SystemConfig } from './types.ts';

/** What the rest of the file declares; null where that part has mistakes of its own, so that none is reported twice. */
export interface Declared {
  purposes: readonly string[] | null;
  attributes: AttributeDeclarations | null;
}

export interface ConnectorSource {
  names: readonly string[];
  load(name: string): Promise<ConnectorModule>;
}

/** Checks and resolves one system. @returns null for the system where anything in it is wrong */
export async function readSystem(
  source: Source,
  name: string,
  value: unknown,
  declared: Declared,
  connectors: ConnectorSource,
): Promise<{ system: SystemConfig | null; problems: Problem[] }> {
  const path = ['systems', name];
  const parsed = systemSchema.safeParse(value);
  const problems = parsed.success ? [] : problemsOf(source, systemSchema, parsed.error.issues, path);

  const connector = textOf(value, 'connector');
  const module = connector !== null && connectors.names.includes(connector) ? await connectors.load(connector) : null;
  if (connector !== null && module === null) {
    const meant = nearest(connector, connectors.names);
    problems.push(
      problemAt(
        source,
        [...path, 'connector'],
        `one of ${connectors.names.join(', ')}${meant === null ? '' : ` (did you mean '${meant}'?)`}`,
      ),
    );
  }
  let settings: Record<string, unknown> = {};
  if (module !== null) {
    const given = (isRecord(value) ? value['settings'] : undefined) ?? {};
    const checked = module.settingsSchema.safeParse(given);
    if (checked.success) settings = checked.data;
    else problems.push(...problemsOf(source, module.settingsSchema, checked.error.issues, [...path, 'settings']));
  }
  if (!parsed.success) return { system: null, problems };

  const references = referenceProblems(source, name, parsed.data, declared);
  problems.push(...references);
  if (module !== null) problems.push(...credentialProblems(source, name, parsed.data, module, settings));
  // A mistyped purpose is one mistake, not two.
  if (module !== null && references.length === 0) {
    problems.push(...capabilityProblems(source, name, parsed.data, module));
  }
  if (module === null || problems.length > 0) return { system: null, problems };
  return { system: resolved(name, parsed.data, module, settings, declared.attributes ?? {}), problems };
}

function referenceProblems(source: Source, name: string, input: SystemInput, declared: Declared): Problem[] {
  const problems: Problem[] = [];
  const path = ['systems', name];
  const { purposes, attributes } = declared;
  if (purposes !== null) {
    if (typeof input.who === 'object' && 'consent' in input.who && !purposes.includes(input.who.consent)) {
      problems.push(problemAt(source, [...path, 'who', 'consent'], purposeExpected(input.who.consent, purposes)));
    }
    for (const purpose of Object.keys(input.consents)) {
      if (!purposes.includes(purpose)) {
        problems.push(problemAtKey(source, [...path, 'consents'], purpose, purposeExpected(purpose, purposes)));
      }
    }
  }
  for (const [target, rule] of Object.entries(input.fields)) {
    const at = [...path, 'fields', target];
    const from = typeof rule === 'string' ? rule : rule.from;
    if (typeof rule === 'object' && (rule.from !== undefined) === (rule.value !== undefined)) {
      const both = rule.from !== undefined;
      // A transform such as fullName or legalBasis reads the whole contact and needs neither.
      if (both || rule.transform === undefined) {
        problems.push(problemAt(source, at, "either 'from' or 'value'", both ? 'both' : 'neither'));
      }
    }
    if (from !== undefined && attributes !== null && !isKnownPath(from, Object.keys(attributes))) {
      problems.push(
        problemAt(source, typeof rule === 'string' ? at : [...at, 'from'], fieldExpected(from, attributes)),
      );
    }
  }
  return problems;
}

export function purposeExpected(found: string, purposes: readonly string[]): string {
  const meant = nearest(found, purposes);
  if (meant !== null) return `a purpose of this file (did you mean '${meant}'?)`;
  return purposes.length === 0 ? 'a purpose of this file (there is none)' : `one of ${purposes.join(', ')}`;
}

const FIELD_NAMES = [...PLAIN_FIELDS, 'fullName', 'emails.0', 'phones.0'];

function fieldExpected(found: string, attributes: AttributeDeclarations): string {
  const names = [...FIELD_NAMES, ...Object.keys(attributes).map((attribute) => `attributes.${attribute}`)];
  const meant = nearest(found, names);
  return meant === null ? `one of ${names.join(', ')}` : `a field of a contact (did you mean '${meant}'?)`;
}

function credentialProblems(
  source: Source,
  name: string,
  input: SystemInput,
  module: ConnectorModule,
  settings: Record<string, unknown>,
): Problem[] {
  const path = ['systems', name, 'credentials'];
  const given = Object.keys(input.credentials);
  const missing = (module.neededSecrets?.(settings) ?? module.secrets)
    .filter((secret) => !given.includes(secret))
    .map((secret) => problemAt(source, [...path, secret], '{env: NAME} or {file: path}', 'nothing'));
  const unknown = given
    .filter((secret) => !module.secrets.includes(secret))
    .map((secret) => {
      const meant = nearest(secret, module.secrets);
      const expected = meant === null ? `one of ${module.secrets.join(', ')}` : `'${meant}' (did you mean that?)`;
      return problemAtKey(source, path, secret, expected, `the unknown secret '${secret}'`);
    });
  return [...missing, ...unknown];
}

/** What the connector cannot do, or could not do without a further line. */
function capabilityProblems(source: Source, name: string, input: SystemInput, module: ConnectorModule): Problem[] {
  const problems: Problem[] = [];
  const path = ['systems', name];
  const mapped = Object.keys(input.consents);
  if (!module.capabilities.consents && mapped.length > 0) {
    problems.push(
      problemAt(source, [...path, 'consents'], 'no consents, because this vendor holds none', mapped.join(', ')),
    );
  }
  if (module.capabilities.consents && typeof input.who === 'object' && 'consent' in input.who) {
    const { consent } = input.who;
    // Without it nobody who withdraws would ever be unsubscribed there.
    if (!mapped.includes(consent)) {
      const expected = `a line for '${consent}', by which this system shows who may be written to`;
      problems.push(
        problemAt(source, [...path, 'consents'], expected, mapped.length === 0 ? 'nothing' : mapped.join(', ')),
      );
    }
  }
  const limits = limitsOf(input.limits, module.limits);
  if ((limits.calls === undefined) !== (limits.windowMs === undefined)) {
    problems.push(problemAt(source, [...path, 'limits'], "'calls' and 'windowMs' together", 'one of them'));
  }
  return problems;
}

function resolved(
  name: string,
  input: SystemInput,
  module: ConnectorModule,
  settings: Record<string, unknown>,
  attributes: AttributeDeclarations,
): SystemConfig {
  return {
    name,
    connector: input.connector,
    account: input.account ?? name,
    baseUrl: input.baseUrl?.replace(/\/+$/, '') ?? null,
    privateAddresses: input.privateAddresses,
    credentials: input.credentials,
    limits: limitsOf(input.limits, module.limits),
    settings,
    who: whoOf(input.who),
    outsiders: input.outsiders ?? (whoOf(input.who).kind === 'consent' ? 'unsubscribe' : 'leave'),
    fields: Object.entries(input.fields).map(([target, rule]) => fieldRuleOf(target, rule, attributes)),
    consents: Object.entries(input.consents).map(([purpose, target]) => ({ purpose, target })),
    addressIsKey: module.capabilities.addressIsKey,
    addressRequired: module.capabilities.addressRequired,
  };
}

/** `off` takes away rate and day; calls in flight always have a bound. */
function limitsOf(input: SystemInput['limits'], vendor: AccountLimits): AccountLimits {
  const concurrency = input.concurrency ?? vendor.concurrency;
  if (input.off === true) return { concurrency };
  const calls = input.calls ?? vendor.calls;
  const windowMs = input.windowMs ?? vendor.windowMs;
  const perDay = input.perDay ?? vendor.perDay;
  return {
    ...(calls === undefined ? {} : { calls }),
    ...(windowMs === undefined ? {} : { windowMs }),
    ...(perDay === undefined ? {} : { perDay }),
    concurrency,
  };
}

function whoOf(input: SystemInput['who']): Who {
  if (input === 'everybody') return { kind: 'everybody' };
  if ('consent' in input) return { kind: 'consent', purpose: input.consent };
  return { kind: 'relationship', in: input.relationship };
}

function fieldRuleOf(
  target: string,
  input: SystemInput['fields'][string],
  attributes: AttributeDeclarations,
): FieldRule {
  const given = typeof input === 'string' ? { from: input } : input;
  const { from, value, kind, maxLength, transform } = { ...EMPTY_RULE, ...given };
  return {
    target,
    ...(from === undefined ? {} : { from }),
    ...(value === undefined ? {} : { value }),
    kind: kind ?? kindOf(from, transform, attributes),
    ...(maxLength === undefined ? {} : { maxLength }),
    ...(transform === undefined ? {} : { transform }),
  };
}

const EMPTY_RULE: Exclude<SystemInput['fields'][string], string> = {};

/** How a value is compared with what the vendor gives back, where the file does not say. */
function kindOf(from: string | undefined, transform: string | undefined, attributes: AttributeDeclarations): FieldKind {
  if (transform === 'dateOnly') return 'date';
  if (from === undefined) return 'text';
  if (from.startsWith('emails.')) return 'email';
  if (from.startsWith('phones.')) return 'phone';
  if (from === 'obtainedAt' || from === 'contractEnd' || from === 'lastTransactionAt') return 'date';
  const attribute = from.startsWith('attributes.') ? attributes[from.slice('attributes.'.length)] : undefined;
  return attribute?.type ?? 'text';
}

function textOf(value: unknown, key: string): string | null {
  const found = isRecord(value) ? value[key] : undefined;
  return typeof found === 'string' ? found : null;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
