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
    fc.record({
      id: fc.integer({ min: 0, max: 3_000 }),
      // Few, so that one contact is often spoken of by the same one again.
      ref: fc.option(fc.constantFrom(...Array.from({ length: 16 }, (_, n) => `R${n}`))),
    }),
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
