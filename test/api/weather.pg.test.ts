/** Bad weather: the database is away, callers hang up, the server closes while somebody waits. */
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildApi } from '../../api/server.ts';
import { MAX_WAITERS } from '../../api/waiting.ts';
import { openDb } from '../../store/db.ts';
import { addSystem, apiRig, CONFIG } from './rig.ts';
import type { ApiRig } from './rig.ts';

let rig: ApiRig;
let base: string;
beforeAll(async () => {
  rig = await apiRig();
  await addSystem(rig.db, 'crm');
  base = await rig.api.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => rig.close());

function headers(): Record<string, string> {
  return { authorization: `Bearer ${rig.keys.writer}`, 'content-type': 'application/json' };
}

test('with the database away: 503 with Retry-After, not ready, and no secret in the log', async () => {
  const lines: string[] = [];
  const log = pino(
    { level: 'trace' },
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    }),
  );
  const db = openDb({ url: 'postgres://plumbline:s3cret-word@127.0.0.1:1/plumbline', applicationName: 'away' });
  const { keyring, operations } = rig;
  const api = buildApi({ db, keyring, operations, config: CONFIG, log });
  const answer = await api.inject({
    method: 'POST',
    url: '/v1/contacts',
    headers: headers(),
    payload: { familyName: 'Tapir' },
  });
  expect(answer.statusCode).toBe(503);
  expect(answer.json()).toMatchObject({ code: 'database_unavailable' });
  expect(answer.headers['retry-after']).toBe('2');
  const ready = await api.inject('/ready');
  expect(ready.statusCode).toBe(503);
  expect(ready.json()).toMatchObject({ ready: false, database: { ok: false }, temporal: { ok: true } });
  expect((await api.inject('/health')).statusCode).toBe(200);
  expect(lines.join('')).toContain('database_unavailable');
  expect(lines.join('') + answer.payload + ready.payload).not.toMatch(/s3cret|Tapir/);
  await api.close();
  await db.destroy();
});

test('connections that the database cuts are replaced without a restart', async () => {
  await rig.call('GET', '/v1/systems', { as: 'reader' });
  const other = openDb({
    url: (rig.db.client as { config: { connection: { connectionString: string } } }).config.connection.connectionString,
    applicationName: 'cutter',
  });
  await other.raw(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'api-test'`,
  );
  await other.destroy();
  await expect
    .poll(async () => (await rig.call('GET', '/v1/systems', { as: 'reader' })).status, { timeout: 10_000 })
    .toBe(200);
});

test('past the limit of waiting requests the answer comes at once, with what is open; the change is kept', async () => {
  const waits = Array.from({ length: MAX_WAITERS }, async () =>
    rig.call('POST', '/v1/contacts?wait=verified&timeoutMs=4000', { as: 'writer', body: { familyName: 'Waits' } }),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const started = Date.now();
  const extra = await rig.call('POST', '/v1/contacts?wait=verified&timeoutMs=30000', {
    as: 'writer',
    body: { familyName: 'Extra' },
  });
  expect(Date.now() - started).toBeLessThan(2_000);
  expect(extra.status).toBe(202);
  expect(extra.json.contact.version).toBe(1);
  expect((await Promise.all(waits)).every((w) => w.status === 202)).toBe(true);
});

test('whoever hangs up while waiting frees the place, and the change is kept', async () => {
  const leaving = new AbortController();
  const gone = fetch(`${base}/v1/contacts/by-reference/left?wait=verified&timeoutMs=30000`, {
    method: 'PUT',
    headers: headers(),
    body: JSON.stringify({ familyName: 'Left' }),
    signal: leaving.signal,
  }).catch(() => 'hung up');
  await expect.poll(async () => rig.db('contacts').where({ external_ref: 'left' })).toHaveLength(1);
  leaving.abort();
  expect(await gone).toBe('hung up');
  await expect.poll(() => rig.logged(), { timeout: 3_000 }).toContain('hung_up');
  await new Promise((resolve) => setTimeout(resolve, 300));
  let queries = 0;
  const count = (): void => {
    queries += 1;
  };
  rig.db.on('query', count);
  await new Promise((resolve) => setTimeout(resolve, 700));
  rig.db.off('query', count);
  expect(queries).toBe(0);
});

test('what is no HTTP is answered with 400 and nothing in the log', async () => {
  const { port } = rig.api.server.address() as AddressInfo;
  const answer = await new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write('zebra quagga\r\n\r\n'));
    socket.on('data', (data) => (text += data.toString()));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(rig.logged()).not.toContain('quagga');
});

test('closing ends waiting requests with what is known, and takes no new ones', async () => {
  const waiting = fetch(`${base}/v1/contacts?wait=verified&timeoutMs=30000`, {
    method: 'POST',
    headers: headers(),
    body: JSON.stringify({ externalRef: 'closing' }),
  });
  await expect.poll(async () => rig.db('contacts').where({ external_ref: 'closing' })).toHaveLength(1);
  const started = Date.now();
  await rig.api.close();
  expect(Date.now() - started).toBeLessThan(5_000);
  expect((await waiting).status).toBe(202);
  await expect(fetch(`${base}/health`)).rejects.toThrow();
});
