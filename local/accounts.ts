/** The accounts of worker and API in the PostgreSQL that we bring: each in its own group, so that neither may do the other's work. */
import type { Db } from '../store/db.ts';
import { rows } from '../store/db.ts';
import { groupRole } from '../store/grants.ts';

const PARTS = ['worker', 'api'] as const;
type Part = (typeof PARTS)[number];

/**
 * Makes sure of both accounts.
 *
 * @param url of the superuser, whose place they take
 * @param secret a password kept with the installation, by name; hexadecimal
 * @returns the URL of each part
 */
export async function ensureAccounts(
  db: Db,
  url: string,
  secret: (name: string) => string,
): Promise<Record<Part, string>> {
  const urls: Partial<Record<Part, string>> = {};
  for (const part of PARTS) {
    const name = `plumbline_local_${part}`;
    const password = secret(`${part}.password`);
    if (!/^[0-9a-f]{32,}$/.test(password)) throw new Error(`the kept password of ${name} is not hexadecimal`);
    const [there] = await rows(db, 'select 1 from pg_roles where rolname = ?', [name]);
    // Neither names nor passwords can be bound in such a statement; both are ours.
    if (there === undefined) await db.raw(`create role ${name} login in role ${groupRole(part)}`);
    await db.raw(`alter role ${name} password '${password}'`);
    const own = new URL(url);
    own.username = name;
    own.password = password;
    urls[part] = own.href;
  }
  return urls as Record<Part, string>;
}
