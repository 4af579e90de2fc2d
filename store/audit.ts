/**
 * The audit log's chain. Writers only append; one sealer chains, in batches, the entries of transactions that ended before every
 * running one, so that nobody queues on a lock and no entry can slip in before a sealed one.
 *
 * hash(n) = SHA-256( hash(n-1) ‖ canonical text of the entry ); hash(0) is 32 zero bytes.
 */
import { hash } from 'node:crypto';
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

const SEALER_LOCK = 7_235_002;
const PAGE = 5000;
const START = Buffer.alloc(32);

const CANONICAL = `jsonb_build_array(a.id, to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), a.xid::text, a.kind, a.actor, a.door,
  a.contact_id, a.version, a.system, a.case_id, a.detail)::text`;

function chained(previous: Buffer, entry: string): Buffer {
  return Buffer.from(hash('sha256', Buffer.concat([previous, Buffer.from(entry, 'utf8')]), 'hex'), 'hex');
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
     select ?, ?, case when ? then 0 else coalesce(max(id), 0) end from audit returning epoch, last_entry_before as last`,
    [(newest?.epoch ?? 0) + 1, cluster, newest === undefined],
  );
  return { epoch: made.epoch, lastEntryBefore: made.last };
}

/** Where sealing stands. */
interface Mark {
  epoch: number;
  /** Every entry of this epoch by a transaction below this one is sealed. */
  from: string;
  /** A round that took more than a page: it goes up to transaction `to`, and on after entry `after`. */
  round: { to: string; after: number } | null;
  /** Every entry up to this one is sealed or will never be: one that appears among them was inserted by a strange hand. */
  below: number;
  /**
   * `below` moves up to `next` once all transactions below `nextXid` have ended. That one is the sealer's own, begun after `next` was
   * read: whoever had taken an entry number by then has a lower one (a trigger sees to it that a writer has its transaction id
   * before it takes a number). A snapshot's xmax would not do: it is the last *completed* transaction and one, and a running one
   * may stand above it.
   */
  next: number;
  nextXid: string;
}

async function readMark(tx: Db | Tx): Promise<Mark> {
  const stored = await row<{ value: string }>(tx, `select value from meta where key = 'audit_watermark'`);
  const start: Mark = { epoch: 0, from: '0', round: null, below: 0, next: 0, nextXid: '0' };
  return stored === undefined ? start : { ...start, ...(JSON.parse(stored.value) as Partial<Mark>) };
}

async function writeMark(tx: Tx, mark: Mark): Promise<void> {
  await rows(
    tx,
    `insert into meta (key, value) values ('audit_watermark', ?) on conflict (key) do update set value = excluded.value`,
    [JSON.stringify(mark)],
  );
}

/** Moves `below` and `next` on, where it is time. `next` was read before this transaction had an id. */
async function movedOn(tx: Tx, mark: Mark, next: number): Promise<Mark> {
  const waits = mark.next > mark.below;
  if (waits && BigInt(mark.from) < BigInt(mark.nextXid)) return mark;
  const below = waits ? mark.next : mark.below;
  if (next <= mark.below) return mark;
  const { xid } = await oneRow<{ xid: string }>(tx, 'select pg_current_xact_id()::text as xid');
  return { ...mark, below, next, nextXid: xid };
}

interface Entry {
  id: number;
  entry: string;
}

/** What is not sealed of a new epoch's past: everything is looked at once. */
async function leftOver(tx: Tx, xmin: string, lastEntryBefore: number): Promise<Entry[]> {
  return rows<Entry>(
    tx,
    `select a.id, ${CANONICAL} as entry from audit a
     where (a.xid < ?::xid8 or a.id <= ?) and not exists (select 1 from audit_chain c where c.entry_id = a.id)
     order by a.id limit ?`,
    [xmin, lastEntryBefore, PAGE],
  );
}

/** Of transactions from `mark.from` to `to`; an earlier epoch's transactions had such numbers too, and are sealed. */
async function ended(tx: Tx, mark: Mark, to: string): Promise<Entry[]> {
  const earlier = `and not exists (select 1 from audit_chain c where c.entry_id = a.id and c.epoch < ${mark.epoch})`;
  return rows<Entry>(
    tx,
    `select a.id, ${CANONICAL} as entry from audit a
     where a.id > ? and a.xid >= ?::xid8 and a.xid < ?::xid8 ${mark.epoch > 1 ? earlier : ''} order by a.id limit ?`,
    [mark.round?.after ?? mark.below, mark.from, to, PAGE],
  );
}

async function chain(tx: Tx, epoch: number, entries: Entry[]): Promise<void> {
  const head = await row<{ seq: number; hash: Buffer }>(
    tx,
    'select seq, hash from audit_chain order by seq desc limit 1',
  );
  let last = head?.hash ?? START;
  const hashes = entries.map(({ entry }) => (last = chained(last, entry)));
  await rows(
    tx,
    `insert into audit_chain (seq, entry_id, epoch, hash)
     select ? + ord - 1, id, ?, hash from unnest(?::bigint[], ?::bytea[]) with ordinality as e (id, hash, ord)`,
    [(head?.seq ?? 0) + 1, epoch, entries.map((e) => e.id), hashes],
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
    const { next, xmin } = await oneRow<{ next: number; xmin: string }>(
      tx,
      `select (select case when is_called then last_value else 0 end from audit_id_seq) as next,
         pg_snapshot_xmin(pg_current_snapshot())::text as xmin`,
    );
    const { epoch, lastEntryBefore } = await currentEpoch(tx);
    const before = await readMark(tx);
    const isNew = before.epoch !== epoch;
    const to = isNew ? xmin : (before.round?.to ?? xmin);
    const entries = isNew ? await leftOver(tx, to, lastEntryBefore) : await ended(tx, before, to);
    if (entries.length > 0) await chain(tx, epoch, entries);
    if (entries.length === PAGE) {
      if (!isNew) await writeMark(tx, { ...before, round: { to, after: entries.at(-1)?.id ?? 0 } });
      return entries.length;
    }
    // Numbers of an earlier epoch's transactions say nothing here.
    const start = isNew ? { epoch, below: before.below, next: before.below, nextXid: '0' } : before;
    const now = await movedOn(tx, { ...start, from: to, round: null }, next);
    const isMoved = now.below !== before.below || now.next !== before.next;
    if (isNew || entries.length > 0 || isMoved || before.round !== null) await writeMark(tx, now);
    return entries.length;
  });
}

/** Seconds since the oldest entry that waits for its seal; 0 when all are sealed. */
export async function unsealedSeconds(db: Db): Promise<number> {
  const { seconds } = await oneRow<{ seconds: number | null }>(
    db,
    `select extract(epoch from clock_timestamp() - min(at))::double precision as seconds from audit
     where id > coalesce((select entry_id from audit_chain order by seq desc limit 1), 0)`,
  );
  return Math.max(0, seconds ?? 0);
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

/**
 * Recomputes the chain, page by page.
 * @param after a verdict of before that was good and was kept: only what was sealed since is recomputed, from its head on
 */
export async function verifyAudit(
  db: Db,
  { onProgress, after }: { onProgress?: (sealed: number) => void; after?: Pick<AuditVerdict, 'sealed' | 'head'> } = {},
): Promise<AuditVerdict> {
  const mark = await readMark(db);
  const verdict: AuditVerdict = { ok: true, sealed: after?.sealed ?? 0, unsealed: 0, head: null, problem: null };
  const fail = (kind: 'changed' | 'removed' | 'gap' | 'inserted', seq: number | null, entryId: number | null): void => {
    if (verdict.problem !== null) return;
    verdict.ok = false;
    verdict.problem = { kind, seq, entryId };
  };
  // The chain begins at 1 and has no gap, or it is not good.
  let hash: Buffer = typeof after?.head === 'string' ? Buffer.from(after.head, 'hex') : START;
  let seq = verdict.sealed;
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
