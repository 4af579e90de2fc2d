/** Moments as text. A busy sandbox shows the same few of them again and again, and making the text costs more than looking it up. */

const KEPT = 5_000;
const known = new Map<number, string>();

/** ISO 8601 in UTC, with milliseconds. */
export function isoOf(ms: number): string {
  let text = known.get(ms);
  if (text === undefined) {
    if (known.size >= KEPT) known.clear();
    known.set(ms, (text = new Date(ms).toISOString()));
  }
  return text;
}
