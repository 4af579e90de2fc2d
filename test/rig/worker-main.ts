/** The worker as a process of its own, to be killed. */
import { runWorker } from '../../worker.ts';

await runWorker(() => process.stdout.write('worker ready\n'));
