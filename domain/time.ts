/** Dates and moments as text, without a clock and without the machine's time zone. All in UTC. */

const DAY = /^(\d{4})-(\d{2})-(\d{2})$/;
const MOMENT = /^(\d{4}-\d{2}-\d{2})[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/i;

export const DAY_MS = 86_400_000;
/** How far the clocks of two machines may differ before a statement counts as lying in the future. */
export const CLOCK_TOLERANCE_MS = 5 * 60_000;

/** Milliseconds of the day's start (UTC), or null where there is no such day (`2023-02-30`) or it is written in another way. */
export function parseDay(text: string): number | null {
  const match = DAY.exec(text);
  if (match === null) return null;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const date = new Date(Date.UTC(year, month - 1, day));
  // Date.UTC takes the years 0 to 99 for 1900 to 1999, and rolls impossible days over into the next month.
  const real = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return real ? date.getTime() : null;
}

/**
 * Milliseconds of an ISO 8601 moment with its offset, or of a day's start. Null for anything else: a time without an offset
 * would be read in the machine's own zone.
 */
export function parseMoment(text: string): number | null {
  const day = parseDay(text);
  if (day !== null) return day;
  const match = MOMENT.exec(text);
  if (match === null || parseDay(match[1] ?? '') === null) return null;
  const ms = Date.parse(text.replace(' ', 'T').toUpperCase());
  return Number.isNaN(ms) ? null : ms;
}

/** True for a date without a time of day. */
export function isDayOnly(text: string): boolean {
  return DAY.test(text);
}

/** `YYYY-MM-DD` in UTC. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Calendar months later, at the same time of day; the 31st becomes the last day of a shorter month. */
export function addMonths(ms: number, months: number): number {
  const from = new Date(ms);
  const firstOfMonth = Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + months, 1);
  const target = new Date(firstOfMonth);
  const lastDay = new Date(Date.UTC(target.getUTCFullYear(), target.getUTCMonth() + 1, 0)).getUTCDate();
  target.setUTCDate(Math.min(from.getUTCDate(), lastDay));
  return target.getTime() + (ms - Math.floor(ms / DAY_MS) * DAY_MS);
}
