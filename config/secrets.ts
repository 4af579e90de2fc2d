/** Secrets come from the environment or from files only, and are read at each use. They are never kept, printed or logged. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseKeys } from '../domain/keys.ts';
import type { NamedKey } from '../domain/keys.ts';
import { variable } from './environment.ts';
import type { Env } from './environment.ts';
import type { Config, SecretRef } from './types.ts';

/** A secret that is not there; the message names where it was looked for and never holds any of it. */
export class SecretMissing extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SecretMissing';
  }
}

/**
 * Reads the named secrets of one system, each time anew. The function rejects with `SecretMissing` where there is none;
 * so does one for a name that the configuration does not give.
 */
export function secretReader(
  config: Config,
  system: string,
  env: Env = process.env,
): (name: string) => Promise<string> {
  const credentials = config.systems[system]?.credentials ?? {};
  return (name) => {
    const ref = Object.hasOwn(credentials, name) ? credentials[name] : undefined;
    if (ref === undefined) return Promise.reject(new SecretMissing(`The system '${system}' has no secret '${name}'.`));
    return readSecret(ref, config, env);
  };
}

/**
 * The keys that are kept outside the database, the one in use first: 32 bytes each, `id:base64`, or one alone without an id.
 * @throws SecretMissing with a sentence for the operator
 */
export async function mainKeys(config: Config, env: Env = process.env): Promise<NamedKey[]> {
  return readKeys(config.keys.main, config, env);
}

/** The keys that seal what Temporal keeps, the one in use first; none where the configuration names none. @throws SecretMissing */
export async function codecKeys(config: Config, env: Env = process.env): Promise<NamedKey[]> {
  return config.keys.codec === null ? [] : readKeys(config.keys.codec, config, env);
}

async function readKeys(ref: SecretRef, config: Config, env: Env): Promise<NamedKey[]> {
  const keys = parseKeys(await readSecret(ref, config, env));
  if (keys !== null) return keys;
  throw new SecretMissing(
    `The key (${where(ref)}) is not 32 bytes in base64, nor a list of such keys with different ids (id:base64). Make one with: plumbline keyring new`,
  );
}

/** Every secret that the configuration names and that cannot be read, with its path in the file. */
export async function missingSecrets(
  config: Config,
  env: Env = process.env,
): Promise<{ at: string[]; found: string; expected: string }[]> {
  const missing: { at: string[]; found: string; expected: string }[] = [];
  const look = async (at: string[], what: string, ref: SecretRef, read: () => Promise<unknown>): Promise<void> => {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof SecretMissing)) throw error;
      missing.push({ at, found: `nothing usable in ${where(ref)}`, expected: what });
    }
  };
  for (const system of Object.values(config.systems)) {
    const secret = secretReader(config, system.name, env);
    for (const [name, ref] of Object.entries(system.credentials)) {
      await look(['systems', system.name, 'credentials', name], 'a secret there', ref, () => secret(name));
    }
  }
  const key = 'a key of 32 bytes in base64 there';
  await look(['keys', 'main'], key, config.keys.main, () => mainKeys(config, env));
  const { codec } = config.keys;
  if (codec !== null) await look(['keys', 'codec'], key, codec, () => codecKeys(config, env));
  return missing;
}

async function readSecret(ref: SecretRef, config: Config, env: Env): Promise<string> {
  const text = 'env' in ref ? variable(ref.env, env) : await readFileOrNothing(resolve(dirname(config.file), ref.file));
  const secret = text?.trim() ?? '';
  if (secret === '') throw new SecretMissing(`There is no secret in ${where(ref)}.`);
  return secret;
}

async function readFileOrNothing(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Where a secret is kept, for people. */
export function where(ref: SecretRef): string {
  return 'env' in ref ? `the environment variable ${ref.env}` : `the file ${ref.file}`;
}
