/** The systems as the database knows them: state of each lane, rules hash, what is known of the first scan. */
import type { SystemRules } from '../domain/want.ts';
import { NEEDS_PERSON } from './delivery-views.ts';
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx, Writer } from './db.ts';

export type SystemState = 'scanning' | 'open' | 'paused' | 'guarded';

export interface SystemRow {
  name: string;
  connector: string;
  account: string;
  state: SystemState;
  /** Why it is in that state: a stable code. */
  stateCode: string | null;
  stateBy: string | null;
  stateAt: string;
  scanCompletedAt: string | null;
  changesReadTo: string | null;
  rulesHash: string;
  rules: SystemRules;
  lastError: string | null;
  lastErrorAt: string | null;
}

const SELECT = `select name, connector, account, state, state_code as "stateCode", state_by as "stateBy", state_at as "stateAt",
  scan_completed_at as "scanCompletedAt", changes_read_to as "changesReadTo", rules_hash as "rulesHash", rules,
  last_error as "lastError", last_error_at as "lastErrorAt" from systems`;

export async function listSystems(db: Db | Tx): Promise<SystemRow[]> {
  return rows<SystemRow>(db, `${SELECT} where not removed order by name`);
}

export async function getSystem(db: Db | Tx, name: string): Promise<SystemRow | undefined> {
  return row<SystemRow>(db, `${SELECT} where name = ? and not removed`, [name]);
}

/**
 * Writes the configured systems. New ones start with their first scan; changed rules are only noted: the caller applies them
 * (`rulesChanged`) under the brake.
 */
export async function syncSystems(
  db: Db,
  configured: { rules: SystemRules; account: string; rulesHash: string }[],
): Promise<{ added: string[]; rulesChanged: string[]; removed: string[] }> {
  return db.transaction(async (tx) => {
    await tx.raw('lock table systems in share row exclusive mode');
    const before = new Map((await listSystems(tx)).map((s) => [s.name, s]));
    const added: string[] = [];
    const rulesChanged: string[] = [];
    for (const { rules, account, rulesHash } of configured) {
      const there = before.get(rules.name);
      if (there === undefined) added.push(rules.name);
      else if (there.rulesHash !== rulesHash) rulesChanged.push(rules.name);
      await rows(
        tx,
        `insert into systems (name, connector, account, address_is_key, rules, rules_hash) values (?, ?, ?, ?, ?, ?)
         on conflict (name) do update set connector = excluded.connector, account = excluded.account,
           address_is_key = excluded.address_is_key, removed = false`,
        [rules.name, rules.connector, account, rules.addressIsKey, JSON.stringify(rules), rulesHash],
      );
    }
    const names = configured.map((c) => c.rules.name);
    const removed = await rows<{ name: string }>(
      tx,
      'update systems set removed = true where not removed and name <> all (?::text[]) returning name',
      [names],
    );
    return { added, rulesChanged, removed: removed.map((r) => r.name) };
  });
}

/** Stores the rules that are in force from now on. */
export async function putRules(tx: Db | Tx, rules: SystemRules, rulesHash: string): Promise<void> {
  await rows(tx, 'update systems set rules = ?, rules_hash = ? where name = ?', [
    JSON.stringify(rules),
    rulesHash,
    rules.name,
  ]);
}

/** Changes the state of a lane with an audit entry. @returns false when it was in that state for that reason already */
export async function setSystemState(
  db: Db | Tx,
  name: string,
  state: SystemState,
  code: string | null,
  writer: Writer,
): Promise<boolean> {
  const changed = await row(
    db,
    `update systems set state = ?, state_code = ?, state_by = ?, state_at = clock_timestamp()
     where name = ? and (state, state_code) is distinct from (?, ?) returning 1`,
    [state, code, writer.actor, name, state, code],
  );
  if (changed === undefined) return false;
  await rows(
    db,
    `insert into audit (kind, actor, door, system, detail) values ('lane.' || ?::text, ?, ?, ?, jsonb_build_object('code', ?::text))`,
    [state, writer.actor, writer.door, name, code],
  );
  return true;
}

