/** Keeps the state in a file, so that it survives a restart and a kill. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const LEAST_MS = 300;

export interface DataFile {
  /** What the last process left, or undefined. */
  load(): unknown;
  /** Something changed: write soon. */
  touch(): void;
  /** Write now if anything is due. */
  flush(): void;
}

/** @param current gives what to write; called only at the time of writing. */
export function openDataFile(path: string, current: () => unknown): DataFile {
  let timer: NodeJS.Timeout | undefined;
  let lastTookMs = 0;

  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const started = performance.now();
    // Temporary file and rename: a kill in the middle leaves the previous state, never half a file.
    writeFileSync(`${path}.tmp`, JSON.stringify(current()));
    renameSync(`${path}.tmp`, path);
    lastTookMs = performance.now() - started;
  };

  return {
    load: () => {
      try {
        return JSON.parse(readFileSync(path, 'utf8')) as unknown;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    touch: () => {
      // Large states are written less often, so that writing never takes more than a tenth of the time.
      timer ??= setTimeout(write, Math.max(LEAST_MS, lastTookMs * 10));
    },
    flush: () => {
      if (timer !== undefined) write();
    },
  };
}
