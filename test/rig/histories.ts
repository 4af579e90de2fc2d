/** Histories of a world's workflows: to look through, and to keep as fixtures for the replay tests. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { PayloadCodec } from '@temporalio/common';
import { JSONToPayload, payloadToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { JSONPayload } from '@temporalio/common/lib/proto-utils.js';
import { findTemporal } from '../../local/temporal-binary.ts';
import { serverCacheDir } from '../../local/throwaway.ts';
import type { World } from './world.ts';

export const HISTORIES = resolve(import.meta.dirname, '..', 'histories');

export interface KeptHistory {
  workflowId: string;
  type: string;
  /** As it lies in Temporal. */
  stored: string;
  /** With every payload opened by the world's codec. */
  json: string;
}

/** All histories of the world's namespace, closed runs included, as the server's own command line shows them. */
export async function fetchHistories(world: Pick<World, 'temporal' | 'env' | 'codec'>): Promise<KeptHistory[]> {
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
    const json = JSON.stringify(await opened(JSON.parse(stdout), world.codec), null, 2);
    found.push({ workflowId, type, stored: stdout, json });
  }
  return found;
}

/** A history in protobuf's JSON, with every payload opened. */
async function opened(value: unknown, codec: PayloadCodec): Promise<unknown> {
  if (Array.isArray(value)) return Promise.all(value.map(async (one) => opened(one, codec)));
  if (typeof value !== 'object' || value === null) return value;
  if ('metadata' in value && 'data' in value) {
    const [payload] = await codec.decode([JSONToPayload(value as unknown as JSONPayload)]);
    return payloadToJSON(payload!);
  }
  const entries = Object.entries(value).map(async ([name, inner]) => [name, await opened(inner, codec)] as const);
  return Object.fromEntries(await Promise.all(entries));
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
