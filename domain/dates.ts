/** Dates as people and files write them: taken only where there is one reading. */
import { dayOf, isDayOnly, parseMoment } from './time.ts';

export type ReadDate =
  /** `day`: `YYYY-MM-DD`. `moment`: ISO 8601 in UTC, the day's start for a mere day. `stated`: a day stays a day, else the moment. */
  | { ok: true; ms: number; day: string; moment: string; stated: string }
  | { ok: false; code: 'impossible_date' | 'date_format' };

const EARLIEST = Date.UTC(1900, 0, 1);
const LATEST = Date.UTC(2200, 0, 1);

/**
 * Reads `YYYY-MM-DD` or an ISO 8601 moment with its offset. What cannot be a date in any reading (`2023-02-30`, `31/02/2025`) is
 * `impossible_date`; what may be one in another notation (`03/04/2025`) is `date_format`, never a guess between day and month.
 */
export function readDate(text: string): ReadDate {
  const typed = text.trim();
  const ms = parseMoment(typed);
  if (ms !== null) {
    if (ms < EARLIEST || ms >= LATEST) return { ok: false, code: 'impossible_date' };
    const [day, moment] = [dayOf(ms), new Date(ms).toISOString()];
    return { ok: true, ms, day, moment, stated: isDayOnly(typed) ? day : moment };
  }
  return { ok: false, code: isImpossible(typed) ? 'impossible_date' : 'date_format' };
}

function isImpossible(typed: string): boolean {
  const iso = /^\d{4}-\d{2}-\d{2}/.exec(typed);
  if (iso !== null) return parseMoment(iso[0]) === null;
  const other = /^(\d{1,2})[./-](\d{1,2})[./-](\d{4})$/.exec(typed);
  if (other === null) return false;
  const [first, second, year] = [pad(other[1]), pad(other[2]), other[3] ?? ''];
  return parseMoment(`${year}-${second}-${first}`) === null && parseMoment(`${year}-${first}-${second}`) === null;
}

function pad(part: string | undefined): string {
  return (part ?? '').padStart(2, '0');
}
