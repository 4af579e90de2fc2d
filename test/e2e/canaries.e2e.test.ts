/** No secret is in anything that an installation says, whether all is well or everything goes wrong. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { baseUrlVariable } from '../../config/index.ts';
import { newKeyText } from '../../local/own-keys.ts';
import { ROOT, startProgram } from '../../local/program.ts';
import type { Program } from '../../local/program.ts';
import { startProxy } from '../../local/proxy.ts';
import type { FaultProxy } from '../../local/proxy.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { createKey } from '../../store/api-keys.ts';
import { rows } from '../../store/db.ts';
import { tokenStore } from '../../store/vendor-tokens.ts';
import { accountUrl } from '../rig/accounts.ts';
import { leaks, secretVariables } from '../rig/canaries.ts';
import { decoded, fetchHistories } from '../rig/histories.ts';
import { addPerson } from '../rig/people.ts';
import { converged, createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { WorkerProcess, World } from '../rig/world.ts';

const canary = (what: string): string => `canary-${what}-${randomBytes(12).toString('hex')}`;

let world: World;
let api: Program;
let proxy: FaultProxy;
const folder = mkdtempSync(join(tmpdir(), 'plumbline-canaries-'));
const secrets = new Map<string, string>();
const outputs = new Map<string, string>();
const apiLog = join(folder, 'api.log');
let doors: string;
let metrics: { worker: string; api: string };
let worker: WorkerProcess | undefined;

afterEach(async () => worker?.stop());

beforeAll(async () => {
  world = await createWorld();
  for (const name of secretVariables(world.config)) secrets.set(name, world.env[name] ?? '');
  secrets.set('password of the worker', new URL(world.env['DATABASE_URL'] ?? '').password);
  const apiUrl = new URL(await accountUrl(world.db, world.databaseUrl, 'api'));
  secrets.set('password of the API', apiUrl.password);
  secrets.set('API key', await createKey(world.db, { name: 'canary', role: 'admin' }));
  proxy = await startProxy(Number(apiUrl.port));
  apiUrl.port = String(proxy.port);
  const ports = { doors: await anyFreePort(), worker: await anyFreePort(), api: await anyFreePort() };
  doors = `http://127.0.0.1:${ports.doors}`;
  metrics = { worker: `http://127.0.0.1:${ports.worker}`, api: `http://127.0.0.1:${ports.api}` };
  world.env['PLUMBLINE_LOG_LEVEL'] = 'trace';
  api = await startProgram({
    args: ['cli/main.ts', 'api'],
    env: {
      ...world.env,
      DATABASE_URL: apiUrl.href,
      PLUMBLINE_PORT_API: String(ports.doors),
      PLUMBLINE_PORT_METRICS: String(ports.api),
    },
    ready: /api ready/,
    log: apiLog,
  });
}, 120_000);

afterAll(async () => {
  await api?.stop();
  await proxy?.stop();
  await world?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function plumbline(name: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const text = await promisify(execFile)(process.execPath, [join(ROOT, 'cli/main.ts'), ...args], {
    env: { ...process.env, ...world.env, ...env },
    timeout: 60_000,
  }).then(
    ({ stdout, stderr }) => stdout + stderr,
    (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
  );
  outputs.set(`${name}: plumbline ${args.join(' ')}`, text);
  return text;
}

/** What the API answers at the doors that tell of an installation, and all metrics. */
async function listen(name: string, headers: Record<string, string> = {}): Promise<void> {
  const key = secrets.get('API key') ?? '';
  const paths = [
    '/',
    '/health',
    '/ready',
    '/docs/json',
    '/v1/systems',
    '/v1/problems',
    '/v1/causes',
    '/v1/runs',
    '/v1/cases',
  ];
  for (const path of [...paths, `/v1/${key}`, `/v1/systems?key=${key}`]) {
    const answer = await fetch(`${doors}${path}`, { headers: { authorization: `Bearer ${key}`, ...headers } });
    const told = [...answer.headers].map(([header, value]) => `${header}: ${value}`).join('\n');
    outputs.set(`${name}: ${path.replace(key, '…')}`, `${told}\n${await answer.text()}`);
  }
  for (const [process, from] of Object.entries(metrics)) {
    const told = await fetch(`${from}/metrics`).catch(() => null);
    if (told !== null) outputs.set(`${name}: metrics of ${process}`, await told.text());
  }
}

