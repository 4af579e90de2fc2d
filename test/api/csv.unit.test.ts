import fc from 'fast-check';
import { parse } from 'csv-parse/sync';
import { expect, test } from 'vitest';
import { csvCell, csvLine } from '../../domain/csv-line.ts';

test.each(['=1+1', '+49 30 1', '-1', '@SUM(A1)', '\t=1', '\r=1', '＝1', '＠x', '|calc', '%0A'])(
  'the risky start of %j becomes text',
  (risky) => {
    const [[cell]] = parse(csvLine([risky])) as [[string]];
    expect(cell).toBe(`'${risky}`);
  },
);

test('every other text comes back as it was, whatever is in it', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 2, maxLength: 5 }), (cells) => {
      const back = (parse(csvLine(cells)) as string[][])[0];
      const expected = cells.map((cell) =>
        csvCell(cell).replace(/^"/, '').startsWith("'") && !cell.startsWith("'") ? `'${cell}` : cell,
      );
      expect(back).toEqual(expected);
    }),
  );
});

test('nothing and numbers', () => {
  expect(csvLine([null, 7, ''])).toBe(',7,\r\n');
});
