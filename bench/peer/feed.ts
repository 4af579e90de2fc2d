/** Carries one queue of pg-boss to a vendor: jobs fetched ahead and completed in bulk, so that the queue is never what is waited for. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { PgBoss } from 'pg-boss';
import { load } from './contacts.ts';
import type { PeerContact } from './contacts.ts';
import type { Delivery } from './delivery.ts';

/** What a job carries: the contact is read when the job runs, so that it is the newest. */
export interface JobData {
  ref: string;
}

interface Unit {
  jobId: string;
  contact: PeerContact;
}

const POLL_MS = 50;
const FLUSH_MS = 100;
const FETCH_MIN = 200;

/** Never ends; rejects when the database fails. */
export async function feed(boss: PgBoss, pool: Pool, queue: string, delivery: Delivery): Promise<void> {
  const { lanes, size } = delivery;
  const ahead = Math.max(FETCH_MIN, lanes * size);
  const buffer: Unit[] = [];
  let fetching: Promise<void> | undefined;
  let verified: string[] = [];
  let failed: string[] = [];

  async function fetchMore(): Promise<void> {
    const jobs = await boss.fetch<JobData>(queue, { batchSize: ahead });
    if (jobs.length === 0) return sleep(POLL_MS);
    const contacts = await load(
      pool,
      jobs.map(({ data }) => data.ref),
    );
    for (const { id, data } of jobs) {
      const contact = contacts.get(data.ref);
      // A contact that is gone leaves nothing to do.
      if (contact === undefined) verified.push(id);
      else buffer.push({ jobId: id, contact });
    }
  }

  /** Fetches in the background, also while the lanes are at work. */
  function topUp(): void {
    if (buffer.length >= ahead) return;
    fetching ??= fetchMore().finally(() => {
      fetching = undefined;
    });
  }

  async function take(): Promise<Unit[]> {
    for (;;) {
      topUp();
      const before = buffer.length;
      // Less than a whole unit goes only when nothing more came.
      if (before < size) await fetching;
      if (buffer.length >= size || (buffer.length > 0 && buffer.length === before)) {
        const units = buffer.splice(0, size);
        topUp();
        return units;
      }
    }
  }

  async function lane(): Promise<never> {
    for (;;) {
      const units = await take();
      const held = await delivery.deliver(units.map(({ contact }) => contact)).catch((error: unknown) => {
        process.stderr.write(`${queue}: ${describe(error)}\n`);
        return new Set<string>();
      });
      for (const { jobId, contact } of units) (held.has(contact.ref) ? verified : failed).push(jobId);
    }
  }

  async function flush(): Promise<never> {
    for (;;) {
      await sleep(FLUSH_MS);
      const [done, again] = [verified, failed];
      verified = [];
      failed = [];
      if (done.length > 0) await boss.complete(queue, done);
      // pg-boss tries them again after the queue's delay.
      if (again.length > 0) await boss.fail(queue, again);
    }
  }

  await Promise.all([flush(), ...Array.from({ length: lanes }, lane)]);
}

/** Xero's SDK rejects with text, the others with errors that carry the answer. */
function describe(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error as string);
  return text.slice(0, 300).replaceAll('\n', ' ');
}
