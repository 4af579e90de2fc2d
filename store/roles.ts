/** Brings the rights in the database in line with `grants.ts`, after each migration. */
import { oneRow, sqlState } from './db.ts';
import type { Db } from './db.ts';
import { createRolesSql, grantSql, groupRole, GROUPS, guardSql, ownSql } from './grants.ts';

const DENIED = '42501';

/** What an administrator runs once where the migrating account may make no roles; `plumbline db grants` prints it. */
export function grantsFile(): string {
  const accounts = [
    ['migrate', 'plumbline migrate, plumbline key …, plumbline db …'],
    ['worker', 'plumbline worker, and commands that ask a vendor'],
    ['api', 'plumbline api, and all other commands'],
    ['read', 'reports'],
  ] as const;
  return `-- Group roles of Plumbline: who may do what in its database. Run this as an administrator of the server, in that database
-- (psql: \\i), then \`plumbline migrate\` once more. It may be run again at any time.

${createRolesSql()}

do $$ begin
  execute format('grant create on database %I to ${groupRole('migrate')}', current_database());
end $$;

-- An account for each process, and only in its group. For example:
${accounts.map(([group, what]) => `--   create role my_${group} login password '…' in role ${groupRole(group)};   -- ${what}`).join('\n')}
-- What an earlier account made goes over to the group of the next one:
--   grant ${groupRole('migrate')} to my_earlier_account;   -- and run plumbline migrate with it once
`;
}

/**
 * Makes the group roles where it may, gives them what `grants.ts` says, and the schema to `plumbline_migrate`.
 * @returns what could not be done, as a sentence for an operator, or null
 */
export async function applyRoles(db: Db): Promise<string | null> {
  return db.transaction(async (tx) => {
    const run = (sql: string): Promise<void> => tx.raw(sql.replaceAll('?', '\\?')).then(() => undefined);
    const attempt = async (sql: string): Promise<boolean> => {
      try {
        await tx.transaction(async (inner) => {
          await inner.raw(sql.replaceAll('?', '\\?'));
        });
        return true;
      } catch (error) {
        if (sqlState(error) !== DENIED) throw error;
        return false;
      }
    };
    await run(guardSql());
    await attempt(createRolesSql());
    const { there } = await oneRow<{ there: number }>(
      tx,
      'select count(*)::integer as there from pg_roles where rolname = any (?::text[])',
      [GROUPS.map(groupRole)],
    );
    if (there < GROUPS.length) {
      return 'This account may make no roles, so every process needs an account with all rights. `plumbline db grants` prints what an administrator runs to change that.';
    }
    await run(grantSql());
    if ((await attempt(joinSql)) && (await attempt(ownSql()))) return null;
    return `The schema stays with this account, as it may not give it to ${groupRole('migrate')}. An administrator runs: grant ${groupRole('migrate')} to this account; then run plumbline migrate again.`;
  });
}

/** To give something to a role one must be able to become it (a right of its own since 16); who made the role may let itself in. */
const joinSql = `do $$ begin
  if not pg_has_role(current_user, '${groupRole('migrate')}',
      case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end) then
    execute format('grant ${groupRole('migrate')} to %I', current_user);
  end if;
end $$;`;
