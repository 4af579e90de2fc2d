/** PostgreSQL: reachable, of a version that fits, schema and key in order, clock near ours, audit log sealed, an account of its own. */
import { readEnvironment } from '../../config/index.ts';
import type { Config } from '../../config/index.ts';
import { unsealedSeconds } from '../../store/audit.ts';
import { oneRow, openDb } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { keyProblem } from '../../store/keyring.ts';
import type { Keyring } from '../../store/keyring.ts';
import { schemaProblem } from '../../store/migrate.ts';
import { stuckWorkflows } from '../../store/stuck.ts';
import { look } from './finding.ts';
import type { Finding } from './finding.ts';

const VERSIONS = { from: 15, to: 18 };
/** Clocks further apart than this make consents seem to lie in the future (five minutes are let pass), and tokens run out early. */
const CLOCK_WARN_MS = 5_000;
const CLOCK_FAIL_MS = 120_000;
const UNSEALED_WARN_S = 60;

export function openedDatabase(config: Config): Db | null {
  const { databaseUrl } = readEnvironment();
  if (databaseUrl === undefined) return null;
  return openDb({ url: databaseUrl, poolMax: config.database.poolMax, applicationName: 'plumbline-doctor' });
}

export async function looksAtDatabase(db: Db | null, keyring: Keyring | null): Promise<Finding[]> {
  if (db === null)
    return [
      {
        state: 'fail',
        what: 'database',
        found: 'DATABASE_URL is not set',
        advice: 'Set it, or run `npm start`, which brings one.',
      },
    ];
  return look('database', 'Is it running, and is DATABASE_URL right?', async () => {
    const findings = [await server(db), await clock(db), await account(db)];
    const schema = await schemaProblem(db);
    findings.push(
      schema === null
        ? { state: 'ok', what: 'schema', found: 'up to date' }
        : { state: 'fail', what: 'schema', found: 'does not fit', advice: schema },
    );
    if (schema !== null) return findings;
    if (keyring !== null) {
      const key = await keyProblem(db, keyring);
      findings.push(
        key === null
          ? { state: 'ok', what: 'key', found: 'the one this database was made with' }
          : { state: 'fail', what: 'key', found: 'another one', advice: key },
      );
    }
    return [...findings, await seal(db), ...(await stuck(db))];
  });
}

async function server(db: Db): Promise<Finding> {
  const { version } = await oneRow<{ version: number }>(
    db,
    `select (current_setting('server_version_num')::integer / 10000) as version`,
  );
  const fits = version >= VERSIONS.from && version <= VERSIONS.to;
  return {
    state: fits ? 'ok' : 'warn',
    what: 'database',
    found: `PostgreSQL ${version}`,
    ...(fits ? {} : { advice: `Tested are ${VERSIONS.from} to ${VERSIONS.to}.` }),
  };
}

async function clock(db: Db): Promise<Finding> {
  const before = Date.now();
  const { now } = await oneRow<{ now: number }>(
    db,
    'select extract(epoch from clock_timestamp())::double precision * 1000 as now',
  );
  // In the middle of asking and hearing.
  const apartMs = Math.round(Math.abs(now - (before + Date.now()) / 2));
  const state = apartMs > CLOCK_FAIL_MS ? 'fail' : apartMs > CLOCK_WARN_MS ? 'warn' : 'ok';
  return {
    state,
    what: 'clock',
    found: `${apartMs < 1000 ? `${apartMs} ms` : `${Math.round(apartMs / 1000)} s`} from the database's`,
    ...(state === 'ok' ? {} : { advice: 'Let both machines take their time from the same servers (NTP).' }),
  };
}

async function account(db: Db): Promise<Finding> {
  const { super: isSuper, name } = await oneRow<{ super: boolean; name: string }>(
    db,
    'select rolsuper as super, rolname as name from pg_roles where rolname = current_user',
  );
  return isSuper
    ? {
        state: 'warn',
        what: 'account',
        found: `${name} may do everything`,
        advice: 'Give each process an account of its group: docs/security.md, Accounts.',
      }
    : { state: 'ok', what: 'account', found: name };
}

async function seal(db: Db): Promise<Finding> {
  const seconds = Math.round(await unsealedSeconds(db));
  return seconds <= UNSEALED_WARN_S
    ? { state: 'ok', what: 'audit log', found: 'sealed' }
    : {
        state: 'warn',
        what: 'audit log',
        found: `entries wait for their seal for ${seconds} s`,
        advice: 'Does a worker run? Is a transaction open for long? docs/runbooks/AuditNotSealed.md',
      };
}

async function stuck(db: Db): Promise<Finding[]> {
  return (await stuckWorkflows(db)).map(({ id, type, attempt }) => ({
    state: 'fail' as const,
    what: 'workflow',
    found: `${type} ${id}: its task failed ${attempt} times`,
    advice: 'docs/runbooks/WorkflowStuck.md',
  }));
}