test('the search finds a secret in each of its forms', () => {
  const key = newKeyText('k');
  const some = new Map([
    ['a', 'canary-0123456789'],
    ['b', key],
  ]);
  const hidden = [
    ['a', 'x canary-0123456789 y'],
    ['a', `Basic ${Buffer.from('me:canary-0123456789').toString('base64')}`],
    ['a', `Basic ${Buffer.from('m:canary-0123456789').toString('base64')}`],
    ['a', Buffer.from('canary-0123456789').toString('hex')],
    ['b', key.slice(2)],
    ['b', Buffer.from(key.slice(2), 'base64').toString('hex')],
  ] as const;
  for (const [what, text] of hidden)
    expect(leaks(some, new Map([['there', text]])), text).toEqual([`${what} in there`]);
  expect(leaks(some, new Map([['there', 'canary-0123 and other things']]))).toEqual([]);
});

test('all is well: work, doctor, configuration, keys, a refused request', async () => {
  worker = await world.startWorker({ PLUMBLINE_PORT_METRICS: new URL(metrics.worker).port });
  await addPerson(world, 'Cana', 'Riva');
  await converged(world);
  await listen('sound');
  for (const args of [
    ['doctor', '--json'],
    ['config', 'check'],
    ['config', 'print'],
    ['status', '--json'],
    ['keyring', 'list', '--json'],
  ])
    await plumbline('sound', args);
  for (const { account } of await rows<{ account: string }>(world.db, 'select account from vendor_tokens')) {
    const tokens = await tokenStore(world.db, world.keyring).load(account);
    for (const [name, token] of Object.entries(tokens ?? {}))
      if (name.endsWith('Token') && token !== null) secrets.set(`Xero ${name}`, token);
  }
  expect(secrets.get('Xero accessToken')).toMatch(/.{8}/);
  await worker.stop();
}, 120_000);

test('every vendor refuses wrong credentials, in the worker and in the doctor', async () => {
  const wrong: Record<string, string> = {};
  const own = new Set(['PLUMBLINE_KEY', 'PLUMBLINE_CODEC_KEYS']);
  for (const name of secretVariables(world.config).filter((one) => !own.has(one))) {
    wrong[name] = `${canary(name)}${name.startsWith('MAILCHIMP') ? '-us1' : ''}`;
    secrets.set(`wrong ${name}`, wrong[name]);
  }
  // A token that was good must not be used any more: Xero is asked for a new one with the wrong credentials.
  await rows(world.db, 'delete from vendor_tokens');
  worker = await world.startWorker({ ...wrong, PLUMBLINE_PORT_METRICS: new URL(metrics.worker).port });
  await world.call('POST', '/v1/contacts', {
    familyName: 'Refused',
    emails: ['refused@example.com'],
    relationship: 'customer',
  });
  await eventually('the lanes that have work say that they are refused', async () => {
    const told = await rows<{ told: string | null }>(
      world.db,
      `select coalesce(state_code, last_error) as told from systems`,
    );
    return told.filter((one) => one.told !== null).length >= 2;
  });
  await listen('refused');
  expect(outputs.get('refused: /v1/systems')).toMatch(/"lastError":"[^"]/);
  expect(await plumbline('refused', ['doctor'], wrong)).toContain('credentials');
  await plumbline('refused', ['status', '--json']);
  await plumbline('refused', ['causes', '--json']);
  await worker.stop();
}, 120_000);

