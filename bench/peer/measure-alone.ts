/** What the SDKs cost by themselves: the least that anybody's bulk change by them can take on this machine. */
import { join } from 'node:path';
import { Pool } from 'pg';
import { cpuSeconds } from '../kit/cpu.ts';
import type { Bench } from '../kit/part.ts';
import { startProgram } from '../../local/program.ts';
import { VENDORS } from '../../local/vendor-programs.ts';
import type { Vendor, VendorProcess } from '../../local/vendor-programs.ts';
import { addPeople } from './contacts.ts';
import type { WorkerSetup } from './worker.ts';

export interface AloneFigures {
  /** Contacts that all the vendors hold and that were read back, a second. */
  perSecondAll: number;
  /** Processor time for one contact in all three systems, of the process with the SDKs and of the sandboxes. */
  cpuUs: { sdks: number; sandboxes: number };
}

export async function measureAlone(
  bench: Bench,
  vendors: Record<Vendor, VendorProcess>,
  count: number,
): Promise<AloneFigures> {
  await Promise.all(VENDORS.map((vendor) => vendors[vendor].control('PUT', '/settings', { limits: false })));
  const databaseUrl = await bench.database();
  const pool = new Pool({ connectionString: databaseUrl, max: 1 });
  await addPeople(pool, vendors, count);
  await pool.end();
  const sandboxes = (): number => VENDORS.reduce((sum, vendor) => sum + cpuSeconds(vendors[vendor].program.pid), 0);
  const before = sandboxes();
  const setup: WorkerSetup = {
    databaseUrl,
    mode: 'batch',
    limits: false,
    urls: Object.fromEntries(VENDORS.map((vendor) => [vendor, vendors[vendor].url])),
  };
  const program = await startProgram({
    args: ['bench/peer/alone.ts', JSON.stringify(setup)],
    ready: /cpuSeconds/,
    log: join(bench.folder, 'alone.log'),
  });
  bench.after(() => program.kill9());
  const said = JSON.parse(program.ready) as { seconds: Record<Vendor, number>; cpuSeconds: number };
  const each = 1e6 / count;
  return {
    perSecondAll: count / Math.max(...Object.values(said.seconds)),
    cpuUs: { sdks: said.cpuSeconds * each, sandboxes: (sandboxes() - before) * each },
  };
}
