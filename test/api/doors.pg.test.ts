/** The other doors: consents, cases, systems, runs, problems, recipients, health. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { OperationRefused } from '../../temporal/asked.ts';
import { asWriter, oneRow, rows } from '../../store/db.ts';
import { emptyContact, lockContact } from '../../store/erasure.ts';
import { addDrifts, addRunItems, startRun, updateRun } from '../../store/runs.ts';
import { addSystem, apiRig, expectProblem, settle } from './rig.ts';
import type { ApiRig } from './rig.ts';

let rig: ApiRig;
beforeAll(async () => {
  rig = await apiRig();
  await addSystem(rig.db, 'crm');
  await addSystem(rig.db, 'mail');
  await rig.db.raw(
    `insert into statements (id, purpose, wording, hash) values ('news-1', 'newsletter', 'Send me news.', 'h')`,
  );
});
afterEach(() => {
  rig.operations.failure = null;
  rig.operations.asked.length = 0;
});
afterAll(async () => rig.close());

async function person(body: Record<string, unknown>): Promise<string> {
  const made = await rig.call('POST', '/v1/contacts', { as: 'writer', body });
  expect(made.status).toBe(201);
  return (made.json as { contact: { id: string } }).contact.id;
}

async function erase(id: string): Promise<void> {
  await asWriter(rig.db, { actor: 'test', door: 'engine' }, async (tx) => {
    const contact = await lockContact(tx, id);
    if (contact === undefined) throw new Error('no contact');
    await emptyContact(tx, rig.keyring, contact, 'erased');
  });
}

const given = {
  purpose: 'newsletter',
  kind: 'given',
  happenedAt: '2026-01-02T10:00:00Z',
  channel: 'web_form',
  statement: 'news-1',
  byPerson: true,
};

describe('consents', () => {
  test('events are recorded as evidence, and the state follows with reasons', async () => {
    const id = await person({ emails: ['consent@example.org'] });
    const url = `/v1/contacts/${id}/consents`;
    const first = await rig.call('POST', url, { as: 'writer', body: { events: [{ ...given, evidence: 'Form 7' }] } });
    expect(first.status).toBe(201);
    expect(first.json).toMatchObject({
      recorded: [expect.any(Number)],
      known: 0,
      consents: { newsletter: { state: 'given' } },
    });

    const repeated = await rig.call('POST', url, { as: 'writer', body: { events: [given] } });
    expect(repeated.json).toMatchObject({ recorded: [], known: 1 });

    await rig.call('POST', url, { as: 'writer', body: { events: [{ purpose: 'newsletter', kind: 'withdrawn' }] } });
    const old = await rig.call('POST', url, {
      as: 'writer',
      body: { events: [{ ...given, happenedAt: '2026-01-03T10:00:00Z' }] },
    });
    expect(old.json.consents.newsletter.state).toBe('withdrawn');

    const read = await rig.call('GET', url, { as: 'reader' });
    expect(read.json.consents.newsletter.reasons.map((r: { note: string }) => r.note)).toEqual([
      'counted',
      'counted',
      'not_later_than_withdrawal',
    ]);
    expect(read.json.events).toHaveLength(3);
    expect(read.json.events[0]).toMatchObject({ recordedBy: 'key:test-writer', door: 'api', byPerson: true });
  });

  test('a second withdrawal without a time is never taken for the first', async () => {
    const id = await person({ emails: ['twice@example.org'] });
    const url = `/v1/contacts/${id}/consents`;
    const withdrawal = { events: [{ purpose: 'newsletter', kind: 'withdrawn' }] };
    await rig.call('POST', url, { as: 'writer', body: withdrawal });
    const again = await rig.call('POST', url, { as: 'writer', body: withdrawal });
    expect(again.json.recorded).toHaveLength(1);
  });

  test('a withdrawal of a mere day lasts to its end, a consent of a mere day counts from its start', async () => {
    const id = await person({ emails: ['day@example.org'] });
    const url = `/v1/contacts/${id}/consents`;
    await rig.call('POST', url, {
      as: 'writer',
      body: { events: [{ purpose: 'newsletter', kind: 'withdrawn', happenedAt: '2026-02-01' }] },
    });
    const sameDay = await rig.call('POST', url, {
      as: 'writer',
      body: { events: [{ ...given, happenedAt: '2026-02-01T18:00:00+01:00' }] },
    });
    expect(sameDay.json.consents.newsletter.state).toBe('withdrawn');
    const nextDay = await rig.call('POST', url, {
      as: 'writer',
      body: { events: [{ ...given, happenedAt: '2026-02-02' }] },
    });
    expect(nextDay.json.consents.newsletter).toMatchObject({ state: 'given', since: '2026-02-02T00:00:00.000Z' });
    const nonsense = await rig.call('POST', url, {
      as: 'writer',
      body: { events: [{ ...given, happenedAt: '02/03/2026' }] },
    });
    expectProblem(nonsense, 422, 'validation_failed');
    expect(nonsense.json.faults[0]).toMatchObject({
      path: '/events/0/happenedAt',
      expected: expect.stringContaining('ISO 8601'),
    });
  });

  test('who states the person’s own consent has when, how and wording', async () => {
    const id = await person({ emails: ['proof@example.org'] });
    const answer = await rig.call('POST', `/v1/contacts/${id}/consents`, {
      as: 'writer',
      body: { events: [{ purpose: 'newsletter', kind: 'given', byPerson: true, channel: 'web_form' }] },
    });
    expectProblem(answer, 422, 'validation_failed');
    expect(answer.json.faults.map((f: { path: string }) => f.path)).toEqual([
      '/events/0/happenedAt',
      '/events/0/statement',
    ]);
    const noProof = await rig.call('POST', `/v1/contacts/${id}/consents`, {
      as: 'writer',
      body: { events: [{ purpose: 'newsletter', kind: 'given' }] },
    });
    expect(noProof.json.consents.newsletter.state).toBe('unknown');
  });

  test('a purpose that nobody declared is refused, and nothing of the request is recorded', async () => {
    const id = await person({ emails: ['purpose@example.org'] });
    const answer = await rig.call('POST', `/v1/contacts/${id}/consents`, {
      as: 'writer',
      body: { events: [given, { ...given, purpose: 'constructor' }] },
    });
    expectProblem(answer, 422, 'purpose_unknown');
    const read = await rig.call('GET', `/v1/contacts/${id}/consents`, { as: 'reader' });
    expect(read.json.events).toEqual([]);
  });
});

describe('erasure', () => {
  test('a request opens one case; the decision is a row and reaches Temporal by its id', async () => {
    const id = await person({ familyName: 'Case', emails: ['case@example.org'] });
    const asked = await rig.call('POST', `/v1/contacts/${id}/erasure`, {
      as: 'writer',
      body: { text: 'Please delete me.' },
    });
    expect(asked.status).toBe(202);
    const { caseId } = asked.json;
    expect(asked.json).toEqual({ caseId, opened: true, started: true });
    const again = await rig.call('POST', `/v1/contacts/${id}/erasure`, { as: 'writer' });
    expect(again.json).toEqual({ caseId, opened: false, started: true });

    const listed = await rig.call('GET', '/v1/cases?state=open', { as: 'operator' });
    expect(listed.json.cases).toMatchObject([
      { id: caseId, contactId: id, requestedBy: 'key:test-writer', state: 'open' },
    ]);

    const refusal = await rig.call('POST', `/v1/cases/${caseId}/decision`, { as: 'lead', body: { verdict: 'refuse' } });
    expectProblem(refusal, 422, 'validation_failed');
    const prose = await rig.call('POST', `/v1/cases/${caseId}/decision`, {
      as: 'lead',
      body: { verdict: 'approve', ground: 'Because the person asked' },
    });
    expectProblem(prose, 422, 'validation_failed');

    const decided = await rig.call('POST', `/v1/cases/${caseId}/decision`, {
      as: 'lead',
      body: { verdict: 'approve', ground: 'art17_1_b' },
    });
    expect(decided.status).toBe(202);
    const row = await oneRow<Record<string, unknown>>(rig.db, 'select * from decisions where id = ?', [
      decided.json.decisionId,
    ]);
    expect(row).toMatchObject({
      subject: `case:${caseId}`,
      verdict: 'approve',
      decided_by: 'key:test-lead',
      used_at: null,
    });
    expect(rig.operations.asked).toEqual([
      { name: 'openErasure', args: [caseId] },
      { name: 'openErasure', args: [caseId] },
      { name: 'decideErasure', args: [caseId, decided.json.decisionId] },
    ]);
  });

  test('a closed case takes no decision', async () => {
    const id = await person({ familyName: 'Closed' });
    const { json } = await rig.call('POST', `/v1/contacts/${id}/erasure`, { as: 'writer' });
    await rig.db.raw(`update cases set state = 'refused', closed_at = now() where id = ?`, [json.caseId]);
    const late = await rig.call('POST', `/v1/cases/${json.caseId}/decision`, {
      as: 'lead',
      body: { verdict: 'approve' },
    });
    expectProblem(late, 409, 'already_decided');
    expect(rig.operations.asked.map((a) => a.name)).toEqual(['openErasure']);
  });

  test('with Temporal away a request is taken, a decision asks to be sent again', async () => {
    const id = await person({ familyName: 'Away' });
    rig.operations.failure = new Error('connect ECONNREFUSED 127.0.0.1:7233');
    const asked = await rig.call('POST', `/v1/contacts/${id}/erasure`, { as: 'writer' });
    expect(asked.json).toMatchObject({ opened: true, started: false });
    const decided = await rig.call('POST', `/v1/cases/${asked.json.caseId}/decision`, {
      as: 'lead',
      body: { verdict: 'approve' },
    });
    expectProblem(decided, 503, 'temporal_unavailable');
    expect(decided.headers['retry-after']).toBe('5');
  });

  test('an erased contact answers 410 where the person would be shown, and still says how far it is gone', async () => {
    const id = await person({ familyName: 'Gone', emails: ['gone@example.org'], externalRef: 'gone-1' });
    await erase(id);
    for (const [method, url, body] of [
      ['GET', `/v1/contacts/${id}`, undefined],
      ['GET', `/v1/contacts/${id}/versions`, undefined],
      ['GET', `/v1/contacts/${id}/versions/1`, undefined],
      ['GET', `/v1/contacts/${id}/consents`, undefined],
      ['PATCH', `/v1/contacts/${id}`, { familyName: 'Back' }],
      ['POST', `/v1/contacts/${id}/consents`, { events: [given] }],
      ['POST', `/v1/contacts/${id}/erasure`, {}],
    ] as const) {
      expectProblem(
        await rig.call(method, url, { as: 'admin', ...(body === undefined ? {} : { body }) }),
        410,
        'erased',
      );
    }
    const deliveries = await rig.call('GET', `/v1/contacts/${id}/deliveries`, { as: 'reader' });
    expect(deliveries.json.deliveries.map((d: { state: string }) => d.state)).toEqual(['due', 'due']);
    const { json: log } = await rig.call('GET', `/v1/audit?contact=${id}`, { as: 'operator' });
    expect(log.entries.map((e: { kind: string }) => e.kind)).toContain('contact.erased');
  });

  test('an erased person does not come back by any door, in any spelling', async () => {
    const id = await person({ familyName: 'Tomb', emails: ['tomb@example.org'], externalRef: 'tomb-1' });
    await erase(id);
    const other = await person({ familyName: 'Other' });
    for (const [method, url, body] of [
      ['POST', '/v1/contacts', { emails: ['TOMB@Example.org'] }],
      ['POST', '/v1/contacts', { externalRef: 'tomb-1' }],
      ['PUT', '/v1/contacts/by-reference/tomb-1', { familyName: 'Tomb' }],
      ['PUT', '/v1/contacts/by-reference/new-1', { emails: ['ｔｏｍｂ@example.org'] }],
      ['PATCH', `/v1/contacts/${other}`, { emails: ['tomb@example.org'] }],
    ] as const) {
      expectProblem(await rig.call(method, url, { as: 'writer', body }), 409, 'suppressed');
    }
    const noted = await rows(
      rig.db,
      `select contact_id, detail from audit where kind = 'door.refused' and detail ->> 'code' = 'suppressed' order by detail ->> 'route'`,
    );
    expect(noted).toEqual(
      ['PATCH /v1/contacts/:id', 'POST /v1/contacts', 'PUT /v1/contacts/by-reference/:ref'].map((route) => ({
        contact_id: null,
        detail: { route, code: 'suppressed' },
      })),
    );
  });
});

describe('systems', () => {
  test('show state, backlog, budget and a link to their lane', async () => {
    await rig.db.raw(
      `insert into budgets (account, per_day, day_used, day, concurrency) values ('account-crm', 1000, 7, (now() at time zone 'UTC')::date, 4)`,
    );
    const { json } = await rig.call('GET', '/v1/systems', { as: 'reader' });
    expect(json.systems.map((s: { name: string }) => s.name)).toEqual(['crm', 'mail']);
    expect(json.systems[0]).toMatchObject({
      state: 'open',
      budget: { perDay: 1000, dayUsed: 7, inFlight: 0 },
      temporalUi: 'http://127.0.0.1:8233/lane',
    });
    expect(json.systems[0].backlog.due).toBeGreaterThan(0);
  });

  test('pause, resume, retry and reconcile ask Temporal in the key’s name', async () => {
    await rig.call('POST', '/v1/systems/crm/pause', { as: 'operator', body: { code: 'maintenance' } });
    await rig.call('POST', '/v1/systems/crm/pause', { as: 'operator' });
    await rig.call('POST', '/v1/systems/crm/resume', { as: 'operator', body: { acceptRestore: true } });
    const retried = await rig.call('POST', '/v1/systems/crm/retry', { as: 'operator' });
    expect(retried.json).toEqual({ marked: 3 });
    const id = await person({ familyName: 'Retry' });
    await rig.call('POST', '/v1/retry', { as: 'operator', body: { contactId: id } });
    const reconciled = await rig.call('POST', '/v1/systems/crm/reconcile', { as: 'operator' });
    expect(reconciled.status).toBe(202);
    expect(rig.operations.asked).toEqual([
      { name: 'pause', args: ['crm', 'key:test-operator', 'maintenance'] },
      { name: 'pause', args: ['crm', 'key:test-operator', 'operator'] },
      { name: 'resume', args: ['crm', 'key:test-operator', true] },
      { name: 'retry', args: [{ system: 'crm' }, 'key:test-operator'] },
      { name: 'retry', args: [{ contactId: id }, 'key:test-operator'] },
      { name: 'startReconciliation', args: ['crm', 'key:test-operator'] },
    ]);
    expectProblem(await rig.call('POST', '/v1/systems/none/pause', { as: 'operator' }), 404, 'not_found');
  });

  test('what an operation refuses is passed on with its code', async () => {
    rig.operations.failure = new OperationRefused('restored_database', 'Say acceptRestore to open it.');
    expectProblem(await rig.call('POST', '/v1/systems/crm/resume', { as: 'operator' }), 409, 'restored_database');
  });

  test('problems are grouped by what is wrong', async () => {
    const ids = await Promise.all(['P1', 'P2', 'P3'].map(async (familyName) => person({ familyName })));
    for (const id of ids) await settle(rig.db, id, 'mail', 'rejected');
    await rig.db.raw(
      `update deliveries set data_code = 'email_invalid', data_field = 'email' where contact_id = any (?::uuid[]) and system = 'mail'`,
      [ids],
    );
    const { json } = await rig.call('GET', '/v1/problems?system=mail', { as: 'operator' });
    expect(json.problems).toMatchObject([
      { system: 'mail', part: 'data', kind: 'rejected', code: 'email_invalid', field: 'email', count: 3 },
    ]);
    expect(json.problems[0].contactIds.toSorted()).toEqual(ids.toSorted());
    expect((await rig.call('GET', '/v1/problems?system=crm', { as: 'operator' })).json.problems).toEqual([]);
  });
});

describe('runs', () => {
  test('a run shows its items and drifts in pages', async () => {
    const ids = (await Promise.all(['I1', 'I2', 'I3'].map(async (familyName) => person({ familyName })))).toSorted();
    const id = await startRun(rig.db, 'reconciliation', 'crm');
    await addRunItems(
      rig.db,
      id,
      ids.map((contactId) => ({ contactId, action: 'repair', reasons: ['older_value'] })),
    );
    await addDrifts(rig.db, id, 'crm', [{ kind: 'extra', contactId: null, externalId: '77', fields: [] }]);
    const first = await rig.call('GET', `/v1/runs/${id}?limit=2`, { as: 'operator' });
    expect(first.json.items.map((i: { contactId: string }) => i.contactId)).toEqual(ids.slice(0, 2));
    expect(first.json.nextItems).toBe(ids[1]);
    expect(first.json.drifts).toMatchObject([{ kind: 'extra', externalId: '77' }]);
    const second = await rig.call('GET', `/v1/runs/${id}?limit=2&itemsAfter=${first.json.nextItems}`, {
      as: 'operator',
    });
    expect(second.json).toMatchObject({ items: [{ contactId: ids[2] }], nextItems: null });
    const listed = await rig.call('GET', '/v1/runs?kind=reconciliation&system=crm', { as: 'operator' });
    expect(listed.json.runs.map((r: { id: string }) => r.id)).toEqual([id]);
  });

  test('only a run that asks takes a decision', async () => {
    const id = await startRun(rig.db, 'retention', null);
    const early = await rig.call('POST', `/v1/runs/${id}/decision`, { as: 'lead', body: { verdict: 'approve' } });
    expectProblem(early, 409, 'already_decided');
    await updateRun(rig.db, id, { state: 'asking', counts: { purge: 12 } });
    const decided = await rig.call('POST', `/v1/runs/${id}/decision`, { as: 'lead', body: { verdict: 'approve' } });
    expect(decided.status).toBe(202);
    expect(rig.operations.asked).toEqual([{ name: 'decideRun', args: [id, decided.json.decisionId] }]);
  });

  test('retention can be started by hand', async () => {
    const started = await rig.call('POST', '/v1/retention/runs', { as: 'operator' });
    expect(started.status).toBe(202);
    expect(started.headers['location']).toBe(`/v1/runs/${started.json.runId}`);
  });
});

describe('recipients', () => {
  test('are those with proof, once an address, without anybody whom a stricter word protects; formula-safe', async () => {
    const event = { ...given, purpose: 'events', statement: 'events-1' };
    await rig.db.raw(
      `insert into statements (id, purpose, wording, hash) values ('events-1', 'events', 'Invite me.', 'h')`,
    );
    const consent = async (id: string, ...events: unknown[]): Promise<void> => {
      const answer = await rig.call('POST', `/v1/contacts/${id}/consents`, { as: 'writer', body: { events } });
      expect(answer.status).toBe(201);
    };
    const plain = await person({ givenName: '@sum', familyName: 'Plain, "P"', emails: ['plain@example.net'] });
    await consent(plain, event);
    const withdrew = await person({ familyName: 'Withdrew', emails: ['withdrew@example.net'] });
    await consent(withdrew, event, { purpose: 'events', kind: 'withdrawn' });
    const unproven = await person({ familyName: 'Unproven', emails: ['unproven@example.net'] });
    await consent(unproven, { purpose: 'events', kind: 'given' });
    const shared = await person({ familyName: 'Shares', emails: ['office@example.net'] });
    await consent(shared, event);
    const objects = await person({ familyName: 'Objects', emails: ['office@example.net'] });
    await consent(objects, { purpose: 'events', kind: 'refused' });
    const twins = [
      await person({ familyName: 'Twin A', emails: ['twins@example.net'] }),
      await person({ familyName: 'Twin B', emails: ['TWINS@example.net'] }),
    ];
    for (const twin of twins) await consent(twin, event);
    const noAddress = await person({ familyName: 'No address' });
    await consent(noAddress, event);

    const counted = await rig.call('GET', '/v1/purposes/events/recipients', { as: 'operator' });
    expect(counted.json).toEqual({ purpose: 'events', count: 2 });
    const list = await rig.call('GET', '/v1/purposes/events/recipients', {
      as: 'operator',
      headers: { accept: 'text/csv' },
    });
    expect(list.headers['content-type']).toBe('text/csv; charset=utf-8');
    const lines = list.text.split('\r\n');
    expect(lines[0]).toBe('contactId,email,givenName,familyName,organisation,locale,since,evidence');
    expect(lines[1]).toMatch(`${plain},plain@example.net,"'@sum","Plain, ""P""",,,2026-01-02T10:00:00.000Z,`);
    expect(lines[2]).toContain(`${twins[0]},twins@example.net`);
    expect(lines).toHaveLength(4);
    const { n } = await oneRow<{ n: number }>(
      rig.db,
      `select count(*) as n from audit where kind = 'recipients.exported' and actor = 'key:test-operator'`,
    );
    expect(n).toBe(1);
    expectProblem(await rig.call('GET', '/v1/purposes/none/recipients', { as: 'operator' }), 404, 'not_found');
  });
});

describe('health', () => {
  test('readiness names each part; Temporal alone does not close the doors', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    rig.operations.failure = new Error('away');
    const answer = await rig.call('GET', '/ready');
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      ready: true,
      database: { ok: true },
      key: { ok: true },
      temporal: { ok: false },
    });
  });

  test('a key that is not the database’s own closes the doors', async () => {
    await rig.db.raw(`update meta set value = repeat('0', 64) where key like 'key_check:%'`);
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    const answer = await rig.call('GET', '/ready');
    expect(answer.status).toBe(503);
    expect(answer.json).toMatchObject({ ready: false, schema: { ok: true }, key: { ok: false } });
  });

  test('the landing page links to the documentation', async () => {
    const page = await rig.call('GET', '/');
    expect(page.text).toContain('href="/docs"');
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
  });
});
