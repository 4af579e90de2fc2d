/** The compact memory of an import says what a Map would say. */
import { hash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FirstSpeakers } from '../../store/first-speakers.ts';

/** As random in their last 64 bits as those of the record. */
const ids = Array.from({ length: 3_001 }, (_, n) =>
  hash('md5', `contact ${n}`).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
);

test('it knows who was spoken of, and by which reference first', () => {
  const rows = fc.array(
    fc.record({ id: fc.integer({ min: 0, max: 3_000 }), ref: fc.option(fc.stringMatching(/^[A-Z]{1,3}\d{1,6}$/)) }),
    { maxLength: 4_000, size: 'max' },
  );
  fc.assert(
    fc.property(rows, (said) => {
      const compact = new FirstSpeakers();
      const model = new Map<string, string | null>();
      for (const { id: n, ref } of said) {
        const id = ids[n] ?? '';
        expect(compact.has(id)).toBe(model.has(id));
        expect(compact.isBy(id, ref)).toBe(ref !== null && model.get(id) === ref);
        compact.note(id, ref);
        if (!model.has(id)) model.set(id, ref);
      }
      for (const id of ids) expect(compact.has(id)).toBe(model.has(id));
    }),
    { numRuns: 20 },
  );
});
