/** The main job through public doors, with other people's records in the vendors' accounts from the start. */
import { Client as PgClient } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rows } from '../../store/db.ts';
import { verifyAudit, sealAudit } from '../../store/audit.ts';
import { SEALED } from '../../temporal/codec.ts';
import { decoded, fetchHistories, keepHistories } from '../rig/histories.ts';
import { addPerson, allHeld, externalIds, held, othersHeld } from '../rig/people.ts';
import { startChanges } from '../../temporal/starters.ts';
import { control, converged, createWorld, eventually, OTHERS, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;
let others: string;

beforeAll(async () => {
  world = await createWorld();
  others = await othersHeld(world);
  await world.startWorker();
}, 120_000);

afterAll(async () => {
  await world?.close();
});

test('nothing is created before the first complete scan, and the scan knows what the vendors hold', async () => {
  const seen = await eventually('all lanes are open', async () => {
    const open = await rows<{ name: string; scan_completed_at: string | null }>(
      world.db,
      `select name, scan_completed_at from systems where state = 'open'`,
    );
    return open.length === 3 ? open : undefined;
  });
  expect(seen.every((s) => s.scan_completed_at !== null)).toBe(true);
  const known = await rows<{ system: string; n: number }>(
    world.db,
    'select system, count(*)::integer as n from vendor_records group by system order by system',
  );
  expect(known).toEqual([
    { system: SYSTEM.hubspot, n: OTHERS.hubspot },
    { system: SYSTEM.mailchimp, n: OTHERS.mailchimp },
    { system: SYSTEM.xero, n: OTHERS.xero },
  ]);
});

test('a family name corrected by UPDATE in psql is seen in all three systems, and no consent moves', async () => {
  const person = await addPerson(world, 'Ada', 'Lovelance');
  const [hubspot] = await externalIds(world, person.id, 'hubspot');
  const [mailchimp] = await externalIds(world, person.id, 'mailchimp');
  const [xero] = await externalIds(world, person.id, 'xero');
  expect((await held(world, 'mailchimp', mailchimp!))?.status).toBe('subscribed');

  const psql = new PgClient({ connectionString: world.databaseUrl });
  await psql.connect();
  await psql.query(`update plumbline.contacts set family_name = 'Lovelace' where id = $1`, [person.id]);
  await psql.end();
  await converged(world);

  const atHubspot = await held(world, 'hubspot', hubspot!);
  const atMailchimp = await held(world, 'mailchimp', mailchimp!);
  const atXero = await held(world, 'xero', xero!);
  expect(atHubspot?.properties['lastname']).toBe('Lovelace');
  expect(atHubspot?._subscriptions?.['1001']).toBe('SUBSCRIBED');
  expect(atMailchimp?.merge_fields['LNAME']).toBe('Lovelace');
  expect(atMailchimp?.status).toBe('subscribed');
  expect(atXero?.LastName).toBe('Lovelace');
  const audit = await rows<{ actor: string; door: string }>(
    world.db,
    `select actor, door from audit where contact_id = ? and kind = 'contact.changed'`,
    [person.id],
  );
  expect(audit).toEqual([{ actor: 'sql:postgres', door: 'sql' }]);
});

test('a withdrawal is read back in every system that shows consent, and a later correction does not undo it', async () => {
  const person = await addPerson(world, 'Grace', 'Hopper');
  const [hubspot] = await externalIds(world, person.id, 'hubspot');
  const [mailchimp] = await externalIds(world, person.id, 'mailchimp');
  const withdrawn = await world.call('POST', `/v1/contacts/${person.id}/consents?wait=verified&timeoutMs=30000`, {
    events: [{ purpose: 'newsletter', kind: 'withdrawn', channel: 'phone', byPerson: true }],
  });
  expect(withdrawn.body['verified']).toBe(true);
  expect((await held(world, 'hubspot', hubspot!))?._subscriptions?.['1001']).toBe('UNSUBSCRIBED');
  expect((await held(world, 'mailchimp', mailchimp!))?.status).toBe('unsubscribed');

  await world.call('PATCH', `/v1/contacts/${person.id}?wait=verified&timeoutMs=30000`, { familyName: 'Hopper-Murray' });
  expect((await held(world, 'mailchimp', mailchimp!))?.merge_fields['LNAME']).toBe('Hopper-Murray');
  expect((await held(world, 'mailchimp', mailchimp!))?.status).toBe('unsubscribed');
  expect((await held(world, 'hubspot', hubspot!))?._subscriptions?.['1001']).toBe('UNSUBSCRIBED');
});

test('a corrected address is a re-key that keeps a withdrawal', async () => {
  const person = await addPerson(world, 'Edsger', 'Dijkstra');
  await world.call('POST', `/v1/contacts/${person.id}/consents?wait=verified&timeoutMs=30000`, {
    events: [{ purpose: 'newsletter', kind: 'withdrawn', channel: 'phone', byPerson: true }],
  });
  const moved = `moved.${person.email}`;
  const patched = await world.call('PATCH', `/v1/contacts/${person.id}?wait=verified&timeoutMs=30000`, {
    emails: [moved],
  });
  expect(patched.body['verified']).toBe(true);
  const members = (await allHeld(world, 'mailchimp')).filter((m) => [moved, person.email].includes(m.email_address));
  expect(members.map((m) => [m.email_address, m.status])).toEqual([[moved, 'unsubscribed']]);
  const [hubspot] = await externalIds(world, person.id, 'hubspot');
  const atHubspot = await held(world, 'hubspot', hubspot!);
  expect(atHubspot?.properties['email']).toBe(moved);
  expect(atHubspot?._subscriptions?.['1001']).toBe('UNSUBSCRIBED');
});

test('an erasure is decided, read back as gone everywhere, and the person cannot come back by any door', async () => {
  const person = await addPerson(world, 'Kurt', 'Goedel');
  const ids = {
    hubspot: (await externalIds(world, person.id, 'hubspot'))[0]!,
    mailchimp: (await externalIds(world, person.id, 'mailchimp'))[0]!,
    xero: (await externalIds(world, person.id, 'xero'))[0]!,
  };
  const asked = await world.call('POST', `/v1/contacts/${person.id}/erasure`, {});
  expect(asked.status).toBe(202);
  const caseId = String(asked.body['caseId']);
  expect(await held(world, 'hubspot', ids.hubspot)).not.toBeNull();
  const decided = await world.call('POST', `/v1/cases/${caseId}/decision`, { verdict: 'approve', ground: 'art17_1_b' });
  expect(decided.status).toBeLessThan(300);
  const done = await eventually('the case is done', async () => {
    const found = await world.call('GET', `/v1/cases/${caseId}`);
    return found.body['state'] === 'done' ? found.body : undefined;
  });
  expect(Object.keys(done['summary'] as object).toSorted()).toEqual(Object.values(SYSTEM).toSorted());
  expect(await held(world, 'hubspot', ids.hubspot)).toBeNull();
  expect(await held(world, 'mailchimp', ids.mailchimp)).toBeNull();
  const atXero = await held(world, 'xero', ids.xero);
  expect(atXero?.ContactStatus).toBe('ARCHIVED');
  expect(JSON.stringify(atXero)).not.toContain('Goedel');
  expect(JSON.stringify(atXero)).not.toContain(person.email);

  const again = await world.call('POST', '/v1/contacts', {
    emails: [person.email.toUpperCase()],
    familyName: 'Goedel',
  });
  expect(again.status).toBe(409);
  // SQL cannot know the key; the lane checks before anything leaves.
  await rows(
    world.db,
    `insert into contacts (family_name, emails, relationship) values ('Goedel', array[?], 'customer')`,
    [person.email],
  );
  await converged(world);
  for (const vendor of ['hubspot', 'mailchimp', 'xero'] as const) {
    expect(JSON.stringify(await allHeld(world, vendor))).not.toContain(person.email);
  }
  const [left] = await rows<{ tickets: number; versions: number }>(
    world.db,
    `select (select count(*) from tickets where contact_id = ?)::integer as tickets,
       (select count(*) from contact_versions where contact_id = ? and data::text ilike '%goedel%')::integer as versions`,
    [person.id, person.id],
  );
  expect(left).toEqual({ tickets: 0, versions: 0 });
});

test('the retention rule lists, asks, purges through the lanes, and spares who gained a hold meanwhile', async () => {
  const stale = await addPerson(world, 'Stale', 'Lead', { newsletter: false });
  const spared = await addPerson(world, 'Held', 'Lead', { newsletter: false });
  for (const { id } of [stale, spared]) {
    await world.call('PATCH', `/v1/contacts/${id}?wait=verified&timeoutMs=30000`, {
      relationship: 'lead',
      obtainedAt: '2024-01-01',
    });
  }
  const [hubspot] = await externalIds(world, stale.id, 'hubspot');
  const started = await world.call('POST', '/v1/retention/runs', {});
  const runId = String(started.body['runId'] ?? started.body['id']);
  const run = await eventually('the run asks', async () => {
    const found = await world.call('GET', `/v1/runs/${runId}`);
    return found.body['state'] === 'asking' ? found.body : undefined;
  });
  expect((run['items'] as { contactId: string }[]).map((i) => i.contactId).toSorted()).toEqual(
    [stale.id, spared.id].toSorted(),
  );
  expect((await held(world, 'hubspot', hubspot!))?.archived).toBe(false);
  await rows(
    world.db,
    `insert into holds (contact_id, ground, review_on, created_by) values (?, 'legal_claim', '2099-01-01', 'test')`,
    [spared.id],
  );
  // Two of few contacts is more than the set share: two people must approve.
  const first = await world.call('POST', `/v1/runs/${runId}/decision`, { verdict: 'approve' });
  expect(first.status).toBeLessThan(300);
  await secondApproval(runId);
  const done = await eventually('the run is done', async () => {
    const found = await world.call('GET', `/v1/runs/${runId}`);
    return found.body['state'] === 'done' ? found.body : undefined;
  });
  expect(done['counts']).toMatchObject({ purged: 1, spared: 1, stillHeld: 0 });
  expect((await held(world, 'hubspot', hubspot!))?.archived).toBe(true);
  const [record] = await rows<{ state: string; emails: string[] }>(
    world.db,
    'select state, emails from contacts where id = ?',
    [stale.id],
  );
  expect(record).toEqual({ state: 'purged', emails: [] });
  // A purge is no erasure: the person may come back.
  const back = await world.call('POST', '/v1/contacts', { emails: [stale.email], familyName: 'Lead' });
  expect(back.status).toBe(201);
});

async function secondApproval(runId: string): Promise<void> {
  const run = await world.call('GET', `/v1/runs/${runId}`);
  if ((run.body['counts'] as Record<string, number>)['braked'] !== 1) return;
  const { createKey } = await import('../../store/api-keys.ts');
  const key = await createKey(world.db, { name: 'second', role: 'lead', expiresAt: null });
  const answer = await world.api.inject({
    method: 'POST',
    url: `/v1/runs/${runId}/decision`,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    payload: JSON.stringify({ verdict: 'approve' }),
  });
  expect(answer.statusCode).toBeLessThan(300);
}

test('a difference planted at each vendor is found by the night’s run and repaired; a second run finds nothing', async () => {
  const person = await addPerson(world, 'Emmy', 'Noether');
  await converged(world);
  const plant = {
    hubspot: { properties: { lastname: 'Planted' } },
    mailchimp: { merge_fields: { LNAME: 'Planted' } },
    xero: { LastName: 'Planted' },
  } as const;
  for (const vendor of ['hubspot', 'mailchimp', 'xero'] as const) {
    const [id] = await externalIds(world, person.id, vendor);
    await control(world.sandboxes[vendor], 'PATCH', `/records/${encodeURIComponent(id!)}`, plant[vendor]);
    const found = await reconcile(vendor);
    expect(found, vendor).toMatchObject({ toChange: 1, repaired: 1 });
    expect(JSON.stringify(await held(world, vendor, id!)), vendor).not.toContain('Planted');
    const again = await reconcile(vendor);
    expect(again, vendor).toMatchObject({ toChange: 0, marked: 0 });
  }
});

test('an unsubscription at the vendor found by the night’s run becomes a withdrawal, never a repair', async () => {
  const person = await addPerson(world, 'Sofia', 'Kovalevskaya');
  const [mailchimp] = await externalIds(world, person.id, 'mailchimp');
  await control(world.sandboxes.mailchimp, 'PATCH', `/records/${encodeURIComponent(mailchimp!)}`, {
    status: 'unsubscribed',
    by: 'person',
  });
  const found = await reconcile('mailchimp');
  expect(found).toMatchObject({ stricter: 1, toChange: 0 });
  await converged(world);
  const consents = await world.call('GET', `/v1/contacts/${person.id}/consents`);
  expect((consents.body['consents'] as Record<string, { state: string }>)['newsletter']?.state).toBe('withdrawn');
  expect((await held(world, 'mailchimp', mailchimp!))?.status).toBe('unsubscribed');
  const [hubspot] = await externalIds(world, person.id, 'hubspot');
  expect((await held(world, 'hubspot', hubspot!))?._subscriptions?.['1001']).toBe('UNSUBSCRIBED');
});

test('a complaint at the vendor is found by the five-minute reading of changes, long before the night', async () => {
  const person = await addPerson(world, 'Maria', 'Agnesi');
  const [mailchimp] = await externalIds(world, person.id, 'mailchimp');
  await control(world.sandboxes.mailchimp, 'PATCH', `/records/${encodeURIComponent(mailchimp!)}`, {
    status: 'unsubscribed',
    unsubscribe_reason: 'spam complaint',
    by: 'person',
  });
  await startChanges(world.temporal, SYSTEM.mailchimp, 'changes/by-hand');
  await world.temporal.workflow.getHandle('changes/by-hand').result();
  await converged(world);
  const consents = await world.call('GET', `/v1/contacts/${person.id}/consents`);
  expect((consents.body['consents'] as Record<string, { state: string }>)['newsletter']?.state).toBe('withdrawn');
  const [hubspot] = await externalIds(world, person.id, 'hubspot');
  expect((await held(world, 'hubspot', hubspot!))?._subscriptions?.['1001']).toBe('UNSUBSCRIBED');
});

async function reconcile(vendor: 'hubspot' | 'mailchimp' | 'xero'): Promise<Record<string, number>> {
  const started = await world.call('POST', `/v1/systems/${SYSTEM[vendor]}/reconcile`, {});
  const runId = String(started.body['runId'] ?? started.body['id']);
  const run = await eventually('the run ends', async () => {
    const found = await world.call('GET', `/v1/runs/${runId}`);
    return found.body['state'] === 'done' ? found.body : undefined;
  });
  return run['counts'] as Record<string, number>;
}

test('nobody else’s record was touched, and the audit log verifies', async () => {
  expect(await othersHeld(world)).toBe(others);
  while ((await sealAudit(world.db)) > 0);
  expect(await verifyAudit(world.db)).toMatchObject({ ok: true, problem: null });
});

test('no person is in Temporal’s histories, ids or attributes, nor in any log', async () => {
  const people = [
    'Lovelace',
    'Hopper',
    'Dijkstra',
    'Goedel',
    'Noether',
    'Kovalevskaya',
    'Agnesi',
    'example.com',
    'elsewhere.example',
  ];
  const seen: string[] = [];
  const histories = await fetchHistories(world);
  for (const { workflowId, stored, json } of histories) {
    // What the worker itself wrote is sealed.
    expect(stored, workflowId).toContain(btoa(SEALED));
    const text = `${workflowId} ${decoded(json)}`.toLowerCase();
    for (const word of people) if (text.includes(word.toLowerCase())) seen.push(`${word} in ${workflowId}`);
  }
  expect(histories.length).toBeGreaterThan(6);
  const log = world.log().toLowerCase();
  expect(log).toContain('the worker is ready');
  for (const word of people) if (log.includes(word.toLowerCase())) seen.push(`${word} in the log`);
  const audit = await rows<{ text: string }>(world.db, `select string_agg(a::text, ' ') as text from audit a`);
  for (const word of people)
    if (audit[0]?.text.toLowerCase().includes(word.toLowerCase())) seen.push(`${word} in the audit log`);
  expect(seen).toEqual([]);
  await keepHistories(histories);
});
