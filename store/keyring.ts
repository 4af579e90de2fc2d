/**
 * The key that is kept outside the database: hashes of tombstones, sealing of erasure tickets and vendor tokens.
 *
 * A keyed hash of an address is personal data still, but useless without the key (HMAC-SHA-256, RFC 2104); sub-keys by HKDF
 * (RFC 5869); sealing by AES-256-GCM (NIST SP 800-38D).
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hash,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { row, rows } from './db.ts';
import type { Db } from './db.ts';

export interface Keyring {
  readonly keyId: string;
  /** Keyed hash of a normalised text, for one use (`email`, `ref` …). */
  hash(use: string, text: string): Buffer;
  /**
   * Keyed digest of any text, 16 bytes, for one use: a third of the cost of `hash`, for what is done a million times a night. SHA-256 of
   * key and text, cut in half: what is cut off cannot be extended.
   */
  digest(use: string, text: string): Buffer;
  seal(use: string, value: unknown): Buffer;
  /** @throws Error when it was sealed with another key or was changed. */
  open<T>(use: string, sealed: Buffer): T;
  /** What the database keeps to recognise the key. */
  readonly checkValue: string;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const DIGEST_BYTES = 16;

/** @param secret at least 32 bytes, from the environment or a file */
export function keyringFrom(secret: Buffer, keyId = 'k1'): Keyring {
  if (secret.length < 32) throw new Error('the key must have at least 32 bytes');
  const sub = (label: string): Buffer => Buffer.from(hkdfSync('sha256', secret, 'plumbline', label, 32));
  // As key objects: Node turns a Buffer into one at every call, which made a hash five times as dear (12 µs against 2.5 µs).
  const hashKeys = new Map<string, KeyObject>();
  const hashKey = (use: string): KeyObject => {
    let key = hashKeys.get(use);
    if (key === undefined) {
      key = createSecretKey(sub(`hash:${use}`));
      hashKeys.set(use, key);
    }
    return key;
  };
  const digestKeys = new Map<string, string>();
  const digestKey = (use: string): string => {
    let key = digestKeys.get(use);
    if (key === undefined) {
      key = sub(`digest:${use}`).toString('hex');
      digestKeys.set(use, key);
    }
    return key;
  };
  return {
    keyId,
    digest: (use, text) => hash('sha256', digestKey(use) + text, 'buffer').subarray(0, DIGEST_BYTES),
    hash: (use, text) => createHmac('sha256', hashKey(use)).update(text, 'utf8').digest(),
    seal(use, value) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sub(`seal:${use}`), nonce);
      const body = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]);
    },
    open<T>(use: string, sealed: Buffer): T {
      const decipher = createDecipheriv('aes-256-gcm', sub(`seal:${use}`), sealed.subarray(0, NONCE_BYTES));
      decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      const body = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
      return JSON.parse(body.toString('utf8')) as T;
    },
    checkValue: createHmac('sha256', sub('check')).update('plumbline key check').digest('hex'),
  };
}

/**
 * Compares the key with the check value in the database, which the first start stores. A wrong key would let every erased person
 * come back as new, so the caller must not start.
 * @returns a sentence when it does not match, else null
 */
export async function keyProblem(db: Db, keyring: Keyring): Promise<string | null> {
  const name = `key_check:${keyring.keyId}`;
  await rows(db, 'insert into meta (key, value) values (?, ?) on conflict do nothing', [name, keyring.checkValue]);
  const stored = await row<{ value: string }>(db, 'select value from meta where key = ?', [name]);
  const same =
    stored !== undefined &&
    stored.value.length === keyring.checkValue.length &&
    timingSafeEqual(Buffer.from(stored.value), Buffer.from(keyring.checkValue));
  return same
    ? null
    : `The key '${keyring.keyId}' is not the one this database was made with: erased people would not be recognised. Give the right key file; nothing was started.`;
}
