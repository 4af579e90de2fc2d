/** Gives the files of vitest's `pg` project the address of the run's PostgreSQL. */
import type { TestProject } from 'vitest/node';
import { shareServer } from './shared-servers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresUrl: string;
    temporalAddress: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await shareServer('postgres');
  project.provide('postgresUrl', postgres.address);
  return postgres.release;
}
