/** The night's run: goes on where it was after a crash, and a clean one changes nothing in the record, the ledger or at the vendor. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { oneRow, row, rows } from '../../store/db.ts';
import { addPerson } from '../rig/people.ts';
import { control, converged, createWorld, eventually, SYSTEM } from '../rig/world.ts';
import type { WorkerProcess, World } from '../rig/world.ts';

const STRANGERS = 1_050;
const PAGE = 100;

interface Request {
  seq: number;
  method: string;
  path: string;
  effect: boolean;
}

let world: World;
let worker: WorkerProcess;

beforeAll(async () => {
  world = await createWorld({ vendors: ['hubspot'], emptyVendors: true });
  const strangers = Array.from({ length: STRANGERS }, (_, n) => ({
    properties: { email: `stranger${n}@elsewhere.example`, lastname: 'Stranger' },
  }));
  await control(world.sandboxes.hubspot, 'POST', '/records', strangers);
  worker = await world.startWorker();
  for (const n of [1, 2, 3]) await addPerson(world, 'Known', `Person-${n}`);
  await converged(world);
}, 120_000);

afterAll(async () => {
  await world?.close();
});

async function journal(since = 0): Promise<Request[]> {
  const page = (await control(world.sandboxes.hubspot, 'GET', `/journal?since=${since}&limit=5000`)) as {
    entries: Request[];
  };
  return page.entries;
}

const isListing = (r: Request): boolean =>
  r.method === 'GET' && r.path.includes('/objects/contacts?') && !r.path.includes('archived=true');

async function start(): Promise<string> {
  const started = await world.call('POST', `/v1/systems/${SYSTEM.hubspot}/reconcile`, {});
  return String(started.body['runId']);
}

async function ended(runId: string): Promise<Record<string, number>> {
  const run = await eventually(
    'the run ends',
    async () => {
      const found = await world.call('GET', `/v1/runs/${runId}`);
      return found.body['state'] === 'done' ? found.body : undefined;
    },
    90_000,
  );
  return run['counts'] as Record<string, number>;
}

/** What must not move on a clean night. */
const state = () =>
  oneRow<Record<string, unknown>>(
    world.db,
    `select (select md5(string_agg(c::text, ' ' order by c.id)) from contacts c) as contacts,
       (select md5(string_agg(d::text, ' ' order by d.contact_id)) from deliveries d) as ledger,
       (select md5(string_agg(v::text, ' ' order by v.external_id)) from vendor_records v) as vendor_records,
       (select count(*) from vendor_addresses)::integer as addresses, (select count(*) from consent_events)::integer as events,
       (select count(*) from scan_seen)::integer as scratch, (select count(*) from audit where kind not like 'run.%' and kind not like 'contact.read')::integer as audit`,
  );

/** Kills the worker when half of it is read, past the five lists of a page, and `meanwhile` before it is started again. @returns the listings after that */
async function killedHalfWay(
  meanwhile: () => Promise<void>,
): Promise<{ counts: Record<string, number>; after: Request[] }> {
  const first = (await journal()).at(-1)?.seq ?? 0;
  await control(world.sandboxes.hubspot, 'POST', '/faults', {
    name: 'delay',
    match: { method: 'GET', path: '/objects/contacts\\?' },
    count: 100,
    params: { ms: 900 },
  });
  const runId = await start();
  await eventually('half of it is read', async () => (await journal(first)).filter(isListing).length >= 7);
  await worker.kill9();
  // A delayed listing is written down when it is answered.
  await sleep(1_000);
  const killedAt = (await journal()).at(-1)?.seq ?? 0;
  await control(world.sandboxes.hubspot, 'DELETE', '/faults');
  await meanwhile();
  worker = await world.startWorker();
  return { counts: await ended(runId), after: (await journal(killedAt)).filter(isListing) };
}

const PAGES = Math.ceil((STRANGERS + 3) / PAGE);

