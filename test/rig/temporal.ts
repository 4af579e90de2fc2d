/** Temporal for tests: a namespace for each file on the run's server, and a server that skips time. */
import { randomBytes } from 'node:crypto';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { inject } from 'vitest';
import { findTestServer } from '../../local/temporal-binary.ts';
import { searchAttributes, serverCacheDir } from '../../local/throwaway.ts';

/** `INDEXED_VALUE_TYPE_KEYWORD` of temporal.api.enums.v1. */
const keyword = 2;

/** Where a test file's workflows live; no other file's are there, so workflow ids need no prefix. */
export interface TestNamespace {
  address: string;
  namespace: string;
}

/** Makes a namespace with Plumbline's search attributes on the run's Temporal server. */
export async function createNamespace(address = inject('temporalAddress')): Promise<TestNamespace> {
  const namespace = `test-${randomBytes(6).toString('hex')}`;
  const connection = await Connection.connect({ address });
  try {
    const day = msToTs('1 day');
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: day });
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: keywords() });
  } finally {
    await connection.close();
  }
  return { address, namespace };
}

/**
 * Starts a server that skips time while workflows sleep: months pass in milliseconds. One for each test file, as skipping
 * is global to it. It knows no schedules and no listing of workflows. End it with `teardown()`.
 */
export async function createTimeSkipping(): Promise<TestWorkflowEnvironment> {
  const path = await findTestServer({ cacheDir: serverCacheDir(), say: (line) => process.stderr.write(`${line}\n`) });
  const environment = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path } },
  });
  // Unknown attributes would make every workflow start retry for ever, with only a warning.
  await environment.connection.operatorService.addSearchAttributes({
    namespace: 'default',
    searchAttributes: keywords(),
  });
  return environment;
}

function keywords(): Record<string, number> {
  return Object.fromEntries(Object.keys(searchAttributes).map((name) => [name, keyword]));
}
