/** Histories of a world's workflows: to look through, and to keep as fixtures for the replay tests. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { findTemporal } from '../../local/temporal-binary.ts';
import { serverCacheDir } from '../../local/throwaway.ts';
import type { World } from './world.ts';

export const HISTORIES = resolve(import.meta.dirname, '..', 'histories');

export interface KeptHistory {
  workflowId: string;
  type: string;
  json: string;
}

/** All histories of the world's namespace, closed runs included, as the server's own command line shows them. */
export async function fetchHistories(world: Pick<World, 'temporal' | 'env'>): Promise<KeptHistory[]> {
  const path = await findTemporal({ cacheDir: serverCacheDir(), say: () => undefined });
  const place = [
    '--address',
    world.env['TEMPORAL_ADDRESS'] ?? '',
    '--namespace',
    world.env['TEMPORAL_NAMESPACE'] ?? '',
  ];
  const found: KeptHistory[] = [];
  for await (const { workflowId, runId, type } of world.temporal.workflow.list()) {
    const { stdout } = await promisify(execFile)(
      path,
      ['workflow', 'show', '--workflow-id', workflowId, '--run-id', runId, '--output', 'json', ...place],
      { maxBuffer: 100_000_000 },
    );
    found.push({ workflowId, type, json: stdout });
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
