/** What worker and API tell of themselves, and the rules and the dashboard that lean on it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, startProgram } from '../../local/program.ts';
import type { Program } from '../../local/program.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { WORDS } from '../../telemetry/labels.ts';
import { StuckFinder } from '../../temporal/stuck.ts';
import { CORE_QUEUE } from '../../workflows/contracts/index.ts';
import { addPerson } from '../rig/people.ts';
import type { Person } from '../rig/people.ts';
import { expressions, namedIn } from '../rig/rules.ts';
import { control, createWorld, eventually } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;
let api: Program;
let at: { worker: string; api: string; doors: string };
let people: Person[];
/** Of a workflow that fails: whatever tells of it leaves it out. */
const ARGUMENT = 'Canary Quillfeather';

beforeAll(async () => {
  world = await createWorld({ limits: true });
  const ports = { worker: await anyFreePort(), api: await anyFreePort(), doors: await anyFreePort() };
  at = {
    worker: `http://127.0.0.1:${ports.worker}`,
    api: `http://127.0.0.1:${ports.api}`,
    doors: `http://127.0.0.1:${ports.doors}`,
  };
  await world.startWorker({ PLUMBLINE_PORT_METRICS: String(ports.worker) });
  api = await startProgram({
    args: ['cli/main.ts', 'api'],
    env: { ...world.env, PLUMBLINE_PORT_API: String(ports.doors), PLUMBLINE_PORT_METRICS: String(ports.api) },
    ready: /api ready/,
    log: '/dev/null',
  });
  people = [await addPerson(world, 'Metra', 'Gauge'), await addPerson(world, 'Otto', 'Counter')];
  // A limit that is met, a call that fails, a case, a run that ended: so that every figure has something to show.
  await control(world.sandboxes.hubspot, 'POST', '/faults', {
    name: '429-retry-after',
    match: { method: 'POST' },
    count: 1,
    params: { seconds: 1 },
  });
  const [first, second] = people as [Person, Person];
  await world.call('PATCH', `/v1/contacts/${first.id}?wait=verified&timeoutMs=30000`, { familyName: 'Meter' });
  await world.call('POST', `/v1/contacts/${second.id}/erasure`, {});
  const run = await world.call('POST', '/v1/systems/hubspot-main/reconcile', {});
  await eventually('the run has ended', async () => {
    const { body } = await world.call('GET', `/v1/runs/${String(run.body['runId'])}`);
    return JSON.stringify(body).includes('"done"');
  });
  await fetch(`${at.doors}/health`);
}, 120_000);

afterAll(async () => {
  await api.stop();
  await world.close();
});

