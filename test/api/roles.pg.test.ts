/** Each route with each role: the table in api/roles.ts is what the doors really do. */
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROUTE_ROLES } from '../../api/roles.ts';
import { buildApi } from '../../api/server.ts';
import { createKey, keyFinder, KeyRefused, listKeys, revokeKey, roleCovers, ROLES } from '../../store/api-keys.ts';
import type { Role } from '../../store/api-keys.ts';
import { apiRig, CONFIG, expectProblem } from './rig.ts';
import type { ApiRig, Method } from './rig.ts';

let rig: ApiRig;
beforeAll(async () => {
  rig = await apiRig();
});
afterAll(async () => rig.close());

const routes = Object.entries(ROUTE_ROLES) as [string, Role][];

/** An address of the pattern where nothing is, so that who may gets a refusal of another kind. */
function addressOf(pattern: string): string {
  return pattern
    .replace(':id', randomUUID())
    .replace(':version', '1')
    .replace(':name', 'nowhere')
    .replace(':ref', `ref-${randomUUID()}`)
    .replace(':purpose', 'nothing');
}

test.each(routes)('%s is for %s and above', async (route, needed) => {
  const [method, pattern] = route.split(' ') as [Method, string];
  const body = method === 'GET' ? {} : { body: {} };
  const statuses: Record<string, number> = {};
  for (const role of ROLES) {
    const answer = await rig.call(method, addressOf(pattern), { as: role, ...body });
    statuses[role] = answer.status;
    if (answer.status === 403) expectProblem(answer, 403, 'role_missing');
  }
  for (const role of ROLES) {
    if (roleCovers(role, needed)) expect(statuses, role).not.toMatchObject({ [role]: 403 });
    else expect(statuses, role).toMatchObject({ [role]: 403 });
  }
  expectProblem(await rig.call(method, addressOf(pattern), body), 401, 'key_missing');
});

test('every registered route under /v1 is in the table, and the table has no other', async () => {
  const described = (await rig.call('GET', '/docs/json')).json as { paths: Record<string, Record<string, unknown>> };
  const registered = Object.entries(described.paths)
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((m) => `${m.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    )
    .filter((route) => route.includes('/v1/'));
  expect(registered.toSorted()).toEqual(Object.keys(ROUTE_ROLES).toSorted());
});

test('a route that nobody gave a role stops the start', async () => {
  const { db, keyring, operations } = rig;
  const api = buildApi({ db, keyring, operations, config: CONFIG, log: pino({ level: 'silent' }) });
  const added = Promise.resolve(api.register(async (app) => app.get('/v1/forgotten', () => '')).ready());
  await expect(added).rejects.toThrow('no role is laid down for GET /v1/forgotten');
});

test('reaching beyond a role is in the audit log, once an hour for each door', async () => {
  for (let i = 0; i < 3; i += 1) await rig.call('GET', '/v1/cases', { as: 'reader' });
  const { rows } = await rig.db.raw<{ rows: unknown[] }>(
    `select actor, detail from audit where kind = 'door.refused' and actor = 'key:test-reader' and detail ->> 'route' = 'GET /v1/cases'`,
  );
  expect(rows).toEqual([{ actor: 'key:test-reader', detail: { route: 'GET /v1/cases', code: 'role_missing' } }]);
});

test('the open doors answer without a key', async () => {
  for (const url of ['/', '/health', '/ready', '/docs/', '/docs/json']) {
    expect([url, (await rig.call('GET', url)).status]).toEqual([url, 200]);
  }
});

test.each([
  ['key_unknown', 'Bearer pk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
  ['key_unknown', 'Bearer pk_short'],
  ['key_missing', 'Basic cGs6eA=='],
  ['key_missing', 'Bearer '],
  ['key_missing', 'Bearer a b'],
] as const)('%s: %s', async (code, authorization) => {
  const answer = await rig.call('GET', '/v1/systems', { headers: { authorization } });
  expectProblem(answer, 401, code);
  expect(answer.headers['www-authenticate']).toBe('Bearer realm="plumbline"');
});

test('a key is stored as its hash only, listed without secrets, and named once', async () => {
  const key = await createKey(rig.db, { name: 'once', role: 'reader' });
  expect(key).toMatch(/^pk_[A-Za-z0-9_-]{43}$/);
  const { rows } = await rig.db.raw<{ rows: unknown[] }>(`select k::text as text from api_keys k where name = 'once'`);
  expect(JSON.stringify(rows)).not.toContain(key.slice(3));
  expect((await listKeys(rig.db)).find((k) => k.name === 'once')).toMatchObject({ role: 'reader', revokedAt: null });
  await expect(createKey(rig.db, { name: 'once', role: 'admin' })).rejects.toThrow(KeyRefused);
  await expect(createKey(rig.db, { name: 'someone@example.org', role: 'reader' })).rejects.toThrow(KeyRefused);
  await expect(createKey(rig.db, { name: 'late', role: 'reader', expiresAt: '2020-01-01T00:00:00Z' })).rejects.toThrow(
    KeyRefused,
  );
});

test('an expired key and a revoked one are refused; memory ends after five seconds', async () => {
  let now = Date.now();
  const finder = keyFinder(rig.db, () => now);
  const soon = await createKey(rig.db, {
    name: 'soon',
    role: 'reader',
    expiresAt: new Date(now + 60_000).toISOString(),
  });
  expect(await finder.find(soon)).toMatchObject({ ok: true });
  now += 60_001;
  expect(await finder.find(soon)).toEqual({ ok: false, reason: 'expired' });

  const gone = await createKey(rig.db, { name: 'gone', role: 'reader' });
  expect(await finder.find(gone)).toMatchObject({ ok: true });
  expect(await revokeKey(rig.db, 'gone')).toBe(true);
  expect(await revokeKey(rig.db, 'gone')).toBe(false);
  now += 5_001;
  expect(await finder.find(gone)).toEqual({ ok: false, reason: 'revoked' });
  const answer = await rig.call('GET', '/v1/systems', { headers: { authorization: `Bearer ${gone}` } });
  expectProblem(answer, 401, 'key_revoked');
});

test('making and ending a key are in the audit log, without the key', async () => {
  const { rows } = await rig.db.raw<{ rows: { kind: string; detail: { name: string } }[] }>(
    `select kind, detail from audit where kind like 'key.%' and detail ->> 'name' = 'gone' order by id`,
  );
  expect(rows.map((r) => r.kind)).toEqual(['key.created', 'key.revoked']);
  expect(JSON.stringify(rows)).not.toContain('pk_');
});
