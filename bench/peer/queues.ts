/** The queues of pg-boss: one a vendor, in a table of its own each. */
import { PgBoss } from 'pg-boss';
import { VENDORS } from '../../local/vendor-programs.ts';

export async function openBoss(connectionString: string, max: number): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString, max, application_name: 'peer', schedule: false });
  boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
  await boss.start();
  return boss;
}

export async function createQueues(boss: PgBoss): Promise<void> {
  for (const vendor of VENDORS) {
    await boss.createQueue(vendor, { partition: true, retryLimit: 5, retryDelay: 1, retryBackoff: true });
  }
}
