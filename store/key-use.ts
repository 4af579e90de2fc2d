/** What still needs which key of `keys.main`, sealing anew with the one in use, and letting a key go. */
import type { Db, Tx, Writer } from './db.ts';
import { rows } from './db.ts';
import { appendAudit } from './audit.ts';
import type { Keyring } from './keyring.ts';
import { checkName } from './keyring.ts';

export interface KeyUse {
  id: string;
  /** Hashes of erased people: they cannot be made anew, so their key is needed as long as they are. */
  tombstones: number;
  tickets: number;
  tokens: number;
  /** Systems that were not compared completely since the key in use is in use: hashes of vendors' records may be of this one. */
  systems: string[];
}

const FIRST_USE = 'key_in_use:';

/** Notes since when a key is the one in use. Called at each start; the first counts. */
export async function noteKeyInUse(db: Db, keyring: Keyring): Promise<void> {
  await rows(db, 'insert into meta (key, value) values (?, clock_timestamp()::text) on conflict do nothing', [
    `${FIRST_USE}${keyring.keyId}`,
  ]);
}

/** Each key that the database was used with, and what needs it. */
export async function keyUse(db: Db | Tx, keyring: Keyring): Promise<KeyUse[]> {
  const found = await rows<Omit<KeyUse, 'systems'>>(
    db,
    `select k.id, (select count(*) from tombstones where key_id = k.id)::integer as tombstones,
       (select count(*) from tickets where key_id = k.id)::integer as tickets,
       (select count(*) from vendor_tokens where key_id = k.id)::integer as tokens
     from (select substr(key, length(?) + 1) as id from meta where starts_with(key, ?)) k order by k.id`,
    [checkName(''), checkName('')],
  );
  const stale = await rows<{ name: string }>(
    db,
    `select s.name from systems s where not s.removed and not exists (
       select 1 from runs r join meta m on m.key = ? where r.system = s.name and r.kind in ('reconciliation', 'first_scan')
         and r.state = 'done' and r.started_at > m.value::timestamptz) order by s.name`,
    [`${FIRST_USE}${keyring.keyId}`],
  );
  return found.map((use) => ({ ...use, systems: use.id === keyring.keyId ? [] : stale.map(({ name }) => name) }));
}

const BATCH = 200;
const SEALED = [
  { table: 'tickets', key: 'contact_id', use: 'ticket' },
  { table: 'vendor_tokens', key: 'account', use: 'vendor_token' },
] as const;

/** Seals tickets and vendor tokens anew that were sealed with another key than the one in use. @returns how many */
export async function reseal(db: Db, keyring: Keyring, by: Writer): Promise<number> {
  let count = 0;
  for (const { table, key, use } of SEALED) {
    for (;;) {
      const done = await db.transaction(async (tx) => {
        // A ticket or token that is being written is waited for, and read as it is then.
        const old = await rows<{ id: string; sealed: Buffer }>(
          tx,
          `select ${key}::text as id, sealed from ${table} where key_id <> ? order by ${key} limit ? for update`,
          [keyring.keyId, BATCH],
        );
        const made = old.map(({ sealed }) => keyring.seal(use, keyring.open(use, sealed)));
        await rows(
          tx,
          `update ${table} t set key_id = ?, sealed = n.sealed from unnest(?::text[], ?::bytea[]) as n (id, sealed) where t.${key}::text = n.id`,
          [keyring.keyId, old.map(({ id }) => id), made],
        );
        return old.length;
      });
      count += done;
      if (done < BATCH) break;
    }
  }
  await appendAudit(db, { kind: 'keyring.resealed', ...by, detail: { key: keyring.keyId, count } });
  return count;
}

/**
 * Forgets a key, so that processes start without it.
 * @returns null when it is done, else a sentence that says what still needs it
 */
export async function retireKey(db: Db, keyring: Keyring, id: string, by: Writer): Promise<string | null> {
  if (id === keyring.keyId) return `The key '${id}' is the one in use.`;
  return db.transaction(async (tx) => {
    const use = (await keyUse(tx, keyring)).find((one) => one.id === id);
    if (use === undefined) return `This database was never used with a key '${id}'.`;
    const needs = [
      ...(use.tombstones > 0 ? [`${use.tombstones} hashes of erased people, which cannot be made anew`] : []),
      ...(use.tickets + use.tokens > 0 ? [`${use.tickets + use.tokens} sealed rows (plumbline keyring reseal)`] : []),
      ...(use.systems.length > 0 ? [`records of ${use.systems.join(', ')} (plumbline reconcile run <system>)`] : []),
    ];
    if (needs.length > 0) return `The key '${id}' is still needed: ${needs.join('; ')}.`;
    await rows(tx, 'delete from meta where key = ?', [checkName(id)]);
    await appendAudit(tx, { kind: 'keyring.retired', ...by, detail: { key: id } });
    return null;
  });
}
