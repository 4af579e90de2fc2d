import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readCsv } from '../../import/read-csv.ts';
import type { BrokenLine } from '../../import/frame.ts';

async function read(text: string, size = 5): Promise<{ records: [number, string[]][]; broken: BrokenLine[] }> {
  const records: [number, string[]][] = [];
  const broken: BrokenLine[] = [];
  const bytes = Buffer.from(text);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
  }
  for await (const { line, cells } of readCsv(pieces(), (fault) => broken.push(fault))) records.push([line, cells]);
  return { records, broken };
}

const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;

describe('well-formed text', () => {
  const cell = fc.string({ unit: fc.constantFrom('a', 'é', '"', ',', ';', '\n', ' ', "'"), maxLength: 8 });

  test('comes out as it went in, with the line each record starts on, whatever the pieces it arrives in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(cell, cell), { maxLength: 8 }),
        fc.constantFrom('\n', '\r\n'),
        fc.integer({ min: 1, max: 20 }),
        async (rows, end, size) => {
          const text = ['first,second', ...rows.map((cells) => cells.map(quoted).join(','))].join(end);
          const { records, broken } = await read(text, size);
          expect(broken).toEqual([]);
          expect(records.map(([, cells]) => cells)).toEqual([['first', 'second'], ...rows]);
          let line = 1;
          for (const [at, cells] of records) {
            expect(at).toBe(line);
            line += cells.join('').split('\n').length;
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('may come without quotation marks, with empty lines, a BOM, and no end of line at the end', async () => {
    const { records } = await read('\uFEFFa;b\r\n\r\n1;"x,y"\r\n;2');
    expect(records).toEqual([
      [1, ['a', 'b']],
      [3, ['1', 'x,y']],
      [4, ['', '2']],
    ]);
  });
});

describe('broken quotation marks', () => {
  test('cost their own line only, wherever they stand', async () => {
    const { records, broken } = await read(
      'a,b\n1,x"y\n2,z\n3,"x"y\n4,z\n5,"open\n6,z\n7,"q"\n8,"two\nlines"\n9,"never closed\n10,z',
    );
    expect(records.map(([line, cells]) => [line, cells[0]])).toEqual([
      [1, 'a'],
      [3, '2'],
      [5, '4'],
      [7, '6'],
      [8, '7'],
      [9, '8'],
      [12, '10'],
    ]);
    expect(broken.map(({ line, code }) => [line, code])).toEqual([
      [2, 'broken_quotes'],
      [4, 'broken_quotes'],
      [6, 'broken_quotes'],
      [11, 'broken_quotes'],
    ]);
  });

  test('that never close are given up after fifty lines, so that a large file is not held in memory', async () => {
    const rows = Array.from({ length: 500 }, (_, n) => `${n},z`);
    const { records, broken } = await read(['a,b', 'x,"open', ...rows].join('\n'), 100);
    expect(records.length).toBe(501);
    expect(broken).toEqual([{ line: 2, code: 'broken_quotes' }]);
  });

  test('lose no other line: each is read or reported, exactly once', async () => {
    const piece = fc.string({ unit: fc.constantFrom('a', '"', ','), maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (lines) => {
        const { records, broken } = await read(['h,i', ...lines].join('\n'));
        const covered = records.flatMap(([line, cells]) =>
          Array.from({ length: cells.join('').split('\n').length }, (_, n) => line + n),
        );
        const seen = [...covered, ...broken.map(({ line }) => line)].toSorted((a, b) => a - b);
        const wanted = ['h,i', ...lines].flatMap((line, index) => (line === '' ? [] : [index + 1]));
        // A record that starts or ends within an empty line covers that one too.
        expect(new Set(seen).size).toBe(seen.length);
        expect(wanted.every((line) => seen.includes(line))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
