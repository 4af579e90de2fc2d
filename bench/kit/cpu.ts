/** Processor time of processes and their children (Linux): what a throughput is made of, whatever else the machine does. */
import { readdirSync, readFileSync } from 'node:fs';

/** proc(5) counts in clock ticks, of which Linux gives user space 100 a second. */
const TICKS = 100;

interface Stat {
  parent: number;
  /** Of itself and of children it has waited for. */
  seconds: number;
}

function statOf(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold anything; the numbers come after it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
    return { parent: Number(fields[1]), seconds: ticks / TICKS };
  } catch {
    return null;
  }
}

/** Seconds of processor time of a process and of all that it started; 0 where the system does not say. */
export function cpuSeconds(pid: number): number {
  const all = new Map<number, Stat>();
  try {
    for (const name of readdirSync('/proc')) {
      const stat = /^\d+$/.test(name) ? statOf(Number(name)) : null;
      if (stat !== null) all.set(Number(name), stat);
    }
  } catch {
    return 0;
  }
  const below = (parent: number): number =>
    [...all].reduce((sum, [child, stat]) => sum + (stat.parent === parent ? stat.seconds + below(child) : 0), 0);
  return (all.get(pid)?.seconds ?? 0) + below(pid);
}