async function scrape(from: string): Promise<string> {
  const answer = await fetch(`${from}/metrics`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toContain('text/plain');
  return answer.text();
}

/** Metric → the labels that some of its samples have, and their values. */
function samples(text: string): Map<string, Map<string, Set<string>>> {
  const found = new Map<string, Map<string, Set<string>>>();
  for (const line of text.split('\n')) {
    const sample = /^([a-z_]+)(?:\{(.*)\})? \S+$/.exec(line);
    if (sample === null) continue;
    const [, name = '', labels = ''] = sample;
    const known = found.get(name) ?? new Map<string, Set<string>>();
    found.set(name, known);
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      known.set(label, (known.get(label) ?? new Set()).add(value));
  }
  return found;
}

test('the first scrape tells all of the standing', async () => {
  const first = samples(await scrape(at.api));
  for (const name of ['plumbline_due', 'plumbline_lane_state', 'plumbline_cases_open', 'plumbline_database_up'])
    expect(first.get(name), name).toBeDefined();
});

test('every metric and label that a rule or a panel names is really told', async () => {
  // One that cannot make progress, for its figure.
  await world.temporal.workflow.start('thereIsNoSuchWorkflow', {
    taskQueue: CORE_QUEUE,
    workflowId: 'stuck/one',
    args: [ARGUMENT],
  });
  // One whose activity fails, for its figure: there is no such cause.
  await world.temporal.workflow.start('cause', {
    taskQueue: CORE_QUEUE,
    workflowId: 'cause/none',
    args: [{ causeId: '00000000-0000-4000-8000-000000000000' }],
  });
  await eventually('its activity has failed', async () =>
    /^temporal_activity_execution_failed_total\{.*activity_type="viewCause"/m.test(await scrape(at.worker)),
  );
  const lines: string[] = [];
  const finder = new StuckFinder(world.temporal);
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  await eventually(
    'the stuck workflow is found',
    async () => (await finder.round(world.db, log)).some(({ id }) => id === 'stuck/one'),
    90_000,
  );
  expect(lines.join()).toContain('stuck/one');
  expect(lines.join()).toContain('thereIsNoSuchWorkflow');
  await finder.round(world.db, log);
  expect(lines).toHaveLength(1);
  // A scrape within five seconds gets what the last one got.
  const told = await eventually('it is told', async () => {
    const all = samples(`${await scrape(at.worker)}\n${await scrape(at.api)}`);
    return all.get('plumbline_stuck_workflows')?.get('workflow')?.has('thereIsNoSuchWorkflow') === true
      ? all
      : undefined;
  });
  for (const [where, expr] of expressions) {
    const named = namedIn(expr);
    expect(named.length, where).toBeGreaterThan(0);
    for (const { metric, labels } of named) {
      const known = told.get(metric);
      expect(known, `${where}: ${metric}`).toBeDefined();
      for (const label of labels) expect([...(known?.keys() ?? [])], `${where}: ${metric} ${label}`).toContain(label);
    }
  }
  // Whatever is told is among the words that rules may select.
  for (const [metric, labels] of told)
    for (const [label, words] of Object.entries(WORDS[metric.replace(/_(?:bucket|count|sum)$/, '')] ?? {}))
      for (const word of labels.get(label) ?? []) expect(words, `${metric} ${label}`).toContain(word);
  for (const id of ['stuck/one', 'cause/none'])
    await world.temporal.workflow
      .getHandle(id)
      .terminate('the test is over')
      .catch(() => undefined);
}, 120_000);

test('the page names every metric that is told, with its meaning, and no other', async () => {
  const helps = (text: string): [string, string][] =>
    [...text.matchAll(/^# HELP (\w+) (.*)$/gm)].flatMap(([, name = '', help = '']) =>
      /^plumbline_(?:nodejs|process)_/.test(name) ? [] : [[name, help]],
    );
  const told = new Map([...helps(await scrape(at.worker)), ...helps(await scrape(at.api))]);
  const page = readFileSync(join(ROOT, 'docs/observability.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `((?:plumbline|temporal)_\w+)` \| (?:worker|API) \| (.*) \|$/gm)];
  expect(new Map(rows.map(([, name = '', help = '']) => [name, help]))).toEqual(told);
});

/** The value of the sample that has these labels among its own. */
function valueOf(text: string, name: string, labels: Record<string, string> = {}): number {
  const line = text
    .split('\n')
    .find((one) => one.startsWith(name) && Object.entries(labels).every(([k, v]) => one.includes(`${k}="${v}"`)));
  return line === undefined ? NaN : Number(line.split(' ').at(-1));
}

test('what the work was is counted: calls, outcomes, limits, times', async () => {
  const worker = await scrape(at.worker);
  const hubspot = { system: 'hubspot-main' };
  expect(
    valueOf(worker, 'plumbline_vendor_calls_total', { ...hubspot, class: 'live', result: 'answered' }),
  ).toBeGreaterThan(0);
  expect(valueOf(worker, 'plumbline_vendor_limited_total', { ...hubspot, reason: 'rate' })).toBe(1);
  expect(valueOf(worker, 'plumbline_deliveries_total', { system: 'xero-uk', outcome: 'applied' })).toBeGreaterThan(0);
  for (const system of ['hubspot-main', 'mailchimp-main', 'xero-uk'])
    expect(valueOf(worker, 'plumbline_due_to_verified_seconds_count', { system, priority: 'live' })).toBeGreaterThan(0);
  const standing = await scrape(at.api);
  expect(valueOf(standing, 'plumbline_lane_state', { ...hubspot, state: 'open' })).toBe(1);
  expect(valueOf(standing, 'plumbline_due', { ...hubspot, priority: 'any' })).toBe(0);
  expect(valueOf(standing, 'plumbline_cases_open')).toBe(1);
  expect(valueOf(standing, 'plumbline_database_up')).toBe(1);
});

test('Temporal’s own figures are among them: polls, places, tasks that failed', async () => {
  const worker = await scrape(at.worker);
  const lane = { task_queue: 'plumbline.hubspot-main' };
  expect(valueOf(worker, 'temporal_activity_task_received_total', lane)).toBeGreaterThan(0);
  expect(
    valueOf(worker, 'temporal_worker_task_slots_available', { ...lane, worker_type: 'ActivityWorker' }),
  ).toBeGreaterThan(0);
  expect(valueOf(worker, 'temporal_num_pollers', { ...lane, poller_type: 'activity_task' })).toBeGreaterThan(0);
  expect(valueOf(worker, 'temporal_activity_schedule_to_start_latency_seconds_count', lane)).toBeGreaterThan(0);
  expect(
    valueOf(worker, 'temporal_workflow_task_execution_failed_total', {
      workflow_type: 'thereIsNoSuchWorkflow',
      failure_reason: 'WorkflowError',
    }),
  ).toBeGreaterThan(3);
  expect(valueOf(worker, 'temporal_long_request_total')).toBeGreaterThan(0);
});

test('nobody is in it', async () => {
  const all = `${await scrape(at.worker)}${await scrape(at.api)}`;
  for (const { id, givenName, familyName, email } of people)
    for (const text of [id, email, givenName, familyName]) expect(all).not.toContain(text);
});

test('health and readiness: alive, able to work, and which part is away', async () => {
  for (const from of [at.worker, at.api]) {
    expect((await fetch(`${from}/health`)).status).toBe(200);
    const ready = await fetch(`${from}/ready`);
    expect([ready.status, await ready.json()]).toEqual([200, { ready: true, problem: null }]);
    expect((await fetch(`${from}/nothing`)).status).toBe(404);
    expect((await fetch(`${from}/metrics`, { method: 'POST' })).status).toBe(405);
  }
});

test('logs are lines of JSON with the same keys', async () => {
  const written = world
    .log()
    .split('\n')
    .filter((line) => line.startsWith('{'));
  expect(written.length).toBeGreaterThan(0);
  expect(world.log()).not.toContain('Looking for stuck workflows failed');
  // The SDK's own log is among them, without what it was called with and what the failure said.
  expect(written.map((line) => JSON.parse(line) as Record<string, unknown>)).toContainEqual(
    expect.objectContaining({ from: 'temporal', msg: 'Failed to process Workflow Activation', queue: 'plumbline' }),
  );
  expect(world.log()).not.toContain(ARGUMENT);
  for (const line of written) {
    const entry = JSON.parse(line) as Record<string, unknown>;
    expect(Object.keys(entry)).toEqual(expect.arrayContaining(['level', 'time', 'role', 'msg']));
  }
});