test('vendors answer with what was sent to them', async () => {
  // A vendor, or a proxy before it, that repeats the request's credentials in its error.
  const heard: string[] = [];
  const echo = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const said = `${request.headers.authorization ?? ''} is not what ${request.url ?? ''} takes; client_secret ${new URLSearchParams(body).get('client_secret') ?? ''}`;
      heard.push(said);
      const detail = {
        status: 'error',
        message: said,
        title: said,
        detail: said,
        error: said,
        Message: said,
        Detail: said,
      };
      response.writeHead(400, { 'content-type': 'application/json', 'x-said': said }).end(JSON.stringify(detail));
    });
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const url = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`;
  const env = Object.fromEntries(Object.values(SYSTEM).map((system) => [baseUrlVariable(system), url]));
  for (const system of Object.values(SYSTEM)) await world.call('POST', `/v1/systems/${system}/resume`, {});
  worker = await world.startWorker(env);
  await world.call('POST', '/v1/contacts', {
    familyName: 'Echo',
    emails: ['echo@example.com'],
    relationship: 'customer',
  });
  await eventually('each vendor was asked and refused', async () => {
    const basic = heard.filter((one) => one.startsWith('Basic ')).length;
    const bearer = heard.filter((one) => one.startsWith('Bearer ')).length;
    return basic > 0 && bearer > 0;
  });
  const wrong = [...secrets.values()];
  expect(heard.some((one) => wrong.some((secret) => one.includes(secret)))).toBe(true);
  await listen('echo');
  await plumbline('echo', ['doctor'], env);
  await plumbline('echo', ['causes', '--json']);
  await plumbline('echo', ['deliveries', '--system', SYSTEM.hubspot]);
  await worker.stop();
  echo.close();
}, 120_000);

test('database and Temporal are away or refuse us', async () => {
  await proxy.setFault({ kind: 'refuse' });
  proxy.cut();
  await eventually('the API says so', async () => (await fetch(`${doors}/ready`)).status === 503);
  await listen('database away');
  expect(outputs.get('database away: /v1/systems')).toContain('database_unavailable');
  await proxy.setFault(undefined);

  const password = canary('password');
  secrets.set('wrong password', password);
  const refused = new URL(world.databaseUrl);
  refused.password = password;
  const away = `postgres://plumbline:${password}@127.0.0.1:1/none`;
  const nowhere = `postgres://plumbline:${password}@no.such.host.invalid/none`;
  for (const [name, command, DATABASE_URL] of [
    ['refused', 'status', refused.href],
    ['refused', 'doctor', refused.href],
    ['away', 'status', away],
    ['away', 'worker', away],
    ['nowhere', 'migrate', nowhere],
    ['broken', 'worker', `postgres:/${password}`],
  ] as const)
    await plumbline(`database ${name}`, [command], { DATABASE_URL });
  expect(outputs.get('database away: plumbline status')).toContain('cannot be reached');

  const temporalKey = canary('temporal');
  secrets.set('TEMPORAL_API_KEY', temporalKey);
  for (const args of [['doctor'], ['pause', SYSTEM.xero]])
    await plumbline('Temporal away', args, { TEMPORAL_API_KEY: temporalKey, TEMPORAL_ADDRESS: '127.0.0.1:1' });
}, 240_000);

