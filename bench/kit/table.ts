/** Figures for a person: one line a value, nested names joined by dots. */
import type { Figures } from './part.ts';

export function tableOf(figures: Figures): string {
  const lines = flat(figures, []);
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

function flat(value: unknown, path: string[]): [string, string][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, inner]) => flat(inner, [...path, key]));
  }
  return [[path.join('.'), typeof value === 'string' ? value : JSON.stringify(value)]];
}
