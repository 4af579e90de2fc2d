/**
 * How the rig speaks. A line of kind `progress` replaces the one before it on a terminal; elsewhere only one every few
 * seconds is written, so that a log file stays readable. Any `(line: string) => void` will do as a `Say`.
 */
export type Say = (line: string, kind?: 'progress') => void;

/** Where lines go: `process.stdout` and `process.stderr` fit. */
export interface LineStream {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
  on?(event: 'error', listener: () => void): unknown;
}

/** Speaks to a terminal or a log. `now` (ms) is injected for tests. */
export function sayTo(stream: LineStream, everyMs = 3_000, now: () => number = Date.now): Say {
  // A terminal that was closed must not keep the rig from stopping in order.
  stream.on?.('error', () => {});
  let inPlace = false;
  let lastProgressAt = Number.NEGATIVE_INFINITY;
  return (line, kind) => {
    if (stream.isTTY === true) {
      const clear = inPlace ? '\r\x1b[K' : '';
      inPlace = kind === 'progress';
      // A line longer than the terminal would wrap, and '\r' then returns to the wrong row.
      stream.write(inPlace ? clear + line.slice(0, (stream.columns ?? 80) - 1) : `${clear}${line}\n`);
      return;
    }
    if (kind === 'progress') {
      if (now() - lastProgressAt < everyMs) return;
      lastProgressAt = now();
    }
    stream.write(`${line}\n`);
  };
}
