/** CSV that a spreadsheet opens without running anything (RFC 4180; OWASP 'CSV Injection'). */

/** What spreadsheets take for the start of a formula, full-width forms included, or for a break out of the cell. */
const RISKY_START = /^[=+\-@\t\r\n|%\uFF1D\uFF0B\uFF0D\uFF20]/u;

/** One cell; null is empty. An apostrophe before a risky start makes it text. */
export function csvCell(value: string | number | null): string {
  if (value === null) return '';
  const text = typeof value === 'number' ? String(value) : RISKY_START.test(value) ? `'${value}` : value;
  return /[",\r\n;']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvLine(cells: readonly (string | number | null)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}
