/** Rotating OAuth tokens of vendor accounts, sealed; refreshed by one process at a time. */
import { row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';
import type { Keyring } from './keyring.ts';

/** Same shape as the connectors' `SavedTokens`. */
export interface SavedTokens {
  accessToken: string | null;
  accessExpiresAt: string | null;
  refreshToken: string;
  previousRefreshToken: string | null;
}

const TOKEN_LOCK_SPACE = 7_235_003;

async function read(db: Db | Tx, keyring: Keyring, account: string): Promise<SavedTokens | null> {
  const found = await row<{ sealed: Buffer }>(db, 'select sealed from vendor_tokens where account = ?', [account]);
  return found === undefined ? null : keyring.open<SavedTokens>('vendor_token', found.sealed);
}

/**
 * A token store over PostgreSQL. `exclusively` holds an advisory lock of the account while a token is refreshed; the previous
 * refresh token is kept, so that a crash between the vendor's answer and the save loses nothing within the vendor's grace period.
 */
export function tokenStore(
  db: Db,
  keyring: Keyring,
): {
  load(account: string): Promise<SavedTokens | null>;
  exclusively(account: string, fn: (saved: SavedTokens | null) => Promise<SavedTokens>): Promise<SavedTokens>;
} {
  return {
    load: (account) => read(db, keyring, account),
    exclusively: (account, fn) =>
      db.transaction(async (tx) => {
        // Whoever holds it is at the vendor for seconds at most; a session that died in between is not waited for without end.
        await tx.raw(`set local lock_timeout = '30s'`);
        await tx.raw('select pg_advisory_xact_lock(?, hashtext(?))', [TOKEN_LOCK_SPACE, account]);
        const tokens = await fn(await read(tx, keyring, account));
        await rows(
          tx,
          `insert into vendor_tokens (account, key_id, sealed) values (?, ?, ?)
           on conflict (account) do update set key_id = excluded.key_id, sealed = excluded.sealed, saved_at = clock_timestamp()`,
          [account, keyring.keyId, keyring.seal('vendor_token', tokens)],
        );
        return tokens;
      }),
  };
}
