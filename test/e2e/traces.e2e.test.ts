/** A change is followed from the door to the reading back, in traces that a collector got from API and worker; and nobody is in them. */
import { Client as PgClient } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { caseKey, consentKey, contactKey, runKey } from '../../domain/change-key.ts';
import { startProgram } from '../../local/program.ts';
import type { Program } from '../../local/program.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { createKey } from '../../store/api-keys.ts';
import { originOf } from '../../telemetry/spans.ts';
import { accountUrl } from '../rig/accounts.ts';
import { startCollector } from '../rig/collector.ts';
import type { Collector, Span } from '../rig/collector.ts';
import { customer, GIVEN } from '../rig/people.ts';
import { createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;
let collector: Collector;
let api: Program;
let doors: string;
let key: string;
const NEW_NAME = 'Canaria-Quillfeather';
/** Everything personal or secret that these tests put in. */
const planted = new Set<string>(['Wilhelmina', 'Traceable', NEW_NAME, 'Sample Ltd', 'because Wilhelmina asked for it']);

beforeAll(async () => {
  collector = await startCollector();
  world = await createWorld();
  const traced = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_HEADERS: 'x-key=canary-header' };
  const port = await anyFreePort();
  doors = `http://127.0.0.1:${port}`;
  await world.startWorker(traced);
  api = await startProgram({
    args: ['cli/main.ts', 'api'],
    env: {
      ...world.env,
      ...traced,
      DATABASE_URL: await accountUrl(world.db, world.databaseUrl, 'api'),
      PLUMBLINE_PORT_API: String(port),
    },
    ready: /api ready/,
    log: '/dev/null',
  });
  key = await createKey(world.db, { name: 'tracer', role: 'admin', expiresAt: null });
  for (const secret of [key, 'canary-header', world.env['PLUMBLINE_KEY']!]) planted.add(secret);
}, 120_000);

afterAll(async () => {
  await api?.stop();
  await world?.close();
  await collector?.close();
});

