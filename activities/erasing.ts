/** The steps of an erasure case (GDPR Art. 17). */
import { Context } from '@temporalio/activity';
import { appendAudit } from '../store/audit.ts';
import { getCase, useDecision } from '../store/cases.ts';
import type { CaseRow } from '../store/cases.ts';
import { asWriter, rows } from '../store/db.ts';
import { activeHoldsOf, closeTicket, emptiedProgress, emptyContact, lockContact } from '../store/erasure.ts';
import type { SystemResult } from '../store/erasure.ts';
import type { Deps } from './deps.ts';

export interface CaseView {
  state: CaseRow['state'];
  deadline: string;
  remindDaysBefore: number[];
}

export async function loadCase(deps: Deps, caseId: string): Promise<CaseView | null> {
  const found = await getCase(deps.db, caseId);
  return found === undefined
    ? null
    : { state: found.state, deadline: found.deadline, remindDaysBefore: [...deps.erasure.remindDaysBefore] };
}

export interface CaseDecision {
  accepted: boolean;
  verdict: 'approve' | 'refuse' | null;
}

/** Takes a decision made at the API or CLI. `accepted` false: not a decision of this case, or used already. */
export async function takeCaseDecision(deps: Deps, caseId: string, decisionId: string): Promise<CaseDecision> {
  return asWriter(deps.db, { actor: 'erasure', door: 'engine' }, async (tx) => {
    const decision = await useDecision(tx, decisionId, `case:${caseId}`);
    if (decision === undefined) return { accepted: false, verdict: null };
    const refused = decision.verdict === 'refuse';
    await rows(
      tx,
      `update cases set state = ?, decision = ?, decided_by = ?, decided_at = clock_timestamp(), decision_ground = ?,
         closed_at = case when ? then clock_timestamp() end where id = ? and state = 'open'`,
      [refused ? 'refused' : 'approved', decision.verdict, decision.decidedBy, decision.ground, refused, caseId],
    );
    const found = await getCase(tx, caseId);
    await appendAudit(tx, {
      kind: refused ? 'case.refused' : 'case.approved',
      actor: decision.decidedBy,
      door: 'engine',
      caseId,
      ...(found === undefined ? {} : { contactId: found.contactId }),
    });
    return { accepted: true, verdict: decision.verdict };
  });
}

export type EraseResult = { erased: true } | { erased: false; holds: number; until: string | null };

/**
 * In one transaction: holds are checked again, the record is emptied into its sealed ticket, tombstones are written, every
 * system is marked. Safe to repeat.
 */
export async function eraseRecord(deps: Deps, caseId: string): Promise<EraseResult> {
  return asWriter(deps.db, { actor: `case:${caseId}`, door: 'engine' }, async (tx) => {
    const found = await getCase(tx, caseId);
    if (found === undefined) throw new Error('no such case');
    const contact = await lockContact(tx, found.contactId);
    if (contact === undefined) throw new Error('no such contact');
    const holds = await activeHoldsOf(tx, [contact.id]);
    if (holds.length > 0 && contact.state !== 'erased') {
      await appendAudit(tx, {
        kind: 'case.held',
        actor: 'erasure',
        door: 'engine',
        caseId,
        contactId: contact.id,
        detail: { grounds: holds.map((h) => h.ground) },
      });
      return {
        erased: false,
        holds: holds.length,
        until: holds.map((h) => h.until ?? h.reviewOn).find((d) => d !== null) ?? null,
      };
    }
    if (contact.state !== 'erased') await emptyContact(tx, deps.keyring, contact, 'erased');
    await rows(tx, `update cases set state = 'erasing' where id = ? and state in ('open', 'approved')`, [caseId]);
    return { erased: true };
  });
}

export interface ErasureProgress {
  done: boolean;
  systems: Omit<SystemResult, 'open'>[];
  waitingFor: string[];
}

const LOOK_EVERY_MS = 250;

/** Watches the ledger for up to `forMs` until every system is read back as gone, or says why not. */
export async function watchErasure(deps: Deps, caseId: string, forMs: number): Promise<ErasureProgress> {
  const until = performance.now() + forMs;
  for (;;) {
    const found = await getCase(deps.db, caseId);
    if (found === undefined) throw new Error('no such case');
    const progress = await emptiedProgress(deps.db, found.contactId);
    const waitingFor = progress.filter((p) => p.open).map((p) => p.system);
    const systems = progress.map(({ open: _open, ...rest }) => rest);
    if (waitingFor.length === 0) {
      await closeTicket(deps.db, found.contactId);
      return { done: true, systems, waitingFor };
    }
    if (performance.now() >= until || deps.stopping.aborted) return { done: false, systems, waitingFor };
    Context.current().heartbeat({ waitingFor });
    await Context.current().sleep(LOOK_EVERY_MS);
  }
}

/** Ends the case with what came of it in each system. */
export async function closeCase(deps: Deps, caseId: string, systems: ErasureProgress['systems']): Promise<void> {
  const summary = Object.fromEntries(
    systems.map((s) => [
      s.system,
      {
        outcome: s.outcome ?? 'not_held',
        ...(s.code === null ? {} : { code: s.code }),
        ...(s.verifiedAt === null ? {} : { at: s.verifiedAt }),
        ...(s.reviewOn === null ? {} : { reviewOn: s.reviewOn }),
      },
    ]),
  );
  await deps.db.transaction(async (tx) => {
    await rows(
      tx,
      `update cases set state = 'done', summary = ?, closed_at = clock_timestamp() where id = ? and closed_at is null`,
      [JSON.stringify(summary), caseId],
    );
    const found = await getCase(tx, caseId);
    await appendAudit(tx, {
      kind: 'case.done',
      actor: 'erasure',
      door: 'engine',
      caseId,
      detail: summary,
      ...(found === undefined ? {} : { contactId: found.contactId }),
    });
  });
}

/** Says that a deadline comes near or has passed: in the log, where alerts look, and in the audit log. */
export async function remindCase(deps: Deps, caseId: string, daysLeft: number): Promise<void> {
  const found = await getCase(deps.db, caseId);
  if (found === undefined || found.closedAt !== null) return;
  await appendAudit(deps.db, {
    kind: daysLeft < 0 ? 'case.overdue' : 'case.reminded',
    actor: 'erasure',
    door: 'engine',
    caseId,
    contactId: found.contactId,
    detail: { daysLeft },
  });
  deps.log.warn({ case: caseId, daysLeft, state: found.state }, 'An erasure case waits and its deadline comes near');
}
