/**
 * The file of rejected rows: where, why, and the row itself, so that it can be corrected and imported again. It holds personal data:
 * readable by its owner only (mode 0600), made with the first reject, and to be deleted when it has been worked through.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { WriteStream } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { REJECT_COLUMNS } from './header.ts';

export interface Reject {
  line: number;
  /** One entry a reason; an empty column means the whole row. */
  reasons: { column: string; code: string; sentence: string }[];
  /** The row as it stands in the file; left out where it must not be kept. */
  cells: readonly string[];
}

export interface RejectsWriter {
  write(reject: Reject): Promise<void>;
  /** Waits until all is on the disk. */
  close(): Promise<void>;
}

/** A writer that opens its file with the first reject; an older file of that name is removed at the start. */
export async function rejectsWriter(path: string | null, names: readonly string[]): Promise<RejectsWriter> {
  if (path === null) return { write: () => Promise.resolve(), close: () => Promise.resolve() };
  await rm(path, { force: true });
  let failure: Error | null = null;
  const open = async (): Promise<WriteStream> => {
    const stream = createWriteStream(path, { mode: 0o600, flags: 'wx' });
    stream.on('error', (error) => {
      failure = error;
    });
    await once(stream, 'open');
    // The mode of `open` is narrowed by the umask, never widened; this one is exact.
    await chmod(path, 0o600);
    stream.write(line([...REJECT_COLUMNS, ...names.filter((name) => !isRejectColumn(name))]));
    return stream;
  };
  // Two writers may come with the first reject at once: both wait for the one opening.
  let opening: Promise<WriteStream> | null = null;
  const put = async (cells: readonly string[]): Promise<void> => {
    const stream = await (opening ??= open());
    if (!stream.write(line(cells))) await once(stream, 'drain');
    if (failure !== null) throw failure;
  };
  return {
    write: ({ line: number, reasons, cells }) =>
      put([
        String(number),
        reasons.map((reason) => reason.column).join('; '),
        reasons.map((reason) => reason.code).join('; '),
        reasons.map((reason) => reason.sentence).join(' '),
        ...fitted(cells, names.length).filter((_, index) => !isRejectColumn(names[index] ?? '')),
      ]),
    close: async () => {
      if (opening === null) return;
      const stream = await opening;
      stream.end();
      if (!stream.closed) await once(stream, 'close');
      if (failure !== null) throw failure;
    },
  };
}

/** As many cells as the header has, so that the file can be read; what is too many stands together in the last one. */
function fitted(cells: readonly string[], length: number): string[] {
  const fit = Array.from({ length }, (_, index) => cells[index] ?? '');
  if (cells.length > length && length > 0) fit[length - 1] = cells.slice(length - 1).join(',');
  return fit;
}

function isRejectColumn(name: string): boolean {
  return (REJECT_COLUMNS as readonly string[]).includes(name);
}

function line(cells: readonly string[]): string {
  return `${cells.map((cell) => `"${harmless(cell).replaceAll('"', '""')}"`).join(',')}\r\n`;
}

/** A spreadsheet must not run a cell (OWASP 'CSV Injection'). Telephone numbers keep their plus. */
function harmless(cell: string): string {
  const plain = cell.normalize('NFKC').trimStart();
  const runs = /^[=@\t\r]/.test(plain) || (/^[+-]/.test(plain) && !/^[+-][\d\s()./-]*$/.test(plain));
  return runs || /^[\t\r]/.test(cell) ? `'${cell}` : cell;
}
