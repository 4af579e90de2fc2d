/** Wakes within one process: a NOTIFY reaches the drain that runs here without a detour through the server. */

export interface Wakes {
  /** Marks a drain as running here. */
  open(system: string): Wake;
  /** @returns false when no drain of the system runs here */
  notify(system: string): boolean;
}

export interface Wake {
  /** Resolves at the next wake, or at once if one came since the last call; at the latest after `ms`. True: it was a wake. */
  wait(ms: number): Promise<boolean>;
  ring(): void;
  close(): void;
}

function createWake(onClose: () => void): Wake {
  let rung = false;
  let waiter: (() => void) | null = null;
  return {
    ring() {
      rung = true;
      waiter?.();
    },
    async wait(ms) {
      if (!rung && ms > 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(done, ms);
          function done(): void {
            clearTimeout(timer);
            // A wait that was given up must not take the place of a later one.
            if (waiter === done) waiter = null;
            resolve();
          }
          waiter = done;
        });
      }
      const was = rung;
      rung = false;
      return was;
    },
    close: onClose,
  };
}

export function createWakes(): Wakes {
  const open = new Map<string, Set<Wake>>();
  return {
    open(system) {
      const wake = createWake(() => {
        open.get(system)?.delete(wake);
      });
      const set = open.get(system) ?? new Set<Wake>();
      set.add(wake);
      open.set(system, set);
      return wake;
    },
    notify(system) {
      const set = open.get(system);
      if (set === undefined || set.size === 0) return false;
      for (const wake of set) wake.ring();
      return true;
    },
  };
}
