import { Client, Connection } from '@temporalio/client';
import { expect, test } from 'vitest';
import { createNamespace, createTimeSkipping } from '../temporal.ts';

test('a workflow started in one namespace is not in another, and our search attributes are known', async () => {
  const [one, two] = [await createNamespace(), await createNamespace()];
  const connection = await Connection.connect({ address: one.address });
  try {
    const client = new Client({ connection, namespace: one.namespace });
    await client.workflow.start('anything', {
      taskQueue: 'nobody',
      workflowId: 'w',
      searchAttributes: { PlumblineSystem: ['a'], PlumblineState: ['b'], PlumblineCase: ['c'] },
    });
    const other = new Client({ connection, namespace: two.namespace });
    expect((await client.workflow.getHandle('w').describe()).status.name).toBe('RUNNING');
    await expect(other.workflow.getHandle('w').describe()).rejects.toThrow('not found');
  } finally {
    await connection.close();
  }
});

test('the time-skipping server passes a year in a moment', async () => {
  const environment = await createTimeSkipping();
  try {
    const before = await environment.currentTimeMs();
    await environment.sleep('365 days');
    expect((await environment.currentTimeMs()) - before).toBeGreaterThanOrEqual(365 * 86_400_000);
  } finally {
    await environment.teardown();
  }
});
