/** Reads a CSV file as a stream: encoding, delimiter, line ends and header found out, each record with the line it starts on. */
import { pipeline, Readable } from 'node:stream';
import { parse } from 'csv-parse';
import { frameRecords } from './frame.ts';
import type { BrokenLine } from './frame.ts';

/** The file cannot be imported at all; the message is for the person who made it and names columns only, never values. */
export class FileProblem extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FileProblem';
  }
}

export interface CsvRecord {
  /** On which the record starts, from 1. */
  line: number;
  cells: string[];
}

/**
 * Header and records of a file; empty lines are skipped. UTF-8 with or without BOM, LF, CRLF or CR; comma, semicolon or tab.
 * @param onBroken told of each line that had to be left out; reading goes on after it
 * @throws FileProblem for an empty file or one in UTF-16
 */
export async function* readCsv(
  input: AsyncIterable<Uint8Array | string>,
  onBroken: (broken: BrokenLine) => void,
): AsyncGenerator<CsvRecord> {
  const text = new TextPeek(decoded(input));
  const head = await text.peekLine();
  if (head.trim() === '')
    throw new FileProblem('The file is empty, or its first line is: a header with column names is expected there.');
  const delimiter = delimiterOf(head);
  const parser = parse({
    delimiter,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    record_delimiter: '\n',
  });
  pipeline(Readable.from(frameRecords(text.lines(), delimiter, onBroken)), parser, () => {
    // A failure destroys the parser with the error; the loop below throws it.
  });
  for await (const parsed of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
    const inside = parsed.record.reduce((sum, cell) => sum + cell.split('\n').length - 1, 0);
    yield { line: parsed.info.lines - inside, cells: parsed.record };
  }
}

/** What is not UTF-8 becomes U+FFFD, by which the row is recognised later. */
async function* decoded(input: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let isFirst = true;
  for await (const chunk of input) {
    if (typeof chunk === 'string') {
      yield isFirst ? chunk.replace(/^\uFEFF/, '') : chunk;
    } else {
      if (isFirst && isUtf16(chunk))
        throw new FileProblem('The file is in UTF-16. Save it as CSV in UTF-8 and import that.');
      yield decoder.decode(chunk, { stream: true });
    }
    isFirst = false;
  }
  yield decoder.decode();
}

function isUtf16(chunk: Uint8Array): boolean {
  return (chunk[0] === 0xff && chunk[1] === 0xfe) || (chunk[0] === 0xfe && chunk[1] === 0xff);
}

/** The one of comma, semicolon and tab that the header has most of. */
function delimiterOf(head: string): string {
  const counts = [',', ';', '\t'].map((candidate) => ({ candidate, count: head.split(candidate).length }));
  return counts.toSorted((a, b) => b.count - a.count)[0]?.candidate ?? ',';
}

/** Text as lines, with a look at the first one before they are taken. */
class TextPeek {
  readonly #chunks: AsyncIterator<string>;
  #rest = '';
  #isDone = false;

  constructor(chunks: AsyncIterable<string>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async peekLine(): Promise<string> {
    while (!this.#isDone && !/[\r\n]/.test(this.#rest)) await this.#pull();
    return this.#rest.split(/[\r\n]/, 1)[0] ?? '';
  }

  async *lines(): AsyncGenerator<string> {
    // A file of an old Macintosh has CR alone; elsewhere a CR before the LF belongs to the line's end.
    while (!this.#isDone && !this.#rest.includes('\n') && this.#rest.length < 65_536) await this.#pull();
    const separator = this.#rest.includes('\n') ? '\n' : '\r';
    for (;;) {
      const lines = this.#rest.split(separator);
      this.#rest = lines.pop() ?? '';
      for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
      if (this.#isDone) break;
      await this.#pull();
    }
    if (this.#rest !== '') yield this.#rest.endsWith('\r') ? this.#rest.slice(0, -1) : this.#rest;
  }

  async #pull(): Promise<void> {
    const { value, done } = await this.#chunks.next();
    if (done === true) this.#isDone = true;
    else this.#rest += value;
  }
}
