/**
 * A full disk for one server: the kernel refuses its processes every write to a file (RLIMIT_FSIZE of setrlimit(2), set from outside by
 * prlimit(1) of util-linux). PostgreSQL cannot write its log then either way, and stops: what a full volume does to it.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whether this machine can do it: Linux with util-linux. */
export async function canFillDisk(): Promise<boolean> {
  return run('prlimit', ['--version']).then(
    () => true,
    () => false,
  );
}

/** The process and its children: of a server that forks, those that serve. */
function family(pid: number): number[] {
  const children = readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      // Field 4 of proc(5) stat; the name before it may hold spaces and brackets.
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
    } catch {
      return false;
    }
  });
  return [pid, ...children.map(Number)];
}

/** Lets the server's processes write no byte more, or again as many as they like. Processes that ended meanwhile are left out. */
export async function limitWrites(pid: number, full: boolean): Promise<void> {
  const limit = full ? '0:unlimited' : 'unlimited:unlimited';
  // The parent first: what it starts meanwhile inherits from it.
  for (const one of family(pid)) {
    try {
      // Under its own user: another's, root's too, may lack the right.
      const { uid, gid } = statSync(`/proc/${one}`);
      await run('prlimit', ['--pid', String(one), `--fsize=${limit}`], { uid, gid });
    } catch {
      continue;
    }
  }
}
