/** The exact wordings shown to people, versioned by id: evidence of consent points to them (GDPR Art. 7(1), 7(2)). */
import { createHash } from 'node:crypto';
import { knownStatements } from './consents.ts';
import { rows } from './db.ts';
import type { Db } from './db.ts';

/**
 * Stores the configured wordings. A wording under an id never changes: evidence points to what was really shown.
 * @throws Error naming the ids whose wording differs from the stored one
 */
export async function putStatements(
  db: Db,
  statements: { id: string; purpose: string; wording: string }[],
): Promise<void> {
  const hashed = statements.map((s) => ({ ...s, hash: createHash('sha256').update(s.wording, 'utf8').digest('hex') }));
  await rows(
    db,
    `insert into statements (id, purpose, wording, hash) select * from unnest(?::text[], ?::text[], ?::text[], ?::text[])
     on conflict (id) do nothing`,
    [hashed.map((s) => s.id), hashed.map((s) => s.purpose), hashed.map((s) => s.wording), hashed.map((s) => s.hash)],
  );
  const changed = await rows<{ id: string }>(
    db,
    `select s.id from statements s join unnest(?::text[], ?::text[]) as now (id, hash) using (id) where s.hash <> now.hash order by id`,
    [hashed.map((s) => s.id), hashed.map((s) => s.hash)],
  );
  if (changed.length > 0) {
    throw new Error(
      `The wording of ${changed.map((c) => c.id).join(', ')} differs from what was shown under that id. Give the new wording a new id.`,
    );
  }
}

/** The ids of the wordings on file, kept in memory: they are only ever added to, so an unknown one is asked for again. */
export class KnownStatements {
  readonly #db: Db;
  #known: ReadonlySet<string> = new Set();

  constructor(db: Db) {
    this.#db = db;
  }

  /** All that is needed to judge these events. */
  async of(events: readonly { statement: string | null }[]): Promise<ReadonlySet<string>> {
    if (events.some(({ statement }) => statement !== null && !this.#known.has(statement))) {
      this.#known = await knownStatements(this.#db);
    }
    return this.#known;
  }
}