test('secrets are typed into the configuration, or are of the wrong form', async () => {
  const typed = canary('typed');
  secrets.set('typed secret', typed);
  const sound = readFileSync(join(ROOT, 'plumbline.yaml'), 'utf8');
  const mistakes: Record<string, string> = {
    token: sound.replace('token: { env: HUBSPOT_TOKEN }', `token: ${typed}`),
    name: sound.replace('token: { env: HUBSPOT_TOKEN }', `token: { env: "${typed}" }`),
    value: sound.replace('token: { env: HUBSPOT_TOKEN }', `token: { value: ${typed} }`),
    other: sound.replace('token: { env: HUBSPOT_TOKEN }', `tokne: ${typed}`),
    main: sound.replace('main: { env: PLUMBLINE_KEY }', `main: ${typed}`),
    codec: sound.replace('codec: { env: PLUMBLINE_CODEC_KEYS }', `codec: [${typed}]`),
    yaml: sound.replace('token: { env: HUBSPOT_TOKEN }', `token: { env: ${typed}`),
    address: sound.replace('connector: hubspot', `connector: hubspot\n    baseUrl: "https://user:${typed}@hubs pot"`),
    sound: sound.replace(
      'connector: hubspot',
      `connector: hubspot\n    baseUrl: https://user:${typed}@hubspot.example`,
    ),
  };
  for (const [name, text] of Object.entries(mistakes)) {
    expect(text, name).toContain(typed);
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, text);
    const told = await plumbline(`typed ${name}`, ['config', 'check', file]);
    if (name !== 'sound') expect(told, name).toMatch(/found .*, expected /);
  }
  await plumbline('typed', ['config', 'print'], { PLUMBLINE_CONFIG: join(folder, 'sound.yaml') });
  await plumbline('typed', ['doctor'], { PLUMBLINE_CONFIG: join(folder, 'token.yaml') });
  for (const name of ['PLUMBLINE_KEY', 'PLUMBLINE_CODEC_KEYS'])
    for (const args of [['config', 'check'], ['worker']])
      expect(await plumbline(`${name} of a wrong form`, args, { [name]: typed })).toContain(name);
  await plumbline('address', ['status'], { PLUMBLINE_BASE_URL_HUBSPOT_MAIN: `ftp://user:${typed}@host` });
}, 240_000);

test('a worker lacks the codec key of what is open', async () => {
  const other = newKeyText('other');
  secrets.set('other codec key', other);
  worker = await world.startWorker({ PLUMBLINE_CODEC_KEYS: other });
  await eventually('a task has failed', async () => {
    const { events } = await world.temporal.workflow.getHandle(`lane/${SYSTEM.hubspot}`).fetchHistory();
    return events!.some((event) => event.workflowTaskFailedEventAttributes?.failure);
  });
  await worker.stop();
}, 120_000);

test('none of it is in a log, an answer, a metric, a history, an output of a command, or in the database', async () => {
  outputs.set('log of the workers', world.log());
  outputs.set('log of the API', readFileSync(apiLog, 'utf8'));
  for (const { workflowId, stored, json } of await fetchHistories({
    ...world,
    codec: { encode: async (all) => all, decode: async (all) => all },
  })) {
    outputs.set(`history of ${workflowId}`, `${stored}\n${decoded(json)}`);
  }
  for (const { workflowId, json } of await readable()) outputs.set(`opened history of ${workflowId}`, decoded(json));
  const tables = await rows<{ name: string }>(
    world.db,
    `select tablename as name from pg_tables where schemaname = 'plumbline'`,
  );
  for (const { name } of tables) {
    const [all] = await rows<{ text: string | null }>(
      world.db,
      `select string_agg(t::text, ' ') as text from plumbline.${name} t`,
    );
    outputs.set(`table ${name}`, all?.text ?? '');
  }
  expect(outputs.get('log of the workers')).toContain('The worker is ready');
  expect(outputs.get('log of the API')).toContain('"route"');
  expect(outputs.size).toBeGreaterThan(100);
  expect(secrets.size).toBeGreaterThan(15);
  for (const [what, secret] of secrets) expect(secret.length, what).toBeGreaterThanOrEqual(8);
  expect(leaks(secrets, outputs)).toEqual([]);
});

/** Histories opened with the world's key; those of the worker that had another one stay closed. */
async function readable(): Promise<{ workflowId: string; json: string }[]> {
  const own = world.codec;
  const lenient = {
    encode: async (all: Parameters<typeof own.encode>[0]) => own.encode(all),
    decode: async (all: Parameters<typeof own.decode>[0]) => own.decode(all).catch(() => all),
  };
  return fetchHistories({ ...world, codec: lenient });
}
