/** PostgreSQL and Temporal killed with -9 under work, and Temporal's store emptied: time is lost, never a change. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres } from '../../local/postgres.ts';
import type { RunningPostgres } from '../../local/postgres.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { findTemporal } from '../../local/temporal-binary.ts';
import { startTemporal } from '../../local/temporal-server.ts';
import type { RunningTemporal } from '../../local/temporal-server.ts';
import { sealAudit, verifyAudit } from '../../store/audit.ts';
import { row, rows } from '../../store/db.ts';
import { erasureId } from '../../workflows/contracts/index.ts';
import { addPerson, allHeld, externalIds, held } from '../rig/people.ts';
import type { Person } from '../rig/people.ts';
import { searchAttributes, serverCacheDir } from '../../local/throwaway.ts';
import { converged, createWorld, eventually } from '../rig/world.ts';
import type { World } from '../rig/world.ts';

const quiet = (): void => undefined;
const folder = mkdtempSync(join(tmpdir(), 'plumbline-servers-'));
let ports: { postgres: number; temporal: number };
let temporalPath: string;
let postgres: RunningPostgres;
let temporal: RunningTemporal;
let world: World;
let person: Person;

const upPostgres = (): Promise<RunningPostgres> =>
  startPostgres({ dataDir: join(folder, 'postgres'), port: ports.postgres, say: quiet });
const upTemporal = (dataFile: string): Promise<RunningTemporal> =>
  startTemporal({
    path: temporalPath,
    dataFile: join(folder, dataFile),
    port: ports.temporal,
    namespace: 'plumbline',
    searchAttributes,
    say: quiet,
  });

beforeAll(async () => {
  ports = { postgres: await anyFreePort(), temporal: await anyFreePort() };
  temporalPath = await findTemporal({ cacheDir: serverCacheDir(), say: quiet });
  postgres = await upPostgres();
  temporal = await upTemporal('first.db');
  world = await createWorld({
    databaseUrl: postgres.url,
    temporal: { address: temporal.address, namespace: 'plumbline' },
    vendors: ['mailchimp', 'xero'],
  });
  await world.startWorker();
  person = await addPerson(world, 'Through', 'All');
}, 180_000);

afterAll(async () => {
  await world?.close();
  await temporal?.stopNow();
  await postgres?.stopNow();
  rmSync(folder, { recursive: true, force: true });
});

async function shows(name: string): Promise<void> {
  await converged(world, 90_000);
  for (const vendor of ['mailchimp', 'xero'] as const) {
    const [id] = await externalIds(world, person.id, vendor);
    expect(JSON.stringify(await held(world, vendor, id!)), vendor).toContain(name);
  }
}

test('PostgreSQL killed with -9 under work: every accepted change arrives, none twice', async () => {
  const accepted: string[] = [];
  let edits = 0;
  let stop = false;
  const editing = (async () => {
    while (!stop) {
      edits += 1;
      const name = `Edit-${edits}`;
      try {
        await rows(world.db, 'update contacts set family_name = ? where id = ?', [name, person.id]);
        accepted.push(name);
      } catch {
        // Refused or unknown: the writer saw the error and may repeat it.
      }
      await new Promise((r) => setTimeout(r, 20));
    }
  })();
  await new Promise((r) => setTimeout(r, 500));
  process.kill(postgres.pid, 'SIGKILL');
  await postgres.exited;
  await new Promise((r) => setTimeout(r, 1_000));
  const before = accepted.length;
  postgres = await upPostgres();
  await eventually('writes are accepted again', async () => accepted.length > before);
  stop = true;
  await editing;
  await rows(world.db, `update contacts set family_name = 'After-Postgres' where id = ?`, [person.id]);
  await shows('After-Postgres');
  for (const vendor of ['mailchimp', 'xero'] as const) {
    const copies = (await allHeld(world, vendor)).filter((r) => JSON.stringify(r).toLowerCase().includes(person.email));
    expect(copies, vendor).toHaveLength(1);
  }
}, 180_000);

test('Temporal killed with -9: intake goes on meanwhile, and all arrives after its return', async () => {
  process.kill(temporal.pid, 'SIGKILL');
  await temporal.exited;
  await rows(world.db, `update contacts set family_name = 'While-Away' where id = ?`, [person.id]);
  const other = await addPerson(world, 'Added', 'While-Away', { wait: false });
  temporal = await upTemporal('first.db');
  await shows('While-Away');
  expect(await externalIds(world, other.id, 'xero')).toHaveLength(1);
}, 180_000);

test('Temporal’s store emptied: lanes and open cases are rebuilt from the record', async () => {
  const leaving = await addPerson(world, 'Leaves', 'Soon');
  const asked = await world.call('POST', `/v1/contacts/${leaving.id}/erasure`, {});
  const caseId = String(asked.body['caseId']);
  await eventually(
    'the case runs',
    async () => (await world.temporal.workflow.getHandle(erasureId(caseId)).describe()).runId,
  );
  await temporal.stop();
  await rows(world.db, `update contacts set family_name = 'Store-Emptied' where id = ?`, [person.id]);
  temporal = await upTemporal('second.db');
  const fresh = await Connection.connect({ address: temporal.address });
  await fresh.close();
  await shows('Store-Emptied');
  await eventually(
    'the case runs again',
    async () => (await world.temporal.workflow.getHandle(erasureId(caseId)).describe()).runId,
    60_000,
  );
  await world.call('POST', `/v1/cases/${caseId}/decision`, { verdict: 'approve', ground: 'art17_1_b' });
  await eventually(
    'the case is done',
    async () => row(world.db, `select 1 from cases where id = ? and state = 'done'`, [caseId]),
    60_000,
  );
  for (const vendor of ['mailchimp', 'xero'] as const) {
    expect(JSON.stringify(await allHeld(world, vendor)), vendor).not.toContain(leaving.email);
  }
}, 240_000);

test('Temporal’s stores on disk hold nobody: neither names nor addresses', async () => {
  await temporal.stop();
  const files = readdirSync(folder).filter((name) => /\.db/u.test(name));
  expect(files.length).toBeGreaterThanOrEqual(2);
  const people = [person.email, 'example.com', 'After-Postgres', 'While-Away', 'Store-Emptied', 'Through'];
  let looked = 0;
  for (const name of files) {
    const bytes = readFileSync(join(folder, name));
    looked += bytes.length;
    // The store does hold what we do put there, so that a name would be found too.
    if (name === 'second.db') expect(bytes.includes('lane/xero-uk')).toBe(true);
    for (const word of people) expect(bytes.includes(word), `${word} in ${name}`).toBe(false);
  }
  expect(looked).toBeGreaterThan(100_000);
});

test('the audit log verifies after all of it', async () => {
  while ((await sealAudit(world.db)) > 0);
  expect(await verifyAudit(world.db)).toMatchObject({ ok: true, problem: null });
});
