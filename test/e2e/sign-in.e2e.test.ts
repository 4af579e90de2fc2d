/**
 * Signing in as in real life: HubSpot by OAuth, Xero by a custom connection, two workers. Tokens end in the middle of work, an app is disconnected
 * and connected again: nothing is lost, the lane says why it stands still, and no secret is ever logged.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../../local/program.ts';
import { rows } from '../../store/db.ts';
import { control, converged, createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { Vendor, World } from '../rig/world.ts';

const PEOPLE = 400;
const END_MS = 31 * 60_000;
const folder = mkdtempSync(join(tmpdir(), 'plumbline-sign-in-'));
const SECRETS = {
  hubspotId: 'sandbox-hubspot-client',
  hubspotSecret: 'sandbox-hubspot-secret',
  hubspotRefresh: 'sandbox-hubspot-refresh',
  xeroId: 'sandbox-xero-client',
  xeroSecret: 'sandbox-xero-secret',
};
let world: World;

function put(name: string, secret: string): void {
  writeFileSync(join(folder, name), `${secret}\n`, { mode: 0o600 });
}
const at = (name: keyof typeof SECRETS): { file: string } => ({ file: join(folder, name) });

beforeAll(async () => {
  for (const [name, secret] of Object.entries(SECRETS)) put(name, secret);
  world = await createWorld({
    vendors: ['hubspot', 'xero'],
    emptyVendors: true,
    config: {
      systems: {
        [SYSTEM.hubspot]: {
          settings: { grant: 'refresh_token' },
          credentials: {
            token: undefined,
            clientId: at('hubspotId'),
            clientSecret: at('hubspotSecret'),
            refreshToken: at('hubspotRefresh'),
          },
        },
        [SYSTEM.xero]: {
          settings: { grant: 'client_credentials', tenantId: undefined },
          credentials: {
            clientId: { env: undefined, ...at('xeroId') },
            clientSecret: { env: undefined, ...at('xeroSecret') },
            refreshToken: undefined,
          },
        },
      },
    },
  });
  await rows(
    world.db,
    `insert into contacts (given_name, family_name, emails, relationship)
     select 'Given' || n, 'Family' || n, array['sign-in-' || n || '@example.org'], 'customer' from generate_series(1, ?::integer) n`,
    [PEOPLE],
  );
  await world.startWorker();
  await world.startWorker();
  await converged(world, 90_000);
});
afterAll(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

async function tokensAsked(vendor: Vendor): Promise<number> {
  const { calls } = (await control(world.sandboxes[vendor], 'GET', '/counters')) as { calls: Record<string, number> };
  return Object.entries(calls).reduce((sum, [route, n]) => (route.endsWith('/token') ? sum + n : sum), 0);
}

async function names(vendor: Vendor): Promise<string[]> {
  const { records } = (await control(world.sandboxes[vendor], 'GET', '/records?limit=10000')) as {
    records: { LastName?: string; properties?: { lastname?: string } }[];
  };
  return records.map((r) => r.properties?.lastname ?? r.LastName ?? '');
}

async function lane(name: string): Promise<{ state: string; stateCode: string | null; lastError: string | null }> {
  const { body } = await world.call('GET', '/v1/systems');
  return (body['systems'] as { name: string; state: string; stateCode: string; lastError: string }[]).find(
    (s) => s.name === name,
  )!;
}

async function doctor(): Promise<{ what: string; state: string; found: string; advice?: string }[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'cli/main.ts'), 'doctor', '--json'], {
    env: { ...process.env, ...world.env },
  }).catch((error: { stdout: string }) => error);
  return JSON.parse(stdout) as { what: string; state: string; found: string; advice?: string }[];
}

test('both are signed in by one token each, whichever worker asks', async () => {
  expect(await names('hubspot')).toHaveLength(PEOPLE);
  expect(await names('xero')).toHaveLength(PEOPLE);
  expect([await tokensAsked('hubspot'), await tokensAsked('xero')]).toEqual([1, 1]);
});

test('tokens that end in the middle of a bulk change are renewed once, and everybody gets the new name', async () => {
  for (const vendor of ['hubspot', 'xero'] as const)
    await control(world.sandboxes[vendor], 'PUT', '/settings', { latencyMs: 60 });
  await rows(world.db, `update contacts set family_name = 'Renewed' || substr(family_name, 7)`);
  for (const vendor of ['hubspot', 'xero'] as const) {
    await eventually(`${vendor} is in the middle of it`, async () => {
      const done = (await names(vendor)).filter((n) => n.startsWith('Renewed')).length;
      return done > 0 && done < PEOPLE;
    });
    world.sandboxes[vendor].settings.clockOffsetMs += END_MS;
  }
  await converged(world, 90_000);
  for (const vendor of ['hubspot', 'xero'] as const) {
    const held = await names(vendor);
    expect(held).toHaveLength(PEOPLE);
    expect(held.filter((n) => !n.startsWith('Renewed'))).toEqual([]);
    expect(await tokensAsked(vendor)).toBe(2);
    expect((await lane(SYSTEM[vendor])).state).toBe('open');
    await control(world.sandboxes[vendor], 'PUT', '/settings', { latencyMs: 2 });
  }
});

test.each([
  {
    vendor: 'hubspot' as const,
    revoke: {
      oauth: {
        clientId: SECRETS.hubspotId,
        clientSecret: SECRETS.hubspotSecret,
        refreshTokens: ['refresh-number-two'],
      },
    },
    code: 'refresh_token_refused',
    advice: /connect it again.*plumbline resume/,
    secret: ['hubspotRefresh', 'refresh-number-two'],
  },
  {
    vendor: 'xero' as const,
    revoke: { clientSecret: 'secret-number-two' },
    code: 'client_refused',
    advice: /client id or secret.*plumbline resume/,
    secret: ['xeroSecret', 'secret-number-two'],
  },
])(
  '$vendor shuts us out: the lane stands still and says why; with the new secret it goes on where it was',
  async (given) => {
    const { vendor, revoke, code, advice, secret } = given;
    const system = SYSTEM[vendor];
    await control(world.sandboxes[vendor], 'PUT', '/settings', revoke);
    world.sandboxes[vendor].settings.clockOffsetMs += END_MS;
    const [one] = await rows<{ id: string }>(
      world.db,
      `update contacts set family_name = ? where id = (select id from contacts order by seq limit 1) returning id`,
      [`Late${vendor}`],
    );
    const stopped = await eventually('the lane is paused', async () => {
      const now = await lane(system);
      if (now.state !== 'paused' || now.lastError !== code) throw new Error(JSON.stringify(now));
      return now;
    });
    expect(stopped.stateCode).toBe('unauthorised');
    const finding = (await doctor()).find((f) => f.what === system);
    expect(finding).toMatchObject({ state: 'fail', advice: expect.stringMatching(advice) });
    expect(finding?.advice).toContain(code);
    const asked = await tokensAsked(vendor);
    // It does not knock at a closed door.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(await tokensAsked(vendor)).toBe(asked);
    const due = await rows(
      world.db,
      'select 1 from deliveries where system = ? and contact_id = ? and wanted > settled',
      [system, one!.id],
    );
    expect(due).toHaveLength(1);

    put(secret[0]!, secret[1]!);
    expect((await world.call('POST', `/v1/systems/${system}/resume`)).status).toBe(200);
    await converged(world, 60_000);
    expect((await names(vendor)).filter((n) => n === `Late${vendor}`)).toHaveLength(1);
    expect((await doctor()).find((f) => f.what === system)?.state).toBe('ok');
  },
);

test('no secret and no token is in a log, an error, a row or an audit entry', async () => {
  const written = [world.log()];
  for (const table of ['systems', 'audit', 'deliveries', 'causes', 'vendor_tokens']) {
    const found = await rows<{ text: string }>(world.db, `select t::text as text from ${table} t`);
    written.push(...found.map((f) => f.text));
  }
  const text = written.join('\n');
  expect(text.length).toBeGreaterThan(100_000);
  expect(text).not.toMatch(/sandbox-(?:hubspot|xero)-|number-two/);
});
