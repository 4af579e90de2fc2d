/**
 * The audit log's chain. Writers only append; one sealer chains, in batches, the entries of transactions that ended before every
 * running one, so that nobody queues on a lock and no entry can slip in before a sealed one.
 *
 * hash(n) = SHA-256( hash(n-1) ‖ canonical text of the entry ); hash(0) is 32 zero bytes.
 */
import { createHash } from 'node:crypto';
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

const SEALER_LOCK = 7_235_002;
const PAGE = 5000;
const START = Buffer.alloc(32);

const CANONICAL = `jsonb_build_array(a.id, to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), a.xid::text, a.kind, a.actor, a.door,
  a.contact_id, a.version, a.system, a.case_id, a.detail)::text`;

function chained(previous: Buffer, entry: string): Buffer {
  return createHash('sha256').update(previous).update(entry, 'utf8').digest();
}

/** An entry of the application's own, outside the triggers. `detail` holds codes, counts and opaque ids only. */
export async function appendAudit(
  tx: Db | Tx,
  entry: {
    kind: string;
    actor: string;
    door: string;
    contactId?: string;
    system?: string;
    caseId?: string;
    detail?: Record<string, unknown>;
  },
): Promise<void> {
  await rows(
    tx,
    'insert into audit (kind, actor, door, contact_id, system, case_id, detail) values (?, ?, ?, ?, ?, ?, ?)',
    [
      entry.kind,
      entry.actor,
      entry.door,
      entry.contactId ?? null,
      entry.system ?? null,
      entry.caseId ?? null,
      entry.detail === undefined ? null : JSON.stringify(entry.detail),
    ],
  );
}

/** The epoch of this cluster: a restore elsewhere starts transaction ids anew and so a new epoch. */
async function currentEpoch(tx: Tx): Promise<{ epoch: number; lastEntryBefore: number }> {
  const { cluster } = await oneRow<{ cluster: string }>(
    tx,
    'select system_identifier::text as cluster from pg_control_system()',
  );
  const newest = await row<{ epoch: number; cluster: string; last: number }>(
    tx,
    'select epoch, cluster, last_entry_before as last from audit_epochs order by epoch desc limit 1',
  );
  if (newest?.cluster === cluster) return { epoch: newest.epoch, lastEntryBefore: newest.last };
  const made = await oneRow<{ epoch: number; last: number }>(
    tx,
    `insert into audit_epochs (epoch, cluster, last_entry_before)
     select ?, ?, coalesce(max(id), 0) from audit returning epoch, last_entry_before as last`,
    [(newest?.epoch ?? 0) + 1, cluster],
  );
  return { epoch: made.epoch, lastEntryBefore: newest === undefined ? 0 : made.last };
}

/**
 * Where sealing stands: every entry up to `below` is decided; those up to `next` are once all transactions below `nextXid` have
 * ended. `nextXid` is the sealer's own transaction, begun after `next` was read: whoever had taken an entry number by then has a
 * lower one (a trigger sees to it that a writer has its transaction id before it takes a number). A snapshot's xmax would not do: it
 * is the last *completed* transaction and one, and a running one may stand above it.
 */
interface Watermark {
  epoch: number;
  below: number;
  next: number;
  nextXid: string;
}

async function readWatermark(tx: Db | Tx): Promise<Watermark> {
  const stored = await row<{ value: string }>(tx, `select value from meta where key = 'audit_watermark'`);
  return { epoch: 0, below: 0, next: 0, nextXid: '0', ...(stored && (JSON.parse(stored.value) as Partial<Watermark>)) };
}

/** Moves the watermark after a round that left nothing to seal below `xmin`. `next` was read before this transaction had an id. */
async function moveWatermark(tx: Tx, mark: Watermark, epoch: number, xmin: string, next: number): Promise<void> {
  const waits = mark.next > mark.below && mark.epoch === epoch;
  if (waits && BigInt(xmin) < BigInt(mark.nextXid)) return;
  const below = waits ? mark.next : mark.below;
  if (next <= mark.below) return;
  const { xid } = await oneRow<{ xid: string }>(tx, 'select pg_current_xact_id()::text as xid');
  const moved: Watermark = { epoch, below, next, nextXid: xid };
  await rows(
    tx,
    `insert into meta (key, value) values ('audit_watermark', ?) on conflict (key) do update set value = excluded.value`,
    [JSON.stringify(moved)],
  );
}

/**
 * Chains what can be chained. Only one process seals at a time; others return at once.
 * @returns entries sealed
 */
