/** Histories of a world's workflows: to look through, and to keep as fixtures for the replay tests. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

export const HISTORIES = resolve(import.meta.dirname, '..', 'histories');

export interface KeptHistory {
  workflowId: string;
  type: string;
  json: string;
}

/** All histories of the namespace, closed runs included. */
export async function fetchHistories(client: Client): Promise<KeptHistory[]> {
  const found: KeptHistory[] = [];
  for await (const { workflowId, runId, type } of client.workflow.list()) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    found.push({ workflowId, type, json: historyToJSON(history) });
  }
  return found;
}

/** The history's text with every payload decoded, so that nothing hides behind Base64. */
export function decoded(json: string): string {
  return json.replaceAll(/"data":\s*"([A-Za-z0-9+/=]+)"/gu, (_all, data: string) =>
    Buffer.from(data, 'base64').toString('utf8'),
  );
}

/**
 * Writes one history a workflow type (the longest) into the fixtures when `PLUMBLINE_KEEP_HISTORIES` names this release, e.g. `0.1.0`.
 * Fixtures stay for ever: a later release must replay them.
 */
export async function keepHistories(histories: KeptHistory[]): Promise<void> {
  const release = process.env['PLUMBLINE_KEEP_HISTORIES'];
  if (release === undefined || release === '') return;
  const longest = new Map<string, KeptHistory>();
  for (const history of histories) {
    const best = longest.get(history.type);
    if (best === undefined || history.json.length > best.json.length) longest.set(history.type, history);
  }
  for (const { type, json } of longest.values()) {
    mkdirSync(join(HISTORIES, type), { recursive: true });
    writeFileSync(join(HISTORIES, type, `${release}.json`), json);
  }
}
