/** Temporal: reachable, the namespace there, our search attributes registered, a worker that polls. */
import { connectClient } from '../../temporal/client.ts';
import { NO_CODEC } from '../../temporal/codec.ts';
import { CORE_QUEUE, caseAttribute, stateAttribute, systemAttribute } from '../../workflows/contracts/index.ts';
import { look } from './finding.ts';
import type { Finding } from './finding.ts';

const ATTRIBUTES = [systemAttribute, stateAttribute, caseAttribute].map(({ name }) => name);
/** `TASK_QUEUE_TYPE_WORKFLOW` of temporal.api.enums.v1. */
const WORKFLOW_QUEUE = 1;

export async function looksAtTemporal(): Promise<Finding[]> {
  return look('Temporal', 'Is it running, and is TEMPORAL_ADDRESS right?', async () => {
    // Nothing that is sealed is read here.
    const place = await connectClient(NO_CODEC);
    const { client, namespace } = place;
    try {
      const { serverVersion } = await client.workflowService.getSystemInfo({});
      const findings: Finding[] = [{ state: 'ok', what: 'Temporal', found: `server ${serverVersion}` }];
      const there = await client.workflowService.describeNamespace({ namespace }).then(
        () => true,
        () => false,
      );
      if (!there)
        return [
          ...findings,
          {
            state: 'fail',
            what: 'namespace',
            found: `${namespace} is not there`,
            advice: `temporal operator namespace create --namespace ${namespace}, or set TEMPORAL_NAMESPACE.`,
          },
        ];
      const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace });
      const missing = ATTRIBUTES.filter((name) => customAttributes?.[name] === undefined);
      findings.push(
        missing.length === 0
          ? { state: 'ok', what: 'namespace', found: `${namespace}, with our search attributes` }
          : {
              state: 'fail',
              what: 'namespace',
              found: `${namespace} lacks ${missing.join(', ')}`,
              advice: `temporal operator search-attribute create --namespace ${namespace} ${missing.map((m) => `--name ${m} --type Keyword`).join(' ')}`,
            },
      );
      const { pollers } = await client.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name: CORE_QUEUE },
        taskQueueType: WORKFLOW_QUEUE,
      });
      const workers = new Set((pollers ?? []).map(({ identity }) => identity)).size;
      findings.push(
        workers > 0
          ? { state: 'ok', what: 'workers', found: String(workers) }
          : { state: 'fail', what: 'workers', found: 'none polls', advice: 'Start one: plumbline worker' },
      );
      return findings;
    } finally {
      await place.close();
    }
  });
}
