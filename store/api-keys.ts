/**
 * Keys of the HTTP API. Stored is the SHA-256 of a key of 256 random bits: nothing to guess, so no slow hash is needed, and a dump of the
 * table opens no door. A look-up by hash compares nothing secret character by character.
 */
import { createHash, randomBytes } from 'node:crypto';
import { asWriter, oneRow, row, rows, sqlState } from './db.ts';
import type { Db, Writer } from './db.ts';

/** From the least to the most powerful; each may do what those before it may. */
export const ROLES = ['reader', 'writer', 'operator', 'lead', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** True where `role` may do what `needed` may. */
export function roleCovers(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

export interface ApiKey {
  id: string;
  name: string;
  role: Role;
  createdAt: string;
  expiresAt: string | null;
  revokedAt: string | null;
}

export interface NewApiKey {
  /** Names the program or desk that uses it, never a person: it is the actor of everything done with it. */
  name: string;
  role: Role;
  /** ISO 8601; null for a key without an end. */
  expiresAt?: string | null;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,59}$/;
const PREFIX = 'pk_';
/** `pk_` and 32 bytes as base64url. */
const KEY = /^pk_[A-Za-z0-9_-]{43}$/;

/** Why a key could not be made. */
export class KeyRefused extends Error {
  readonly code: 'bad_name' | 'name_taken' | 'expired' | 'not_valid';
  constructor(code: KeyRefused['code'], message: string) {
    super(message);
    this.name = 'KeyRefused';
    this.code = code;
  }
}

const OPERATOR: Writer = { actor: 'operator', door: 'operator' };

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key, 'ascii').digest();
}

/**
 * Makes a key. Its text is returned here once and is nowhere afterwards.
 * @throws KeyRefused bad_name, name_taken, expired
 */
export async function createKey(db: Db, wanted: NewApiKey, by: Writer = OPERATOR): Promise<string> {
  if (!NAME.test(wanted.name)) {
    throw new KeyRefused(
      'bad_name',
      'A key is named with up to 60 small letters, digits, points, underscores or hyphens.',
    );
  }
  const expiresAt = wanted.expiresAt ?? null;
  if (expiresAt !== null && !(Date.parse(expiresAt) > Date.now())) {
    throw new KeyRefused('expired', 'The end of a new key lies in the future, as ISO 8601.');
  }
  const key = `${PREFIX}${randomBytes(32).toString('base64url')}`;
  try {
    await asWriter(db, by, async (tx) => {
      const { id } = await oneRow<{ id: string }>(
        tx,
        'insert into api_keys (name, role, hash, expires_at) values (?, ?, ?, ?) returning id',
        [wanted.name, wanted.role, hashOf(key), expiresAt],
      );
      await rows(
        tx,
        `insert into audit (kind, actor, door, detail) values ('key.created', who_actor(), who_door(), ?)`,
        [JSON.stringify({ key: id, name: wanted.name, role: wanted.role, expiresAt })],
      );
    });
  } catch (error) {
    if (sqlState(error) === '23505') throw new KeyRefused('name_taken', 'There is a key of this name already.');
    throw error;
  }
  return key;
}

const KEY_COLUMNS = `id, name, role, created_at as "createdAt", expires_at as "expiresAt", revoked_at as "revokedAt"`;

/** All keys, without anything secret. */
export async function listKeys(db: Db): Promise<ApiKey[]> {
  return rows<ApiKey>(db, `select ${KEY_COLUMNS} from api_keys order by name`);
}

/** Ends a key for good; doors that have it in memory refuse it within `KEY_CACHE_MS`. @returns false when there is no valid one */
export async function revokeKey(db: Db, name: string, by: Writer = OPERATOR): Promise<boolean> {
  return asWriter(db, by, async (tx) => {
    const ended = await row<{ id: string }>(
      tx,
      'update api_keys set revoked_at = clock_timestamp() where name = ? and revoked_at is null returning id',
      [name],
    );
    if (ended === undefined) return false;
    await rows(tx, `insert into audit (kind, actor, door, detail) values ('key.revoked', who_actor(), who_door(), ?)`, [
      JSON.stringify({ key: ended.id, name }),
    ]);
    return true;
  });
}

/** How long a door may go on believing in a key that it has looked up. */
export const KEY_CACHE_MS = 5_000;
const CACHE_SIZE = 1_000;

export type KeyVerdict = { ok: true; key: ApiKey } | { ok: false; reason: 'unknown' | 'expired' | 'revoked' };

/** Looks keys up, remembering the valid ones for a moment. One for each server. */
export interface KeyFinder {
  find(text: string): Promise<KeyVerdict>;
  /** Whether this was a good key when it was looked up last: asks nobody. */
  recognises(text: string): boolean;
}

/** @param nowMs the clock, for tests */
export function keyFinder(db: Db, nowMs: () => number = Date.now): KeyFinder {
  const known = new Map<string, { key: ApiKey; untilMs: number }>();

  function judge(key: ApiKey): KeyVerdict {
    if (key.revokedAt !== null) return { ok: false, reason: 'revoked' };
    if (key.expiresAt !== null && Date.parse(key.expiresAt) <= nowMs()) return { ok: false, reason: 'expired' };
    return { ok: true, key };
  }

  return {
    async find(text) {
      if (!KEY.test(text)) return { ok: false, reason: 'unknown' };
      const hash = hashOf(text);
      const name = nameOf(hash);
      const remembered = known.get(name);
      if (remembered !== undefined && remembered.untilMs > nowMs()) return judge(remembered.key);
      const found = await findKey(db, hash);
      known.delete(name);
      if (found === undefined) return { ok: false, reason: 'unknown' };
      // Only keys that exist are remembered, so that guesses cannot fill the memory.
      if (known.size >= CACHE_SIZE) known.clear();
      known.set(name, { key: found, untilMs: nowMs() + KEY_CACHE_MS });
      return judge(found);
    },
    recognises(text) {
      const remembered = KEY.test(text) ? known.get(nameOf(hashOf(text))) : undefined;
      return remembered !== undefined && judge(remembered.key).ok;
    },
  };
}

function nameOf(hash: Buffer): string {
  return hash.toString('base64');
}

async function findKey(db: Db, hash: Buffer): Promise<ApiKey | undefined> {
  return row<ApiKey>(db, `select ${KEY_COLUMNS} from api_keys where hash = ?`, [hash]);
}
