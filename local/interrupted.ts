/** Ctrl-C at a program that starts servers to measure or to break them: they are ended in order, as at the end of the run. */
import { onStopSignals } from './stop-signals.ts';

/** Of a program that a signal ended. */
const EXIT_CODE = 130;

class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

/**
 * Waits for a run, or for the first signal.
 * @throws at a signal, for `exitCodeOf`: what the caller has to end, it ends then. A second signal ends the process at once.
 */
export async function unlessInterrupted<T>(say: (line: string) => void, run: () => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  let isInterrupted = false;
  const release = onStopSignals(say, {
    first: () => {
      isInterrupted = true;
      // Whatever the run was waiting for is taken from under it now.
      process.on('unhandledRejection', () => undefined);
      reject(new Interrupted());
    },
    again: () => process.exit(EXIT_CODE),
  });
  try {
    return await Promise.race([run(), promise]);
  } finally {
    // After a signal they stay until all is ended.
    if (!isInterrupted) release();
  }
}

/** The exit code of a program that may be interrupted. */
export async function exitCodeOf(main: () => Promise<number>): Promise<number> {
  try {
    return await main();
  } catch (error) {
    if (error instanceof Interrupted) return EXIT_CODE;
    throw error;
  }
}
