/** The commands of an operator against a running installation, and against one in which something is wrong. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../../local/program.ts';
import { addPerson } from '../rig/people.ts';
import type { Person } from '../rig/people.ts';
import { control, converged, createWorld, SYSTEM } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

let world: World;
let person: Person;

beforeAll(async () => {
  world = await createWorld();
  await world.startWorker();
  person = await addPerson(world, 'Olga', 'Operated');
  await converged(world);
}, 60_000);

afterAll(async () => world.close());

interface Ran {
  code: number;
  out: string;
}

async function cli(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  return promisify(execFile)(process.execPath, [join(ROOT, 'cli/main.ts'), ...args], {
    env: { ...process.env, ...world.env, ...env },
  }).then(
    ({ stdout }) => ({ code: 0, out: stdout }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      out: error.stdout + error.stderr,
    }),
  );
}

interface Finding {
  state: string;
  what: string;
  found: string;
  advice?: string;
}

async function doctor(env: Record<string, string> = {}): Promise<{ code: number; findings: Map<string, Finding> }> {
  const { code, out } = await cli(['doctor', '--json'], env);
  return { code, findings: new Map((JSON.parse(out) as Finding[]).map((f) => [f.what, f])) };
}

test('the doctor finds a sound installation sound, in lines without colour where there is no terminal', async () => {
  const { code, out } = await cli(['doctor']);
  expect({ code, out }).toMatchObject({ code: 0 });
  expect(out).not.toContain('\u001b');
  for (const what of [
    'Node',
    'configuration',
    'histories',
    'database',
    'clock',
    'schema',
    'key',
    'audit log',
    'Temporal',
    'namespace',
    'workers',
  ])
    expect(out).toMatch(new RegExp(`^ok {4}${what} `, 'mu'));
  for (const system of Object.values(SYSTEM)) expect(out).toMatch(new RegExp(`^ok {4}${system} `, 'mu'));
  expect(out).not.toContain('fail');
});

test('a refused token is named at its system, with what to do, and nothing else', async () => {
  const { code, findings } = await doctor({ HUBSPOT_TOKEN: 'wrong' });
  expect(code).toBe(1);
  expect(findings.get(SYSTEM.hubspot)).toMatchObject({
    state: 'fail',
    advice: expect.stringMatching(/^token_refused: .*make a new one.*plumbline resume/) as string,
  });
  expect(findings.get(SYSTEM.mailchimp)?.state).toBe('ok');
  expect(JSON.stringify([...findings.values()])).not.toContain('wrong');
});

test('a database that is away hides neither Temporal nor the configuration', async () => {
  const { code, findings } = await doctor({ DATABASE_URL: 'postgres://nobody:secret-word@127.0.0.1:1/none' });
  expect(code).toBe(1);
  expect(findings.get('database')).toMatchObject({ state: 'fail', found: 'cannot be used (ECONNREFUSED)' });
  expect(findings.get('Temporal')?.state).toBe('ok');
  expect(findings.get('configuration')?.state).toBe('ok');
  expect(findings.get(SYSTEM.xero)?.state).toBe('fail');
  expect(JSON.stringify([...findings.values()])).not.toContain('secret-word');
});

test('a missing secret, another key and no Temporal are each said', async () => {
  const missing = await doctor({ MAILCHIMP_API_KEY: '' });
  expect(missing.findings.get('configuration')).toMatchObject({
    state: 'fail',
    found: expect.stringContaining('MAILCHIMP_API_KEY') as string,
  });
  const key = await doctor({ PLUMBLINE_KEY: Buffer.alloc(32, 7).toString('base64') });
  expect(key.findings.get('key')).toMatchObject({ state: 'fail', found: 'another one' });
  const temporal = await doctor({ TEMPORAL_ADDRESS: '127.0.0.1:1' });
  expect(temporal.findings.get('Temporal')?.state).toBe('fail');
}, 60_000);

test('a paused lane fails, with the way back', async () => {
  expect((await cli(['pause', SYSTEM.xero])).code).toBe(0);
  const { findings } = await doctor();
  expect(findings.get(SYSTEM.xero)).toMatchObject({
    state: 'fail',
    found: expect.stringContaining('paused') as string,
  });
  expect((await cli(['resume', SYSTEM.xero])).code).toBe(0);
});

test('deliveries: of a contact, and of a system', async () => {
  const one = await cli(['deliveries', person.id]);
  expect(one.code).toBe(0);
  expect(one.out.split('\n').filter((line) => line.includes('verified'))).toHaveLength(3);
  expect((await cli(['deliveries', '--system', SYSTEM.xero])).out).toBe('There is none.\n');
  expect((await cli(['deliveries', '--state', 'nonsense'])).code).toBe(2);
  expect((await cli(['deliveries', '00000000-0000-4000-8000-000000000000'])).code).toBe(4);
});

test('status shows systems, rates and limits within 80 columns', async () => {
  await control(world.sandboxes.hubspot, 'GET', '/counters');
  const { out } = await cli(['status']);
  expect(out).toMatch(/^system +state +due +urgent +oldest +a minute +limit +day +problems$/mu);
  for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  expect(JSON.parse((await cli(['status', '--json'])).out)).toMatchObject({ causes: [], stuck: [] });
});

test('bash completes commands, their subcommands and options', async () => {
  const { out } = await cli(['completion', 'bash']);
  const complete = async (...words: string[]): Promise<string[]> => {
    const script = `${out}\nCOMP_WORDS=(${words.map((w) => `'${w}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _plumbline; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await promisify(execFile)('bash', ['-c', script]);
    return stdout.trim().split('\n');
  };
  expect(await complete('plumbline', 'doc')).toEqual(['doctor']);
  expect(await complete('plumbline', 'reconcile', '')).toEqual(
    expect.arrayContaining(['run', 'list', 'show', 'decide']),
  );
  expect(await complete('plumbline', 'cause', 'skip', 'some-id', '--r')).toEqual(['--reason']);
  expect((await cli(['completion', 'tcsh'])).code).toBe(2);
  for (const shell of ['zsh', 'fish']) expect((await cli(['completion', shell])).out).toContain('plumbline');
});
