/** Accounts that sign in to a test's PostgreSQL and are in one group role only. */
import { randomBytes } from 'node:crypto';
import type { Db } from '../../store/db.ts';
import { openDb } from '../../store/db.ts';
import { groupRole } from '../../store/grants.ts';
import type { Group } from '../../store/grants.ts';

const made: string[] = [];

/** Makes an account in `group` and gives the URL by which it reaches the database of `url`. */
export async function accountUrl(admin: Db, url: string, group: Group): Promise<string> {
  const name = `test_${group}_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(12).toString('hex');
  await admin.raw(`create role ${name} login password '${password}' in role ${groupRole(group)}`);
  made.push(name);
  const own = new URL(url);
  own.username = name;
  own.password = password;
  return own.href;
}

/** Removes the accounts that own nothing; those of a migrating one go with the server. */
export async function dropAccounts(url: string): Promise<void> {
  const db = openDb({ url, poolMax: 1, applicationName: 'plumbline-test' });
  for (const name of made.splice(0)) await db.raw(`drop role if exists ${name}`).catch(() => undefined);
  await db.destroy();
}
