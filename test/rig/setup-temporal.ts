/** Gives the files of vitest's `temporal` project the addresses of the run's PostgreSQL and Temporal. */
import type { TestProject } from 'vitest/node';
import './setup-pg.ts';
import { shareServer } from './shared-servers.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, temporal] = await Promise.all([shareServer('postgres'), shareServer('temporal')]);
  project.provide('postgresUrl', postgres.address);
  project.provide('temporalAddress', temporal.address);
  return async () => {
    await Promise.all([postgres.release(), temporal.release()]);
  };
}
