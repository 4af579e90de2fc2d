/** Ctrl-C at a program that holds servers. Each server is in a process group of its own and hears nothing of it. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** One Ctrl-C arrives twice: from the terminal, and once more from npm. */
const SAME_KEY_MS = 700;

/**
 * Says so and calls `first` at the first signal, `again` at each later one that is another key press.
 * @returns a function that takes the handlers away
 */
export function onStopSignals(
  say: (line: string) => void,
  { first, again }: { first: () => void; again: () => void },
): () => void {
  let firstAt: number | undefined;
  const onSignal = (): void => {
    if (firstAt === undefined) {
      firstAt = Date.now();
      say('Stopping everything in order (Ctrl-C again: at once) …');
      first();
    } else if (Date.now() - firstAt > SAME_KEY_MS) again();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return () => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
}
