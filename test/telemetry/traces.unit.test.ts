/** Which changes are traced, and what a lost span is told as. */
import { Agent } from 'node:http';
import { expect, test } from 'vitest';
import { contactKey } from '../../domain/change-key.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { newContext, originOf } from '../../telemetry/spans.ts';
import type { Traces } from '../../telemetry/spans.ts';
import { openTraces } from '../../telemetry/traces.ts';

const opened = (
  share: number,
  url = 'http://127.0.0.1:9/v1/traces',
  onLost: (spans: number, fault: string) => void = () => undefined,
): Traces => openTraces({ url, share, role: 'test', agent: new Agent(), onLost });

test('the place of a change follows from its key and from nothing else', () => {
  const key = contactKey('0192f0c1-0000-7000-8000-000000000001', 3);
  expect(originOf(key)).toEqual(originOf(key));
  expect(originOf(key).traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(originOf(key).spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(originOf(contactKey('0192f0c1-0000-7000-8000-000000000001', 4)).traceId).not.toBe(originOf(key).traceId);
});

test('a share of the changes is traced, and every process leaves out the same ones', async () => {
  const [api, worker, all] = [opened(0.25), opened(0.25), opened(1)];
  const keys = Array.from({ length: 2_000 }, (_, n) => contactKey(`contact-${n}`, 1));
  const kept = keys.filter((key) => api.origin(key) !== null);
  expect(kept.length).toBeGreaterThan(400);
  expect(kept.length).toBeLessThan(600);
  expect(keys.filter((key) => worker.origin(key) !== null)).toEqual(kept);
  expect(keys.every((key) => all.origin(key) !== null)).toBe(true);
  await Promise.all([api, worker, all].map((one) => one.close()));
});

test('spans that no collector takes are counted and named, and closing waits seconds for them, no more', async () => {
  const lost: [number, string][] = [];
  const traces = opened(1, `http://127.0.0.1:${await anyFreePort()}/v1/traces`, (...one) => lost.push(one));
  const now = Date.now();
  for (let n = 0; n < 3; n += 1)
    traces.tell({ name: 'one', startMs: now, endMs: now, attributes: {}, context: newContext() });
  await traces.close();
  expect(Date.now() - now).toBeLessThan(10_000);
  expect(lost).toEqual([[3, expect.any(String)]]);
}, 30_000);
