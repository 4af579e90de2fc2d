/**
 * Cuts a CSV stream into records by its quotation marks (RFC 4180), before it is parsed: a record with a broken one is taken out and
 * reported with its line, and reading goes on with the next line. A parser alone would swallow the rest of the file.
 */

/** A quoted field may hold line breaks; a record longer than this has lost its closing mark. */
const MAX_RECORD_LINES = 50;
const MAX_LINE_LENGTH = 1_000_000;

export interface BrokenLine {
  /** From 1. */
  line: number;
  code: 'broken_quotes' | 'line_too_long';
}

/**
 * Passes the text on in well-formed pieces; in place of a broken line goes an empty one, so that later line numbers stay true.
 * @param lines without their ends, in order
 */
export async function* frameRecords(
  lines: AsyncIterable<string>,
  delimiter: string,
  onBroken: (broken: BrokenLine) => void,
): AsyncGenerator<string> {
  let number = 0;
  let open: string[] = [];
  let inQuotes = false;
  let out = '';

  const take = (line: string): void => {
    // Lines to look at: more than this one only after a broken record, whose other lines are looked at again, each by itself.
    const queue = [line];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      number += 1;
      if (next.length > MAX_LINE_LENGTH && !inQuotes) {
        onBroken({ line: number, code: 'line_too_long' });
        out += '\n';
        continue;
      }
      const state = scan(next, delimiter, inQuotes);
      open.push(next);
      if (state === 'broken' || (state === 'quoted' && open.length >= MAX_RECORD_LINES)) giveUp(queue);
      else if (state === 'quoted') inQuotes = true;
      else {
        out += `${open.join('\n')}\n`;
        open = [];
        inQuotes = false;
      }
    }
  };
  const giveUp = (queue: string[]): void => {
    number -= open.length - 1;
    onBroken({ line: number, code: 'broken_quotes' });
    out += '\n';
    queue.unshift(...open.slice(1));
    open = [];
    inQuotes = false;
  };

  for await (const line of lines) {
    take(line);
    if (out.length < 65_536) continue;
    yield out;
    out = '';
  }
  // The file ends within quotes: the line that opened them is broken, those after it are looked at again.
  while (open.length > 0) {
    const queue: string[] = [];
    giveUp(queue);
    for (const line of queue) take(line);
  }
  if (out !== '') yield out;
}

type LineEnd = 'complete' | 'quoted' | 'broken';

function scan(line: string, delimiter: string, inQuotes: boolean): LineEnd {
  if (!line.includes('"')) return inQuotes ? 'quoted' : 'complete';
  let at: 'start' | 'plain' | 'quoted' | 'closed' = inQuotes ? 'quoted' : 'start';
  for (const character of line) {
    switch (at) {
      case 'start':
        at = character === '"' ? 'quoted' : character === delimiter ? 'start' : 'plain';
        break;
      case 'plain':
        if (character === '"') return 'broken';
        if (character === delimiter) at = 'start';
        break;
      case 'quoted':
        if (character === '"') at = 'closed';
        break;
      case 'closed':
        if (character === '"') at = 'quoted';
        else if (character === delimiter) at = 'start';
        else return 'broken';
        break;
    }
  }
  return at === 'quoted' ? 'quoted' : 'complete';
}