type Json = Record<string, unknown>;

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Json> {
  const answer = await fetch(`${doors}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      'plumbline-reason': 'because Wilhelmina asked for it',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as Json;
}

async function person(): Promise<{ id: string; email: string }> {
  const fields = customer('Wilhelmina', 'Traceable');
  const { contact } = await call('POST', '/v1/contacts', fields);
  const id = String((contact as Json)['id']);
  await call('POST', `/v1/contacts/${id}/consents?wait=verified&timeoutMs=30000`, { events: [GIVEN] });
  const email = String((fields['emails'] as string[])[0]);
  planted.add(email).add(id);
  return { id, email };
}

const inTrace = (changeKey: string): Span[] =>
  collector.spans().filter((span) => span.traceId === originOf(changeKey).traceId);

/** The deliveries of a change that ended well, by system, once all of these have. */
async function deliveries(changeKey: string, systems: readonly string[]): Promise<Map<string, Span>> {
  return eventually(`the trace of ${changeKey.split('/')[0]} is there`, async () => {
    const done = inTrace(changeKey).filter(({ attributes }) => attributes['plumbline.verified'] === true);
    const bySystem = new Map(done.map((span) => [String(span.attributes['plumbline.system']), span]));
    return systems.every((system) => bySystem.has(system)) ? bySystem : undefined;
  });
}

/** The calls of the batch that a delivery was in. */
async function callsOf(delivery: Span): Promise<Span[]> {
  const [link] = delivery.links;
  return eventually('its batch is there', async () => {
    const batch = collector.spans().find(({ spanId }) => spanId === link?.spanId);
    if (batch === undefined) return undefined;
    expect(batch.links).toContainEqual({ traceId: delivery.traceId, spanId: delivery.spanId });
    const calls = collector.spans().filter(({ parentSpanId }) => parentSpanId === batch.spanId);
    return calls.length > 0 ? calls : undefined;
  });
}

test('a change at the API is one trace: the request, a delivery to each system, and by links the writing and the reading back', async () => {
  const { id } = await person();
  const caller = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
  const patch = async (): Promise<Json> =>
    call(
      'PATCH',
      `/v1/contacts/${id}?wait=verified&timeoutMs=30000`,
      { familyName: NEW_NAME },
      { traceparent: `00-${caller.traceId}-${caller.spanId}-01`, 'idempotency-key': '"traced-once"' },
    );
  const { contact } = await patch();
  // The same again is no change.
  await patch();
  const changeKey = contactKey(id, Number((contact as Json)['version']));
  const done = await deliveries(changeKey, Object.values(SYSTEM));
  const first = await eventually('the request is told', async () =>
    inTrace(changeKey).find(({ spanId }) => spanId === originOf(changeKey).spanId),
  );
  expect(first).toMatchObject({
    service: 'plumbline-api',
    name: 'PATCH /v1/contacts/:id',
    parentSpanId: undefined,
    links: [caller],
  });
  expect(first.attributes['http.response.status_code']).toBe(200);
  expect(inTrace(changeKey).filter(({ service }) => service === 'plumbline-api')).toHaveLength(1);
  for (const system of Object.values(SYSTEM)) {
    const delivery = done.get(system)!;
    expect(delivery).toMatchObject({ service: 'plumbline-worker', name: `deliver ${system}`, status: 0 });
    expect(delivery.parentSpanId).toBe(first.spanId);
    expect(delivery.attributes['plumbline.outcome']).toBe('applied');
    // The caller waited for it: it lies within the request.
    expect(delivery.startMs).toBeGreaterThanOrEqual(first.startMs - 5);
    const calls = await callsOf(delivery);
    const of = (step: string): Span[] => calls.filter(({ attributes }) => attributes['plumbline.step'] === step);
    expect(of('write').length, system).toBeGreaterThan(0);
    expect(of('read_back').length, system).toBeGreaterThan(0);
    const lastRead = of('read_back').at(-1)!;
    expect(lastRead.startMs, system).toBeGreaterThanOrEqual(of('write')[0]!.endMs - 1);
    expect(delivery.endMs).toBeGreaterThanOrEqual(lastRead.endMs - 1);
    for (const one of calls) expect(one.attributes['plumbline.system']).toBe(system);
  }
});

test('a withdrawal has its own trace, and so has what was typed into psql', async () => {
  const { id } = await person();
  const { recorded } = await call('POST', `/v1/contacts/${id}/consents?wait=verified&timeoutMs=30000`, {
    events: [{ purpose: 'newsletter', kind: 'withdrawn', channel: 'phone', byPerson: true }],
  });
  const withdrawal = consentKey(id, (recorded as number[])[0]!);
  const urgent = await deliveries(withdrawal, [SYSTEM.hubspot, SYSTEM.mailchimp]);
  for (const span of urgent.values()) expect(span.attributes['plumbline.class']).toBe('urgent');

  const psql = new PgClient({ connectionString: world.databaseUrl });
  await psql.connect();
  const { rows } = await psql.query<{ version: number }>(
    `update plumbline.contacts set family_name = '${NEW_NAME}' where id = $1 returning version`,
    [id],
  );
  await psql.end();
  const typed = await deliveries(contactKey(id, rows[0]!.version), Object.values(SYSTEM));
  for (const span of typed.values()) expect(span.parentSpanId).toBeUndefined();
});

test('ten changes that become fewer calls have ten traces, each to its end', async () => {
  const { id } = await person();
  const keys: string[] = [];
  for (let n = 0; n < 10; n += 1) {
    const { contact } = await call('PATCH', `/v1/contacts/${id}`, { city: `Canaryville ${n}` });
    keys.push(contactKey(id, Number((contact as Json)['version'])));
  }
  planted.add('Canaryville');
  for (const one of keys) await deliveries(one, Object.values(SYSTEM));
});

test('bulk, a case and a run have theirs', async () => {
  const row: Json = { ...customer('Wilhelmina', 'Traceable'), externalRef: 'canary-ref-1' };
  planted.add('canary-ref-1').add((row['emails'] as string[])[0]!);
  const { results } = await call('POST', '/v1/contacts/bulk', { rows: [row] });
  const id = String((results as Json[])[0]!['id']);
  planted.add(id);
  const made = contactKey(id, 1);
  await deliveries(made, [SYSTEM.hubspot, SYSTEM.xero]);
  await eventually('the request is told', async () => inTrace(made).some((s) => s.name === 'POST /v1/contacts/bulk'));

  const { caseId } = await call('POST', `/v1/contacts/${id}/erasure`, { text: 'Traceable wants to be forgotten' });
  await call('POST', `/v1/cases/${String(caseId)}/decision`, { verdict: 'approve', ground: 'art17_1_b' });
  const erased = await deliveries(caseKey(String(caseId)), [SYSTEM.hubspot, SYSTEM.xero]);
  expect(erased.size).toBeGreaterThan(1);
  await eventually('its steps are told', async () => {
    const names = inTrace(caseKey(String(caseId))).map(({ name }) => name);
    return ['POST /v1/contacts/:id/erasure', 'eraseRecord', 'closeCase'].every((name) => names.includes(name));
  });

  const { runId } = await call('POST', `/v1/systems/${SYSTEM.mailchimp}/reconcile`, {});
  await eventually('the run is told', async () => {
    const names = inTrace(runKey(String(runId))).map(({ name }) => name);
    return ['POST /v1/systems/:name/reconcile', 'scan', 'finishRun'].every((name) => names.includes(name));
  });
});

test('nobody is in it, and no secret', () => {
  const sent = collector.raw();
  expect(sent.length).toBeGreaterThan(10_000);
  for (const text of planted) expect(sent.toLowerCase(), text).not.toContain(text.toLowerCase());
  expect(sent).not.toMatch(/@example|canary/i);
});

test('a collector that is away costs nothing but its spans, and is named in the log', async () => {
  await collector.close();
  const { id } = await person();
  await call('PATCH', `/v1/contacts/${id}?wait=verified&timeoutMs=30000`, { familyName: NEW_NAME });
  await eventually('it is said', async () => world.log().includes('Spans could not be sent'), 40_000);
});
