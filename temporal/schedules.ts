/** The schedules: nightly reconciliation of each system, changes of late, retention. Overlap is skipped, one missed run is caught up. */
import type { Client, ScheduleOptions, ScheduleUpdateOptions } from '@temporalio/client';
import { ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import { CORE_QUEUE, changesId } from '../workflows/contracts/index.ts';

export interface ScheduleSettings {
  reconcile: { cron: string; timeZone: string };
  retention: { cron: string; timeZone: string };
  changesEverySeconds: number;
}

const CATCH_UP = '1 hour';

function options(settings: ScheduleSettings, systems: { name: string; changes: boolean }[]): ScheduleOptions[] {
  const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: CATCH_UP } as const;
  const nightly = systems.map(({ name }): ScheduleOptions => ({
    scheduleId: `reconciliation/${name}`,
    spec: { cronExpressions: [settings.reconcile.cron], timezone: settings.reconcile.timeZone },
    policies,
    action: {
      type: 'startWorkflow',
      workflowType: 'reconciliation',
      workflowId: `reconciliation/${name}/nightly`,
      taskQueue: CORE_QUEUE,
      args: [{ system: name }],
    },
  }));
  const changing = systems
    .filter((s) => s.changes)
    .map(({ name }): ScheduleOptions => ({
      scheduleId: changesId(name),
      spec: { intervals: [{ every: settings.changesEverySeconds * 1000 }] },
      policies,
      action: {
        type: 'startWorkflow',
        workflowType: 'changes',
        workflowId: changesId(name),
        taskQueue: CORE_QUEUE,
        args: [{ system: name }],
      },
    }));
  const retention: ScheduleOptions = {
    scheduleId: 'retention',
    spec: { cronExpressions: [settings.retention.cron], timezone: settings.retention.timeZone },
    policies,
    action: {
      type: 'startWorkflow',
      workflowType: 'retention',
      workflowId: 'retention/scheduled',
      taskQueue: CORE_QUEUE,
      args: [{}],
    },
  };
  return [...nightly, ...changing, retention];
}

/** Creates the schedules, or brings existing ones to the configuration. A pause by an operator stays. */
export async function syncSchedules(
  client: Client,
  settings: ScheduleSettings,
  systems: { name: string; changes: boolean }[],
): Promise<void> {
  for (const schedule of options(settings, systems)) {
    try {
      await client.schedule.create(schedule);
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw error;
      const { spec, policies, action } = schedule;
      await client.schedule.getHandle(schedule.scheduleId).update(
        (previous) =>
          ({
            ...previous,
            spec,
            policies: { ...previous.policies, ...policies },
            action,
          }) as unknown as ScheduleUpdateOptions,
      );
    }
  }
}
