/** What the files of the vendors have in common. */
import type { PeerContact } from './contacts.ts';
import type { Pace } from './pace.ts';

export type Mode = 'one' | 'batch';

/** How one vendor is written to and read. */
export interface Delivery {
  /** Units of work at a time. */
  lanes: number;
  /** Contacts in a unit, at most. */
  size: number;
  /** Writes these contacts and reads them back; gives the references of those that hold what was written. */
  deliver(contacts: readonly PeerContact[]): Promise<Set<string>>;
}

export interface Setup {
  url: string;
  mode: Mode;
  pace: Pace;
}

/** True when every value that was written reads the same. */
export function holds(written: object, read: object | null | undefined): boolean {
  const values = (read ?? {}) as Record<string, unknown>;
  return Object.entries(written).every(([name, value]) => values[name] === value);
}

export function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, at) => list.slice(at * size, (at + 1) * size));
}
