/**
 * The key that is kept outside the database: hashes of tombstones, sealing of erasure tickets and vendor tokens.
 *
 * A keyed hash of an address is personal data still, but useless without the key (HMAC-SHA-256, RFC 2104); sub-keys by HKDF
 * (RFC 5869); sealing by AES-256-GCM (NIST SP 800-38D).
 */
import { createHmac, hash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { FIRST_KEY_ID, KEY_BYTES } from '../domain/keys.ts';
import type { NamedKey } from '../domain/keys.ts';
import { rows } from './db.ts';
import type { Db } from './db.ts';
import { hmac } from './hmac.ts';
import { openBox, sealBox } from './sealed-box.ts';

export interface Keyring {
  /** Id of the key in use; the others only recognise and open what was made with them. */
  readonly keyId: string;
  /** Keyed hash of a normalised text, for one use (`email`, `ref` …), to be stored. */
  hash(use: string, text: string): Buffer;
  /** The hashes under which a text may be stored: one for each key, the one in use first. */
  hashes(use: string, text: string): Buffer[];
  /**
   * Keyed digest of any text, 16 bytes, for one use: less than half the cost of `hash`, for what is done a million times a night. SHA-256 of
   * key and text, cut in half: what is cut off cannot be extended.
   */
  digest(use: string, text: string): Buffer;
  seal(use: string, value: unknown): Buffer;
  /** @throws Error when it was sealed with a key that is not here, or was changed. */
  open<T>(use: string, sealed: Buffer): T;
  /** What the database keeps to recognise each key, the one in use first. */
  readonly checks: readonly { id: string; value: string }[];
}

const DIGEST_BYTES = 16;

/** @param secrets 32 bytes each, from the environment or a file, the one in use first; one alone is `k1` */
export function keyringFrom(secrets: Buffer | readonly NamedKey[]): Keyring {
  const keys = (Buffer.isBuffer(secrets) ? [{ id: FIRST_KEY_ID, secret: secrets }] : secrets).map(oneKey);
  const [inUse] = keys;
  if (inUse === undefined) throw new Error('a keyring has at least one key');
  return {
    keyId: inUse.id,
    hash: (use, text) => inUse.hash(use, text),
    digest: (use, text) => inUse.digest(use, text),
    hashes: (use, text) => keys.map((key) => key.hash(use, text)),
    seal(use, value) {
      return sealBox(inUse.sealing(use), Buffer.from(JSON.stringify(value), 'utf8'));
    },
    open<T>(use: string, sealed: Buffer): T {
      for (const key of keys) {
        const text = opened(key.sealing(use), sealed);
        if (text !== null) return JSON.parse(text) as T;
      }
      throw new Error('sealed with a key that is not here, or changed');
    },
    checks: keys.map(({ id, check }) => ({ id, value: check })),
  };
}

interface OneKey {
  id: string;
  hash(use: string, text: string): Buffer;
  digest(use: string, text: string): Buffer;
  sealing(use: string): Buffer;
  check: string;
}

function oneKey({ id, secret }: NamedKey): OneKey {
  if (secret.length < KEY_BYTES) throw new Error(`the key must have at least ${KEY_BYTES} bytes`);
  const sub = (label: string): Buffer => Buffer.from(hkdfSync('sha256', secret, 'plumbline', label, KEY_BYTES));
  const hasher = byUse((use) => hmac(sub(`hash:${use}`)));
  const digestKey = byUse((use) => sub(`digest:${use}`).toString('hex'));
  return {
    id,
    digest: (use, text) => Buffer.from(hash('sha256', digestKey(use) + text, 'hex').slice(0, 2 * DIGEST_BYTES), 'hex'),
    hash: (use, text) => hasher(use)(text),
    sealing: (use) => sub(`seal:${use}`),
    check: createHmac('sha256', sub('check')).update('plumbline key check').digest('hex'),
  };
}

/** Made once for each use. */
function byUse<T>(make: (use: string) => T): (use: string) => T {
  const made = new Map<string, T>();
  return (use) => {
    const known = made.get(use);
    if (known !== undefined) return known;
    const now = make(use);
    made.set(use, now);
    return now;
  };
}

/** Null where the key does not fit. */
function opened(key: Buffer, sealed: Buffer): string | null {
  try {
    return openBox(key, sealed).toString('utf8');
  } catch {
    return null;
  }
}

const CHECK = 'key_check:';

/** Name of a key's check value in the database. */
export function checkName(id: string): string {
  return `${CHECK}${id}`;
}

/** The check values that the database keeps, by key id. */
export async function storedChecks(db: Db): Promise<Map<string, string>> {
  const found = await rows<{ id: string; value: string }>(
    db,
    'select substr(key, length(?) + 1) as id, value from meta where starts_with(key, ?)',
    [CHECK, CHECK],
  );
  return new Map(found.map(({ id, value }) => [id, value]));
}

/**
 * Compares the keys with the check values in the database, which the first start with a key stores. A wrong or missing key would let
 * erased people come back as new, so the caller must not start. A new key is first known to every process behind the one in use, since a
 * process that does not know it would not recognise who was erased with it.
 * @returns a sentence when they do not match, else null
 */
export async function keyProblem(db: Db, keyring: Keyring): Promise<string | null> {
  const before = await storedChecks(db);
  const ids = new Set(keyring.checks.map(({ id }) => id));
  const missing = [...before.keys()].find((id) => !ids.has(id));
  if (missing !== undefined)
    return `The key '${missing}' is missing: people who were erased with it would not be recognised. Add it to keys.main; nothing was started.`;
  if (before.size > 0 && !before.has(keyring.keyId))
    return `The key '${keyring.keyId}' is new to this database. Put it behind the others in keys.main, start every process anew, and only then put it first; nothing was started.`;
  await rows(db, 'insert into meta (key, value) select * from unnest(?::text[], ?::text[]) on conflict do nothing', [
    keyring.checks.map(({ id }) => checkName(id)),
    keyring.checks.map(({ value }) => value),
  ]);
  const stored = await storedChecks(db);
  const wrong = keyring.checks.find(({ id, value }) => !same(stored.get(id) ?? '', value));
  return wrong === undefined
    ? null
    : `The key '${wrong.id}' is not the one this database was made with: erased people would not be recognised. Give the right key file; nothing was started.`;
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
