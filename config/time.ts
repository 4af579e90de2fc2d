/** Time zones and cron expressions as Temporal's schedules read them. */

/** True for an IANA time zone; offsets such as `+01:00` know no summer time and are refused. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

const FIELDS = [
  { low: 0, high: 59, names: [] },
  { low: 0, high: 23, names: [] },
  { low: 1, high: 31, names: [] },
  { low: 1, high: 12, names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] },
  { low: 0, high: 7, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
] as const;

/** True for the classic five fields: `*`, numbers, names, ranges, lists and steps. */
export function isCron(text: string): boolean {
  const parts = text.trim().split(/\s+/);
  return (
    parts.length === FIELDS.length &&
    FIELDS.every((field, index) => parts[index]?.split(',').every((item) => isCronItem(item, field)) === true)
  );
}

function isCronItem(item: string, field: (typeof FIELDS)[number]): boolean {
  const [range = '', step, ...more] = item.split('/');
  if (more.length > 0 || (step !== undefined && !/^[1-9]\d?$/.test(step))) return false;
  if (range === '*') return true;
  const ends = range.split('-').map((end) => cronNumber(end, field));
  const [first = -1, last = first] = ends;
  return ends.length <= 2 && ends.every((end) => end >= field.low && end <= field.high) && first <= last;
}

function cronNumber(text: string, field: (typeof FIELDS)[number]): number {
  const name = (field.names as readonly string[]).indexOf(text.toLowerCase());
  if (name >= 0) return name + field.low;
  return /^\d{1,2}$/.test(text) ? Number(text) : -1;
}
