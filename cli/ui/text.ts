/** What commands print: tables that fit 80 columns, colour only on a terminal. */
import { styleText } from 'node:util';

const WIDTH = 80;

type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green';

export function paint(style: Style, text: string): string {
  return process.stdout.isTTY ? styleText(style, text) : text;
}

export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;

/** A table; the widest columns are cut so that a line fits, but never one of ids: they are there to be copied. */
export function table(head: string[], lines: (string | number | null)[][]): void {
  const cells = lines.map((line) => line.map((cell) => (cell === null ? '–' : String(cell))));
  const widths = head.map((title, at) => Math.max(title.length, ...cells.map((line) => (line[at] ?? '').length)));
  const gaps = 2 * (head.length - 1);
  const whole = head.map((_title, at) => cells.some((line) => ID.test(line[at] ?? '')));
  while (widths.reduce((sum, w) => sum + w, 0) + gaps > WIDTH) {
    const cuttable = widths.map((width, at) => (whole[at] === true ? 0 : width));
    const widest = cuttable.indexOf(Math.max(...cuttable));
    if ((cuttable[widest] ?? 0) <= 6) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  const line = (row: string[]): string =>
    row
      .map((cell, at) => cut(cell, widths[at] ?? 0).padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  print(paint('bold', line(head)));
  for (const row of cells) print(line(row));
}

/** Minutes, hours or days of a number of seconds. */
export function duration(seconds: number | null): string {
  if (seconds === null) return '–';
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** Date and time to the second, UTC. */
export function moment(iso: string | null): string {
  return iso === null ? '–' : `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
}