test('killed with -9 half-way, it goes on from its cursor and ends with every record seen', async () => {
  const { counts, after } = await killedHalfWay(() => Promise.resolve());
  expect(counts['seen']).toBe(STRANGERS + 3);
  expect(counts).toMatchObject({ missing: 0, toChange: 0 });
  expect(after.length).toBeGreaterThan(0);
  expect(after[0]?.path).toContain('after=');
  expect(after.length).toBeLessThan(PAGES);
}, 180_000);

test('where a crash of PostgreSQL took what it had seen, it begins anew: nobody is missing for that', async () => {
  // Unlogged tables are empty after a crash.
  const { counts, after } = await killedHalfWay(async () => void (await rows(world.db, 'delete from scan_seen')));
  expect(counts['seen']).toBe(STRANGERS + 3);
  expect(counts).toMatchObject({ missing: 0, toChange: 0 });
  expect(after[0]?.path).not.toContain('after=');
  expect(after.length).toBe(PAGES);
}, 180_000);

test('a clean night changes nothing: not the record, not the ledger, not the vendor', async () => {
  await ended(await start());
  await eventually('the audit log is quiet', async () => (await row(world.db, 'select 1 from audit')) !== undefined);
  const before = await state();
  const seq = (await journal()).at(-1)?.seq ?? 0;
  const counts = await ended(await start());
  expect(counts).toMatchObject({ compared: 3, unmoved: 3, toChange: 0, marked: 0, missing: 0, stricter: 0 });
  expect(await state()).toEqual(before);
  expect(before['scratch']).toBe(0);
  const requests = await journal(seq);
  expect(requests.length).toBeGreaterThan(5);
  expect(requests.filter((r) => r.effect)).toEqual([]);
}, 120_000);

test('what agreed before is compared again as soon as either side moves', async () => {
  const known = await rows<{ contactId: string; externalId: string }>(
    world.db,
    'select contact_id as "contactId", external_id as "externalId" from external_ids where system = ? and not former order by 1',
    [SYSTEM.hubspot],
  );
  const [here, there, still] = known.map((k) => ({ ...k, path: `/records/${k.externalId}` }));
  const nameAt = async (path: string): Promise<unknown> =>
    ((await control(world.sandboxes.hubspot, 'GET', path)) as { properties: { lastname: string } }).properties.lastname;
  expect(await ended(await start())).toMatchObject({ unmoved: 3 });

  // One moves in the record; its record at the vendor is then put back behind our back. One moves only at the vendor.
  const before = await nameAt(here!.path);
  await rows(world.db, 'update contacts set family_name = ? where id = ?', ['Renamed', here!.contactId]);
  await converged(world);
  await control(world.sandboxes.hubspot, 'PATCH', here!.path, { properties: { lastname: before } });
  await control(world.sandboxes.hubspot, 'PATCH', there!.path, { properties: { lastname: 'Elsewhere' } });
  const wanted = await nameAt(still!.path);

  const runId = await start();
  expect(await ended(runId)).toMatchObject({ compared: 3, unmoved: 1, differing: 2, marked: 2, repaired: 2 });
  expect(await nameAt(here!.path)).toBe('Renamed');
  expect(await nameAt(there!.path)).not.toBe('Elsewhere');
  expect(await nameAt(still!.path)).toBe(wanted);

  // Repaired, they are compared in full once more, and are known from then on.
  expect(await ended(await start())).toMatchObject({ compared: 3, unmoved: 1, differing: 0 });
  expect(await ended(await start())).toMatchObject({ compared: 3, unmoved: 3, differing: 0 });
}, 120_000);

test('another key knows no agreement: everything is compared in full', async () => {
  await rows(world.db, `update vendor_records set digest = sha256('another key') where digest is not null`);
  expect(await ended(await start())).toMatchObject({ compared: 3, unmoved: 0, differing: 0 });
}, 60_000);
