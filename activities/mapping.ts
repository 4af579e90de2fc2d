/**
 * A changed mapping: what it would change is counted first, with samples; small changes are applied at once at bulk priority,
 * larger ones wait for an operator (`plumbline plan --apply`).
 */
import type { ContactId } from '../domain/contact.ts';
import { appendAudit } from '../store/audit.ts';
import { knownStatements } from '../store/consents.ts';
import { rows } from '../store/db.ts';
import { loadForDelivery } from '../store/load.ts';
import { markContacts } from '../store/marks.ts';
import { noteError, putRules } from '../store/systems.ts';
import type { Deps } from './deps.ts';
import { runtimeOf } from './deps.ts';
import { planOne } from './planning.ts';

const PAGE = 1_000;
const SAMPLES = 5;

export interface MappingPlan {
  system: string;
  looked: number;
  /** Contacts for which the system would be changed. */
  wouldChange: number;
  /** Some of them, by opaque id. */
  samples: ContactId[];
  /** True where it is more than the brake allows without a person's word. */
  braked: boolean;
}

type LedgerKey = { contact_id: ContactId };

async function page(deps: Deps, system: string, after: string | null): Promise<ContactId[]> {
  const found = await rows<LedgerKey>(
    deps.db,
    `select contact_id from deliveries where system = ? and (?::uuid is null or contact_id > ?::uuid) order by contact_id limit ?`,
    [system, after, after, PAGE],
  );
  return found.map((f) => f.contact_id);
}

/** Projects everybody by the rules of this programme's configuration and compares with what was last read back. */
export async function planMapping(deps: Deps, system: string): Promise<MappingPlan> {
  const runtime = runtimeOf(deps, system);
  const statements = await knownStatements(deps.db);
  const plan: MappingPlan = { system, looked: 0, wouldChange: 0, samples: [], braked: false };
  let after: string | null = null;
  for (;;) {
    const ids = await page(deps, system, after);
    for (const loaded of await loadForDelivery(deps.db, deps.keyring, system, ids)) {
      plan.looked += 1;
      if (loaded.ledger.verifiedAt === null) continue;
      const { parts } = planOne(loaded, runtime.rules, deps.purposes, statements);
      if (!parts.data && !parts.consent) continue;
      plan.wouldChange += 1;
      if (plan.samples.length < SAMPLES) plan.samples.push(loaded.contact.id);
    }
    after = ids.at(-1) ?? null;
    if (ids.length < PAGE) break;
  }
  plan.braked = plan.wouldChange > Math.max(deps.brake.minimum, plan.looked * deps.brake.maxShare);
  return plan;
}

/** Puts the rules in force and marks everybody due at bulk priority; what is unchanged settles without a call. */
export async function applyMapping(deps: Deps, system: string, actor: string): Promise<number> {
  const runtime = runtimeOf(deps, system);
  await putRules(deps.db, runtime.rules, runtime.rulesHash);
  await appendAudit(deps.db, {
    kind: 'mapping.applied',
    actor,
    door: 'operator',
    system,
    detail: { rules: runtime.rulesHash },
  });
  let after: string | null = null;
  let marked = 0;
  for (;;) {
    const ids = await page(deps, system, after);
    const done = await markContacts(deps.db, system, ids, { priority: 30 });
    marked += done.length;
    after = ids.at(-1) ?? null;
    if (ids.length < PAGE) return marked;
  }
}

/**
 * At a worker's start: applies small changes of the mapping.
 * @returns systems for which the brake holds: the rules in the database stay in force there
 */
export async function applyChangedRules(deps: Deps, systems: string[]): Promise<string[]> {
  const braked: string[] = [];
  for (const system of systems) {
    const plan = await planMapping(deps, system);
    if (!plan.braked) {
      await applyMapping(deps, system, 'worker');
      continue;
    }
    braked.push(system);
    const sentence = `The mapping changed: ${plan.wouldChange} of ${plan.looked} contacts would change. See \`plumbline plan ${system}\`, then apply it.`;
    await noteError(deps.db, system, sentence);
    deps.log.warn(
      { system, wouldChange: plan.wouldChange, looked: plan.looked },
      'A changed mapping waits for an operator',
    );
  }
  return braked;
}
