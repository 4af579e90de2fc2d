/** Processor time of each process of an installation: what a throughput is made of, whatever else the machine does. */
import { VENDORS } from '../../local/vendor-programs.ts';
import { cpuSeconds } from './cpu.ts';
import { rounded } from './figures.ts';
import type { Installation } from './installation.ts';
import type { Bench } from './part.ts';

/** Process → seconds of processor time up to now. */
export async function busySeconds(bench: Bench, installation: Installation): Promise<Record<string, number>> {
  const { vendors } = installation;
  return {
    worker: cpuSeconds(installation.worker().pid),
    postgres: cpuSeconds(await bench.postgresPid()),
    ...Object.fromEntries(VENDORS.map((vendor) => [vendor, cpuSeconds(vendors[vendor].program.pid)])),
  };
}

/** Process → microseconds between two readings for each of `count` pieces of work. */
export function microsecondsEach(
  before: Record<string, number>,
  after: Record<string, number>,
  count: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([name, s]) => [name, rounded(((s - (before[name] ?? 0)) * 1e6) / count)]),
  );
}
