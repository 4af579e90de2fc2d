/**
 * Ctrl-C at a program that starts servers to measure or to break them. Each server is in a process group of its own and hears nothing of
 * it, so they are ended in order, as at the end of the run.
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** One Ctrl-C arrives twice: from the terminal, and once more from npm. */
const SAME_KEY_MS = 700;
/** Of a program that a signal ended. */
const EXIT_CODE = 130;

export class Interrupted extends Error {
  readonly exitCode = EXIT_CODE;
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

/**
 * Waits for a run, or for the first signal.
 * @throws Interrupted at a signal: what the caller has to end, it ends then. A second signal ends the process at once.
 */
export async function unlessInterrupted<T>(say: (line: string) => void, run: () => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  let firstAt: number | null = null;
  const onSignal = (): void => {
    if (firstAt === null) {
      firstAt = Date.now();
      say('Stopping everything in order (Ctrl-C again: at once) …');
      // Whatever the run was waiting for is taken from under it now.
      process.on('unhandledRejection', () => undefined);
      reject(new Interrupted());
    } else if (Date.now() - firstAt > SAME_KEY_MS) process.exit(EXIT_CODE);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await Promise.race([run(), promise]);
  } finally {
    // After a signal they stay until all is ended.
    if (firstAt === null) for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
