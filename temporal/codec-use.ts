/** Which codec keys the histories that Temporal still has were sealed with: a key that none needs may go. Reads everything, so it is asked by hand. */
import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { sealedWith } from './codec.ts';

/** Payloads by the id of their key; '' are those that are not sealed, search attributes left out. */
export type SealedBy = Map<string, number>;

/** Looks through every run of the namespace, closed ones included, and every schedule, one at a time. */
export async function sealedBy(client: Client, namespace: string): Promise<SealedBy> {
  const found: SealedBy = new Map();
  for await (const { workflowId, runId } of runsOf(client, namespace)) {
    const handle = client.workflow.getHandle(workflowId, runId);
    count(found, await handle.fetchHistory());
  }
  for await (const scheduleId of schedulesOf(client, namespace)) {
    count(found, await client.workflowService.describeSchedule({ namespace, scheduleId }));
  }
  return found;
}

/** By pages of the service itself: the client's list opens memos, which is what may not be possible. */
async function* runsOf(client: Client, namespace: string): AsyncGenerator<{ workflowId: string; runId: string }> {
  let nextPageToken: Uint8Array = new Uint8Array();
  do {
    const page = await client.workflowService.listWorkflowExecutions({ namespace, nextPageToken });
    for (const { execution } of page.executions ?? [])
      yield { workflowId: execution?.workflowId ?? '', runId: execution?.runId ?? '' };
    nextPageToken = page.nextPageToken ?? new Uint8Array();
  } while (nextPageToken.length > 0);
}

async function* schedulesOf(client: Client, namespace: string): AsyncGenerator<string> {
  let nextPageToken: Uint8Array = new Uint8Array();
  do {
    const page = await client.workflowService.listSchedules({ namespace, nextPageToken });
    for (const { scheduleId } of page.schedules ?? []) yield scheduleId ?? '';
    nextPageToken = page.nextPageToken ?? new Uint8Array();
  } while (nextPageToken.length > 0);
}

function count(found: SealedBy, value: unknown): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  if (isPayload(value)) {
    const id = sealedWith(value) ?? '';
    found.set(id, (found.get(id) ?? 0) + 1);
    return;
  }
  for (const [name, inner] of Object.entries(value)) if (name !== 'searchAttributes') count(found, inner);
}

function isPayload(value: object): value is Payload {
  const { metadata } = value as { metadata?: Record<string, unknown> | null };
  return metadata?.['encoding'] instanceof Uint8Array;
}