export async function sealAudit(db: Db): Promise<number> {
  return db.transaction(async (tx) => {
    const { free } = await oneRow<{ free: boolean }>(tx, 'select pg_try_advisory_xact_lock(?) as free', [SEALER_LOCK]);
    if (!free) return 0;
    const { next } = await oneRow<{ next: number }>(
      tx,
      'select case when is_called then last_value else 0 end as next from audit_id_seq',
    );
    const { epoch, lastEntryBefore } = await currentEpoch(tx);
    const mark = await readWatermark(tx);
    const { xmin } = await oneRow<{ xmin: string }>(tx, 'select pg_snapshot_xmin(pg_current_snapshot())::text as xmin');
    const head = await row<{ seq: number; hash: Buffer }>(
      tx,
      'select seq, hash from audit_chain order by seq desc limit 1',
    );
    const entries = await rows<{ id: number; entry: string }>(
      tx,
      `select a.id, ${CANONICAL} as entry from audit a
       where a.id > ? and (a.xid < ?::xid8 or a.id <= ?)
         and not exists (select 1 from audit_chain c where c.entry_id = a.id)
       order by a.id limit ?`,
      [mark.below, xmin, lastEntryBefore, PAGE],
    );
    let hash = head?.hash ?? START;
    const first = (head?.seq ?? 0) + 1;
    const hashes = entries.map(({ entry }) => (hash = chained(hash, entry)));
    if (entries.length > 0) {
      await rows(
        tx,
        `insert into audit_chain (seq, entry_id, epoch, hash)
         select ? + ord - 1, id, ?, hash from unnest(?::bigint[], ?::bytea[]) with ordinality as e (id, hash, ord)`,
        [first, epoch, entries.map((e) => e.id), hashes],
      );
    }
    // Everything below xmin is sealed only if this page was not full.
    if (entries.length < PAGE) await moveWatermark(tx, mark, epoch, xmin, next);
    return entries.length;
  });
}

export interface AuditVerdict {
  ok: boolean;
  sealed: number;
  /** Entries that wait for their seal (normally of the last second). */
  unsealed: number;
  /** Hex of the newest hash: keep it elsewhere to detect a rewritten log. */
  head: string | null;
  problem: { kind: 'changed' | 'removed' | 'gap' | 'inserted'; seq: number | null; entryId: number | null } | null;
}

/** Recomputes the whole chain, page by page. */
export async function verifyAudit(db: Db, onProgress?: (sealed: number) => void): Promise<AuditVerdict> {
  const mark = await readWatermark(db);
  const verdict: AuditVerdict = { ok: true, sealed: 0, unsealed: 0, head: null, problem: null };
  const fail = (kind: 'changed' | 'removed' | 'gap' | 'inserted', seq: number | null, entryId: number | null): void => {
    if (verdict.problem !== null) return;
    verdict.ok = false;
    verdict.problem = { kind, seq, entryId };
  };
  let hash: Buffer = START;
  let seq = 0;
  for (;;) {
    const page = await rows<{ seq: number; entryId: number; hash: Buffer; entry: string | null }>(
      db,
      `select c.seq, c.entry_id as "entryId", c.hash, case when a.id is null then null else ${CANONICAL} end as entry
       from audit_chain c left join audit a on a.id = c.entry_id where c.seq > ? order by c.seq limit ?`,
      [seq, PAGE],
    );
    for (const link of page) {
      if (link.seq !== seq + 1) fail('gap', seq + 1, null);
      seq = link.seq;
      if (link.entry === null) {
        fail('removed', link.seq, link.entryId);
      } else {
        hash = chained(hash, link.entry);
        if (!hash.equals(link.hash)) fail('changed', link.seq, link.entryId);
      }
      hash = link.hash;
    }
    verdict.sealed += page.length;
    onProgress?.(verdict.sealed);
    if (page.length < PAGE || verdict.problem !== null) break;
  }
  verdict.head = verdict.sealed === 0 ? null : hash.toString('hex');
  const loose = await oneRow<{ unsealed: number; inserted: number | null }>(
    db,
    `select count(*)::integer as unsealed, min(a.id) filter (where a.id <= ?) as inserted
     from audit a where not exists (select 1 from audit_chain c where c.entry_id = a.id)`,
    [mark.below],
  );
  verdict.unsealed = loose.unsealed;
  if (loose.inserted !== null) fail('inserted', null, loose.inserted);
  return verdict;
}

export interface AuditEntry {
  id: number;
  at: string;
  kind: string;
  actor: string;
  door: string;
  contactId: string | null;
  version: number | null;
  system: string | null;
  caseId: string | null;
  detail: Record<string, unknown> | null;
}

/** Entries of one contact, newest first. */
export async function auditOf(db: Db, contactId: string, limit = 200): Promise<AuditEntry[]> {
  return rows<AuditEntry>(
    db,
    `select id, at, kind, actor, door, contact_id as "contactId", version, system, case_id as "caseId", detail
     from audit where contact_id = ? order by id desc limit ?`,
    [contactId, limit],
  );
}
