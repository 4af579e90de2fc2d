/**
 * The name of a test file says what it costs and which servers it gets:
 *   *.unit.test.ts      pure code            *.sandbox.test.ts   a sandbox of its own
 *   *.rig.test.ts       starts its own servers (the one-machine rig itself)
 *   *.pg.test.ts        the run's PostgreSQL  (`createDatabase` of test/rig/database.ts)
 *   *.temporal.test.ts, *.e2e.test.ts   PostgreSQL and Temporal (`createNamespace` of test/rig/temporal.ts)
 * Servers are started once a run, and only when a file that needs them is in it.
 */
import { defineConfig } from 'vitest/config';

const common = { pool: 'forks', environment: 'node', restoreMocks: true } as const;

export default defineConfig({
  test: {
    // Files that wait for servers and vendors gain little from more processes on a small machine, and time out with many.
    maxWorkers: 2,
    passWithNoTests: false,
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['test/**/*.unit.test.ts', 'test/**/*.sandbox.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          ...common,
          name: 'rig',
          include: ['test/**/*.rig.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          ...common,
          name: 'pg',
          include: ['test/**/*.pg.test.ts'],
          globalSetup: ['test/rig/setup-pg.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          ...common,
          name: 'temporal',
          include: ['test/**/*.temporal.test.ts', 'test/**/*.e2e.test.ts'],
          globalSetup: ['test/rig/setup-temporal.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
