/** Every vendor: credentials, scopes and fields by the connector's own check, and the state of its lane. */
import { adviceFor } from '../../domain/advice.ts';
import type { Config } from '../../config/index.ts';
import type { Db } from '../../store/db.ts';
import type { Keyring } from '../../store/keyring.ts';
import { getSystem } from '../../store/systems.ts';
import type { SystemRow } from '../../store/systems.ts';
import { withRuntime } from '../with-runtime.ts';
import { look } from './finding.ts';
import type { Finding } from './finding.ts';

export async function looksAtSystems(config: Config, db: Db | null, keyring: Keyring | null): Promise<Finding[]> {
  const names = Object.keys(config.systems);
  if (db === null || keyring === null)
    return names.map((what) => ({
      state: 'fail',
      what,
      found: 'not asked: its budget and tokens are in the database',
      advice: 'Mend what is above first.',
    }));
  const found = await Promise.all(
    names.map(async (name) =>
      look(name, 'Its secret may be missing, or the database away.', async () => {
        const lane = await getSystem(db, name);
        const problems = await withRuntime({ config, db, keyring }, name, async ({ connector }, gate) =>
          connector
            .check(gate)
            // A token that the vendor took back before its time is renewed once.
            .catch((error: unknown) => {
              if (outcomeOf(error)?.code !== 'token_renewed') throw error;
              return connector.check(gate);
            })
            .catch((error: unknown) => [refused(error)]),
        );
        return [
          ...problems.map((advice): Finding => ({ state: 'fail', what: name, found: 'the vendor refuses', advice })),
          ...(problems.length === 0 ? [stateOf(name, lane)] : []),
        ];
      }),
    ),
  );
  return found.flat();
}

function outcomeOf(error: unknown): { kind: string; code?: string } | undefined {
  return (error as { outcome?: { kind: string; code?: string } }).outcome;
}

function refused(error: unknown): string {
  const outcome = outcomeOf(error);
  if (outcome?.kind === 'unauthorised')
    return `${outcome.code}: ${adviceFor(outcome.kind, outcome.code ?? null)} Then \`plumbline resume\`; no restart is needed.`;
  return outcome === undefined
    ? 'It cannot be asked now.'
    : `It answers ${outcome.kind} (${outcome.code ?? 'no code'}): try again, or see its status page.`;
}

function stateOf(what: string, lane: SystemRow | undefined): Finding {
  if (lane === undefined) {
    return { state: 'warn', what, found: 'never worked on', advice: 'A worker takes it up when it starts.' };
  }
  switch (lane.state) {
    case 'open':
      return { state: 'ok', what, found: 'credentials, scopes and fields are right; its lane is open' };
    case 'scanning':
      return {
        state: 'ok',
        what,
        found: 'credentials, scopes and fields are right; it is being read for the first time',
      };
    case 'paused':
    case 'guarded': {
      // A vendor's own answer may stand there; a code is one word.
      const code = /^[a-z_]+$/.exec(lane.lastError ?? '')?.[0] ?? null;
      const why = [lane.stateCode, code].filter((word) => word !== null);
      return {
        state: 'fail',
        what,
        found: `its lane is ${lane.state}${why.length === 0 ? '' : ` (${why.join(': ')})`}`,
        advice: `docs/runbooks/LaneNotOpen.md; then plumbline resume ${what}`,
      };
    }
  }
}
