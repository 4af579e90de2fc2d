/** All activities, as thin edges: one object in, one object out; ids, counts and codes only. */
import * as causing from './causing.ts';
import type { Deps } from './deps.ts';
import { drain } from './drain.ts';
import type { DrainInput, DrainResult } from './drain.ts';
import * as erasing from './erasing.ts';
import * as keeping from './keeping.ts';
import * as reconciling from './reconciling.ts';
import * as retaining from './retaining.ts';
import { scan } from './scanning.ts';
import type { ScanCounts, ScanInput } from './scanning.ts';

export function createActivities(deps: Deps) {
  return {
    drain: (input: DrainInput): Promise<DrainResult> => drain(deps, input),
    scan: (input: ScanInput): Promise<ScanCounts> => scan(deps, input),

    viewLane: (input: { system: string }) => keeping.viewLane(deps, input.system),
    checkSystem: (input: { system: string }) => keeping.checkSystem(deps, input.system),
    openSystem: (input: { system: string; runId: string }) => keeping.openSystem(deps, input.system, input.runId),
    commandLane: (input: { system: string; command: keeping.LaneCommand }) =>
      keeping.commandLane(deps, input.system, input.command),
    changesFrom: (input: { system: string }) => keeping.changesFrom(deps, input.system),
    noteChangesRead: (input: { system: string; until: string }) =>
      keeping.noteChangesRead(deps, input.system, input.until),

    assessRun: (input: { runId: string }) => reconciling.assessRun(deps, input.runId),
    markRun: (input: { runId: string }) => reconciling.markRun(deps, input.runId),
    openOfRun: (input: { runId: string }) => reconciling.openOfRun(deps, input.runId),
    finishRun: (input: { runId: string; state: 'done' | 'failed' | 'refused'; counts: Record<string, number> }) =>
      reconciling.finishRun(deps, input.runId, input.state, input.counts),
    takeRunDecision: (input: { runId: string; decisionId: string }) =>
      reconciling.takeRunDecision(deps, input.runId, input.decisionId),

    loadCase: (input: { caseId: string }) => erasing.loadCase(deps, input.caseId),
    takeCaseDecision: (input: { caseId: string; decisionId: string }) =>
      erasing.takeCaseDecision(deps, input.caseId, input.decisionId),
    eraseRecord: (input: { caseId: string }) => erasing.eraseRecord(deps, input.caseId),
    watchErasure: (input: { caseId: string; forMs: number }) => erasing.watchErasure(deps, input.caseId, input.forMs),
    closeCase: (input: { caseId: string; systems: erasing.ErasureProgress['systems'] }) =>
      erasing.closeCase(deps, input.caseId, input.systems),
    remindCase: (input: { caseId: string; daysLeft: number }) => erasing.remindCase(deps, input.caseId, input.daysLeft),

    viewCause: (input: { causeId: string }) => causing.viewCause(deps, input.causeId),
    resolveCause: (input: { causeId: string } & causing.Resolution) => causing.resolveCause(deps, input.causeId, input),

    planRetention: (input: { runId: string }) => retaining.planRetention(deps, input.runId),
    purgeRun: (input: { runId: string }) => retaining.purgeRun(deps, input.runId),
    openOfPurge: (input: { runId: string }) => retaining.openOfPurge(deps, input.runId),
  };
}

export type Activities = ReturnType<typeof createActivities>;
