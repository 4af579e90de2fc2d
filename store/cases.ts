/** Cases and decisions as rows: Temporal times and shows them, losing its store loses nothing. */
import type { ContactId } from '../domain/contact.ts';
import { oneRow, row, rows } from './db.ts';
import type { Db, Tx } from './db.ts';

export interface CaseRow {
  id: string;
  kind: 'erasure';
  contactId: ContactId;
  state: 'open' | 'approved' | 'erasing' | 'done' | 'refused';
  requestedBy: string;
  requestedAt: string;
  deadline: string;
  decision: 'approve' | 'refuse' | null;
  decidedBy: string | null;
  decidedAt: string | null;
  decisionGround: string | null;
  /** Per system: what came of it. */
  summary: Record<string, { outcome: string; code?: string; at?: string; reviewOn?: string }> | null;
  closedAt: string | null;
}

const SELECT = `select id, kind, contact_id as "contactId", state, requested_by as "requestedBy", requested_at as "requestedAt",
  deadline, decision, decided_by as "decidedBy", decided_at as "decidedAt", decision_ground as "decisionGround", summary,
  closed_at as "closedAt" from cases`;

export interface ErasureRequest {
  contactId: ContactId;
  requestedBy: string;
  /** Days until the deadline; a month by law (GDPR Art. 12(3)). */
  deadlineDays: number;
  /** Free text of the request; kept apart, emptied at erasure. */
  text?: string;
}

/** Opens an erasure case, or gives the one that is open for the contact. The case's workflow is started by the caller. */
export async function openErasureCase(tx: Tx, request: ErasureRequest): Promise<{ id: string; opened: boolean }> {
  const open = await row<{ id: string }>(
    tx,
    `select id from cases where kind = 'erasure' and contact_id = ? and closed_at is null`,
    [request.contactId],
  );
  if (open !== undefined) return { id: open.id, opened: false };
  let textId: string | null = null;
  if (request.text !== undefined && request.text !== '') {
    const text = await oneRow<{ id: string }>(
      tx,
      'insert into free_texts (contact_id, text) values (?, ?) returning id',
      [request.contactId, request.text],
    );
    textId = text.id;
  }
  const made = await row<{ id: string }>(
    tx,
    `insert into cases (kind, contact_id, requested_by, deadline, text_id)
     values ('erasure', ?, ?, clock_timestamp() + ? * interval '1 day', ?)
     on conflict (kind, contact_id) where closed_at is null do nothing returning id`,
    [request.contactId, request.requestedBy, request.deadlineDays, textId],
  );
  if (made === undefined) return openErasureCase(tx, request);
  await rows(
    tx,
    `insert into audit (kind, actor, door, contact_id, case_id) values ('case.opened', ?, who_door(), ?, ?)`,
    [request.requestedBy, request.contactId, made.id],
  );
  return { id: made.id, opened: true };
}

export async function getCase(db: Db | Tx, id: string): Promise<CaseRow | undefined> {
  return row<CaseRow>(db, `${SELECT} where id = ?`, [id]);
}

/** Cases by deadline, the nearest first. */
export async function listCases(
  db: Db | Tx,
  filter: { open?: boolean; contactId?: ContactId; limit?: number } = {},
): Promise<CaseRow[]> {
  return rows<CaseRow>(
    db,
    `${SELECT} where (?::boolean is null or (closed_at is null) = ?::boolean) and (?::uuid is null or contact_id = ?::uuid)
     order by closed_at is not null, deadline limit ?`,
    [filter.open ?? null, filter.open ?? null, filter.contactId ?? null, filter.contactId ?? null, filter.limit ?? 200],
  );
}

/**
 * Records a decision made at the API or CLI, which has checked the role, and gives the one-time id that the workflow accepts.
 * @param subject `case:<id>` or `run:<id>`
 */
export async function recordDecision(
  tx: Tx,
  decision: { subject: string; verdict: 'approve' | 'refuse'; decidedBy: string; ground?: string },
): Promise<string> {
  const { id } = await oneRow<{ id: string }>(
    tx,
    'insert into decisions (id, subject, verdict, decided_by, ground) values (gen_random_uuid(), ?, ?, ?, ?) returning id',
    [decision.subject, decision.verdict, decision.decidedBy, decision.ground ?? null],
  );
  await rows(
    tx,
    `insert into audit (kind, actor, door, detail) values ('decision.made', ?, who_door(), jsonb_build_object('subject', ?::text, 'verdict', ?::text))`,
    [decision.decidedBy, decision.subject, decision.verdict],
  );
  return id;
}

export interface Decision {
  verdict: 'approve' | 'refuse';
  decidedBy: string;
  ground: string | null;
}

/** Uses a decision up for its subject. Undefined when there is none, it is another subject's, or it was used. */
export async function useDecision(tx: Db | Tx, id: string, subject: string): Promise<Decision | undefined> {
  return row<Decision>(
    tx,
    `update decisions set used_at = clock_timestamp() where id = ? and subject = ? and used_at is null
     returning verdict, decided_by as "decidedBy", ground`,
    [id, subject],
  );
}

/** Whether a decision was taken by its subject. */
export async function wasUsed(db: Db | Tx, decisionId: string): Promise<boolean> {
  return (await row(db, 'select 1 from decisions where id = ? and used_at is not null', [decisionId])) !== undefined;
}

/** How many cases are open, and the seconds until the nearest of their deadlines (negative when it has passed). */
export async function openCaseFigures(db: Db): Promise<{ count: number; nearestDeadlineSeconds: number | null }> {
  return oneRow(
    db,
    `select count(*)::integer as count,
       extract(epoch from min(deadline) - clock_timestamp())::double precision as "nearestDeadlineSeconds"
     from cases where closed_at is null`,
  );
}
