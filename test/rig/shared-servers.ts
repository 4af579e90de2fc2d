/**
 * Two vitest projects may want the same server in one run. Each loads its set-up file apart, as modules of its own, so
 * what is already running is kept where both can see it.
 */
import { sayTo } from '../../local/say.ts';
import { startThrowawayPostgres, startThrowawayTemporal } from '../../local/throwaway.ts';
import type { ThrowawayServer } from '../../local/throwaway.ts';

interface Shared {
  users: number;
  server: Promise<ThrowawayServer>;
}

const key = Symbol.for('plumbline.test.servers');
const running = ((globalThis as Record<symbol, unknown>)[key] ??= new Map<string, Shared>()) as Map<string, Shared>;
const starters = { postgres: startThrowawayPostgres, temporal: startThrowawayTemporal } as const;

/** The address of the run's server of that kind, and how to let go of it: it stops when its last user has. */
export async function shareServer(
  kind: keyof typeof starters,
): Promise<{ address: string; release: () => Promise<void> }> {
  const shared = running.get(kind) ?? { users: 0, server: starters[kind](sayTo(process.stderr)) };
  running.set(kind, shared);
  shared.users += 1;
  const server = await shared.server;
  return {
    address: server.address,
    release: async () => {
      shared.users -= 1;
      if (shared.users > 0) return;
      running.delete(kind);
      await server.stop();
    },
  };
}
