/** The configuration file as text with positions: where each value stands, for messages with line and column. */
import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Node } from 'yaml';

export type Path = readonly (string | number)[];
export interface Position {
  /** Both from 1. */
  line: number;
  column: number;
}

export interface Source {
  file: string;
  /** Plain values; undefined where the file is empty or is no YAML. */
  value: unknown;
  /** Where YAML itself is broken. */
  faults: { position: Position; message: string }[];
  /** Position of the value, or of the nearest thing around it that exists. */
  positionOf(path: Path): Position;
  /** Position of a key in the map at `path`. */
  positionOfKey(path: Path, key: string): Position;
}

/** Reads YAML 1.2 text; nothing throws, faults are listed. */
export function readSource(file: string, content: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false });
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const start: Position = { line: 1, column: 1 };

  const walk = (path: Path): Position => {
    let node: unknown = document.contents;
    let position = startOf(node) === null ? start : positionAt(startOf(node) ?? 0);
    for (const step of path) {
      const next: { key: unknown; value: unknown } | null = childOf(node, step);
      if (next === null) break;
      const offset: number | null = startOf(next.value) ?? startOf(next.key);
      if (offset !== null) position = positionAt(offset);
      node = next.value;
    }
    return position;
  };

  const faults = [...document.errors, ...document.warnings].map((fault) => ({
    position: positionAt(fault.pos[0]),
    message: fault.message,
  }));
  let value: unknown;
  try {
    value = document.toJS();
  } catch {
    // More aliases than a configuration needs: a 'billion laughs' file.
    faults.push({ position: start, message: 'too many aliases' });
  }
  return {
    file,
    value,
    faults,
    positionOf: walk,
    positionOfKey: (path, key) => {
      let node: unknown = document.contents;
      for (const step of path) node = childOf(node, step)?.value;
      const offset = startOf(childOf(node, key)?.key);
      return offset === null ? walk(path) : positionAt(offset);
    },
  };
}

function childOf(node: unknown, step: string | number): { key: unknown; value: unknown } | null {
  if (isMap(node)) {
    const pair = node.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
    );
    return pair === undefined ? null : { key: pair.key, value: pair.value };
  }
  if (isSeq(node)) return { key: null, value: node.items[Number(step)] };
  return null;
}

function startOf(node: unknown): number | null {
  return (node as Node | null | undefined)?.range?.[0] ?? null;
}
