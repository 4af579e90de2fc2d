/**
 * An upgrade with work open: release N (an earlier commit, run from its archive) and the present programmes side by side on one
 * schema and the same task queues, with lanes, cases and a cause open and changes coming in all along; back to N for a while, then on.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT } from '../../cli/exit-codes.ts';
import { ROOT } from '../../local/program.ts';
import type { Program } from '../../local/program.ts';
import { createKey } from '../../store/api-keys.ts';
import { sealAudit, verifyAudit } from '../../store/audit.ts';
import { row, rows } from '../../store/db.ts';
import { bundlePath } from '../../temporal/bundle.ts';
import { causeId, erasureId, laneId, statusQuery } from '../../workflows/contracts/index.ts';
import { apiCaller } from '../rig/api-caller.ts';
import { createDatabase } from '../rig/database.ts';
import { fetchHistories } from '../rig/histories.ts';
import { addPerson, allHeld } from '../rig/people.ts';
import type { Person } from '../rig/people.ts';
import { unpackRelease } from '../rig/release.ts';
import type { Release } from '../rig/release.ts';
import { accountUrl } from '../rig/accounts.ts';
import { control, converged, createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { Vendor, WorkerProcess, World } from '../rig/world.ts';

const N = '2b9d7ec';
const VENDORS: readonly Vendor[] = ['hubspot', 'mailchimp', 'xero'];

let release: Release;
let world: World;
/** The same installation through the API of release N. */
let before: World;
let oldWorker: Program;
let oldApi: Program;
let newWorker: WorkerProcess;
let people: Person[];
let traffic: { stop(): Promise<Map<string, string>> };
/** Asked before the upgrade: one is decided while both releases run, the other after N is gone. */
const cases: Record<'early' | 'late', { caseId: string; person: Person }> = {} as never;

beforeAll(async () => {
  release = await unpackRelease(N);
  const databaseUrl = (await createDatabase()).url;
  world = await createWorld({
    databaseUrl,
    emptyVendors: true,
    // Release N cannot open what is sealed: the key is given once it is gone.
    sealed: false,
    schema: async (url) => void (await release.run(['migrate'], { DATABASE_URL: url })),
  });
  const key = await createKey(world.db, { name: 'before', role: 'admin', expiresAt: null });
  oldWorker = await release.start('worker', world.env);
  oldApi = await release.start('api', {
    ...world.env,
    DATABASE_URL: await accountUrl(world.db, databaseUrl, 'api'),
    PLUMBLINE_PORT_API: '0',
  });
  before = { ...world, call: apiCaller(oldApi.ready, key) };
}, 180_000);

afterAll(async () => {
  await traffic?.stop();
  await Promise.all([oldWorker?.kill9(), oldApi?.kill9()]);
  await world?.close();
  release?.remove();
});