/** Keeps the last error of a lane for operators; the text is masked by the caller. */
export async function noteError(db: Db | Tx, name: string, error: string | null): Promise<void> {
  await rows(db, 'update systems set last_error = ?, last_error_at = clock_timestamp() where name = ?', [error, name]);
}

/**
 * Takes the last error of a lane at work away; writes nothing where there is none. What stopped a lane stays: a drain that did much good before the
 * vendor shut us out would else take the reason with it.
 */
export async function forgetError(db: Db, name: string): Promise<void> {
  await rows(
    db,
    "update systems set last_error = null where name = ? and last_error is not null and state in ('scanning', 'open')",
    [name],
  );
}

export interface Backlog {
  due: number;
  urgent: number;
  /** Seconds since the oldest due delivery was first due. */
  oldestSeconds: number | null;
  /** Of those among them that are urgent: withdrawals and erasures. */
  oldestUrgentSeconds: number | null;
  problems: number;
}

/** What waits in a system. Counts stop at 100,000 so that a look costs little. */
export async function backlog(db: Db, name: string): Promise<Backlog> {
  return oneRow<Backlog>(
    db,
    `select
       (select count(*) from (select 1 from deliveries where system = ? and wanted > settled limit 100000) x)::integer as due,
       (select count(*) from (select 1 from deliveries where system = ? and wanted > settled and priority <= 10 limit 100000) x)::integer as urgent,
       (select extract(epoch from clock_timestamp() - min(due_since))::integer from (
          (select due_since from deliveries where system = ? and wanted > settled order by priority, due_since limit 1000)) x) as "oldestSeconds",
       (select extract(epoch from clock_timestamp() - min(due_since))::integer from (
          (select due_since from deliveries where system = ? and wanted > settled and priority <= 10 order by priority, due_since limit 1000)) x)
         as "oldestUrgentSeconds",
       (select count(*) from (select 1 from deliveries where system = ? and wanted = settled and (
          data_outcome in ${NEEDS_PERSON}
          or consent_outcome in ${NEEDS_PERSON}) limit 100000) x)::integer as problems`,
    [name, name, name, name, name],
  );
}

export interface BudgetUse {
  perDay: number | null;
  /** Calls a second that the account allows in the long run; null without such a limit. */
  perSecond: number | null;
  dayUsed: number;
  inFlight: number;
  blockedUntil: string | null;
}

/** Calls used by an account: for showing the share of its limits. */
export async function budgetUse(db: Db, account: string): Promise<BudgetUse | undefined> {
  return row<BudgetUse>(
    db,
    `select per_day as "perDay", per_ms * 1000 as "perSecond", case when day = (clock_timestamp() at time zone 'UTC')::date then day_used else 0 end as "dayUsed",
       (select count(*) from budget_slots s where s.account = b.account and not s.ended and s.until > clock_timestamp())::integer as "inFlight",
       case when blocked_until > clock_timestamp() then blocked_until end as "blockedUntil"
     from budgets b where account = ?`,
    [account],
  );
}

/** Entries of the audit log that a look at the rate goes back at most. */
const RATE_ENTRIES = 50_000;

/** System → deliveries read back in the last minute; counted in the newest 50,000 audit entries, so a floor when more happens. */
export async function readBackPerMinute(db: Db): Promise<Map<string, number>> {
  const found = await rows<{ system: string; n: number }>(
    db,
    `select system, count(*)::integer as n from audit
     where id > (select coalesce(max(id), 0) - ? from audit) and kind = 'delivery.verified' and at > clock_timestamp() - interval '1 minute'
     group by system`,
    [RATE_ENTRIES],
  );
  return new Map(found.map((f) => [f.system, f.n]));
}
