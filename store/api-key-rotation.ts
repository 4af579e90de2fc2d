/** A key of the API in place of another, without downtime: both are good until the program has changed over. */
import { appendAudit } from './audit.ts';
import { createKey, KeyRefused } from './api-keys.ts';
import type { Role } from './api-keys.ts';
import { asWriter, row, rows } from './db.ts';
import type { Db, Writer } from './db.ts';

export interface Rotated {
  /** The new key's text; it is nowhere afterwards. */
  key: string;
  name: string;
  /** When the old one ends. */
  oldEndsAt: string;
}

/** `crm`, `crm.2`, `crm.3` …: names are the actors of what is done, so none is used twice. */
export function nextName(name: string): string {
  const found = /^(.*)\.(\d{1,6})$/.exec(name);
  return found === null ? `${name}.2` : `${found[1]}.${Number(found[2]) + 1}`;
}

/**
 * Makes a key with the role of another one under the next name, and lets the old one end after `keepHours`, or earlier where it would anyhow.
 * @param expiresAt end of the new key, ISO 8601; null for none
 * @throws KeyRefused not_valid where there is no valid key of that name; name_taken, expired
 */
export async function rotateKey(
  db: Db,
  name: string,
  options: { keepHours: number; expiresAt: string | null },
  by: Writer,
): Promise<Rotated> {
  return asWriter(db, by, async (tx) => {
    const old = await row<{ id: string; role: Role }>(
      tx,
      `select id, role from api_keys where name = ? and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())
       for update`,
      [name],
    );
    if (old === undefined) throw new KeyRefused('not_valid', 'There is no valid key of this name.');
    const made = { name: nextName(name), role: old.role, expiresAt: options.expiresAt };
    const key = await createKey(tx, made, by);
    const [ended] = await rows<{ endsAt: string }>(
      tx,
      `update api_keys set expires_at = least(expires_at, clock_timestamp() + ? * interval '1 hour') where id = ?
       returning expires_at as "endsAt"`,
      [options.keepHours, old.id],
    );
    const oldEndsAt = ended?.endsAt ?? '';
    await appendAudit(tx, { kind: 'key.ends', ...by, detail: { key: old.id, name, oldEndsAt } });
    return { key, name: made.name, oldEndsAt };
  });
}
