/** The ledger when it is large: to mark everybody due, to claim of few and of all, and the room it takes. */
import { claimDue, LIVE_UP_TO } from '../../store/claims.ts';
import { oneRow, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { percentile, rounded } from './figures.ts';
import { SYSTEM } from '../../local/vendor-programs.ts';
import type { Figures } from './part.ts';

const FEW = 1_000;
const CLAIM = 100;
const CLAIMS = 50;

/** @param db with a ledger in which nothing needs to be due; all of it is due afterwards */
export async function measureLedger(db: Db): Promise<Figures> {
  await rows(db, 'update deliveries set settled = wanted where settled < wanted');
  await db.raw('vacuum analyze deliveries');
  await rows(
    db,
    `update deliveries set wanted = wanted + 1 where (contact_id, system) in
       (select contact_id, system from deliveries where system = ? limit ?)`,
    [SYSTEM.hubspot, FEW],
  );
  const claim_few_ms = await claimMs(db);
  const started = performance.now();
  await rows(db, 'update deliveries set wanted = wanted + 1');
  const mark_due_s = (performance.now() - started) / 1000;
  const claim_all_ms = await claimMs(db);
  const { n, mb } = await oneRow<{ n: number; mb: number }>(
    db,
    `select (select count(*) from deliveries)::integer as n, (pg_total_relation_size('deliveries') / 1048576)::integer as mb`,
  );
  return {
    rows: n,
    mark_due_s: rounded(mark_due_s),
    claim_few_ms: rounded(claim_few_ms),
    claim_all_ms: rounded(claim_all_ms),
    size_mb: mb,
  };
}

async function claimMs(db: Db): Promise<number> {
  const took: number[] = [];
  for (let n = 0; n < CLAIMS; n += 1) {
    const started = performance.now();
    const due = await claimDue(db, SYSTEM.hubspot, { upTo: LIVE_UP_TO, urgent: CLAIM, rest: CLAIM });
    took.push(performance.now() - started);
    if (due.length < CLAIM) throw new Error(`only ${due.length} were claimed`);
  }
  return percentile(took, 0.5);
}