/** Changes a name every 50 ms by SQL, as any writer may. @returns what was accepted last of each contact */
function startTraffic(): { stop(): Promise<Map<string, string>> } {
  const accepted = new Map<string, string>();
  let stopped = false;
  const writing = (async () => {
    for (let n = 1; !stopped; n += 1) {
      const { id } = people[n % people.length]!;
      await rows(world.db, 'update contacts set family_name = ? where id = ?', [`Edit-${n}`, id]);
      accepted.set(id, `Edit-${n}`);
      await sleep(50);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await writing;
      return accepted;
    },
  };
}

/** A new person, made through that API, is read back everywhere. */
async function arrives(through: World, given: string, family: string): Promise<Person> {
  const person = await addPerson(through, given, family);
  await eventually(`${given} ${family} is read back`, async () => {
    const found = await rows<{ done: boolean }>(
      world.db,
      'select wanted = settled as done from deliveries where contact_id = ?',
      [person.id],
    );
    return found.length === VENDORS.length && found.every((d) => d.done);
  });
  return person;
}

async function ask(through: World, person: Person): Promise<{ caseId: string; person: Person }> {
  const asked = await through.call('POST', `/v1/contacts/${person.id}/erasure`, {});
  expect(asked.status).toBe(202);
  const caseId = String(asked.body['caseId']);
  await eventually('the case waits for a decision', async () =>
    world.temporal.workflow.getHandle(erasureId(caseId)).describe(),
  );
  return { caseId, person };
}

async function decide(through: World, { caseId, person }: { caseId: string; person: Person }): Promise<void> {
  const decided = await through.call('POST', `/v1/cases/${caseId}/decision`, {
    verdict: 'approve',
    ground: 'art17_1_b',
  });
  expect(decided.status).toBeLessThan(300);
  await eventually(
    'the case is done',
    async () => row(world.db, `select 1 from cases where id = ? and state = 'done'`, [caseId]),
    60_000,
  );
  for (const vendor of VENDORS)
    expect(JSON.stringify(await allHeld(world, vendor)), vendor).not.toContain(person.email);
}

test('release N works, with lanes and cases open', async () => {
  people = [];
  for (const name of ['One', 'Two', 'Three']) people.push(await arrives(before, name, 'Stays'));
  cases.early = await ask(before, await arrives(before, 'Early', 'Leaves'));
  cases.late = await ask(before, await arrives(before, 'Late', 'Leaves'));
  traffic = startTraffic();
});

test('the new release refuses to start on the schema of N, and says what to do', async () => {
  await Promise.all(
    ['worker', 'api'].map(async (role) => {
      const options = { cwd: ROOT, env: { ...process.env, ...world.env } };
      const started = promisify(execFile)(process.execPath, ['cli/main.ts', role], options);
      await expect(started, role).rejects.toMatchObject({
        code: EXIT.unavailable,
        stderr: expect.stringMatching(/^The database misses 0017_causes\b.*Run: plumbline migrate\n$/su) as string,
      });
    }),
  );
});

test('the migrations of the new release run under N, which goes on, and cannot be started anew', async () => {
  const ran = await promisify(execFile)(process.execPath, ['cli/main.ts', 'migrate'], {
    cwd: ROOT,
    env: { ...process.env, ...world.env, DATABASE_URL: world.databaseUrl },
  });
  expect(ran.stdout).toContain('ran 0017_causes');
  await arrives(before, 'After', 'Migration');
  await expect(release.run(['worker'], world.env)).rejects.toThrow(/The database is newer than this programme/u);
});

test('both releases work side by side: what one asked the other decides', async () => {
  newWorker = await world.startWorker();
  await arrives(before, 'Side', 'By-N');
  await arrives(world, 'Side', 'By-Next');
  await decide(world, cases.early);
  await decide(before, await ask(world, await arrives(world, 'Between', 'Leaves')));

  // A refusal is one cause, whose workflow release N does not know.
  await control(world.sandboxes.hubspot, 'POST', '/faults', {
    name: 'partial',
    match: { method: 'POST', path: '/contacts/batch/(create|upsert)' },
    count: 1,
    params: { items: 1 },
  });
  await addPerson(before, 'Refused', 'Once', { newsletter: false });
  await eventually('one item was refused', async () =>
    row(world.db, 'select 1 from deliveries where data_code is not null'),
  );
  await eventually('the cause is shown', async () => {
    const { body } = await world.call('GET', '/v1/causes');
    return (body['causes'] as unknown[]).length === 1;
  });
  const [cause] = await rows<{ id: string }>(world.db, 'select id from causes');
  await eventually('its workflow has looked', async () => {
    const status = await world.temporal.workflow.getHandle(causeId(cause!.id)).query(statusQuery);
    return status.includes(SYSTEM.hubspot);
  });
});

test('back to N for a while: it goes on with what the new release has begun', async () => {
  await newWorker.kill9();
  await arrives(before, 'Back', 'To-N');
  newWorker = await world.startWorker();
});

test('N is stopped: nothing that was accepted is lost, and what it left open is ended', async () => {
  await Promise.all([oldWorker.stop(), oldApi.stop()]);
  await arrives(world, 'Without', 'N');
  await decide(world, cases.late);
  expect((await world.call('POST', `/v1/systems/${SYSTEM.hubspot}/retry`, {})).status).toBe(200);
  const accepted = await traffic.stop();
  await converged(world);
  expect([...accepted.keys()].toSorted()).toEqual(people.map((p) => p.id).toSorted());
  for (const vendor of VENDORS) {
    const all = (await allHeld(world, vendor)).map((r) => JSON.stringify(r));
    for (const { id, email } of people) {
      const copies = all.filter((r) => r.toLowerCase().includes(email));
      expect(copies, `${vendor} ${email}`).toHaveLength(1);
      expect(copies[0], vendor).toContain(`"${accepted.get(id)}"`);
    }
    for (const name of ['Migration', 'By-N', 'By-Next', 'To-N', 'N']) {
      expect(
        all.filter((r) => r.includes(`"${name}"`)),
        `${vendor} ${name}`,
      ).toHaveLength(1);
    }
  }
  const refused = (await allHeld(world, 'hubspot')).filter((r) => r.properties['firstname'] === 'Refused');
  expect(refused).toHaveLength(1);
  await eventually('the cause closes itself', async () =>
    row(world.db, `select 1 from causes where resolution = 'converged'`),
  );
  while ((await sealAudit(world.db)) > 0);
  expect(await verifyAudit(world.db)).toMatchObject({ ok: true, problem: null });
});

test('no workflow diverged, both releases ran the lanes, and every history replays on the new release', async () => {
  const histories = await fetchHistories(world);
  const types = new Set(histories.map((h) => h.type));
  for (const type of ['lane', 'erasure', 'cause']) expect(types).toContain(type);
  const ran = new Set<string>();
  for (const { workflowId, json } of histories) {
    const { events } = JSON.parse(json) as {
      events: {
        workflowTaskFailedEventAttributes?: { cause: string };
        workflowTaskCompletedEventAttributes?: { identity: string };
      }[];
    };
    for (const event of events) {
      const failed = event.workflowTaskFailedEventAttributes?.cause ?? '';
      expect(failed, workflowId).not.toContain('NON_DETERMINISTIC');
      const by = event.workflowTaskCompletedEventAttributes?.identity;
      if (by !== undefined && workflowId.startsWith('lane/')) ran.add(by.split('@')[0]!);
    }
  }
  expect([...ran]).toEqual(expect.arrayContaining([oldWorker.pid, newWorker.pid].map(String)));
  const open = await world.temporal.workflow.getHandle(laneId(SYSTEM.hubspot)).describe();
  expect(open.status.name).toBe('RUNNING');

  Runtime.install({
    logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
  });
  const codePath = await bundlePath();
  for (const { workflowId, json } of histories) {
    await Worker.runReplayHistory({ workflowBundle: { codePath } }, historyFromJSON(JSON.parse(json)), workflowId);
  }
});
