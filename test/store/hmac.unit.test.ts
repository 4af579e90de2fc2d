import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hmac } from '../../store/hmac.ts';

const keys = fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => Buffer.from(bytes));
const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  // Half of a pair too, which UTF-8 has no bytes for.
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)), maxLength: 50 }),
  fc.integer({ min: 900, max: 1_100 }).map((length) => '用'.repeat(length)),
);

test('it is the HMAC that Node computes, of one text after the other', () => {
  fc.assert(
    fc.property(keys, fc.array(texts, { minLength: 1, maxLength: 5 }), (key, several) => {
      const hashOf = hmac(key);
      const ours = several.map((text) => hashOf(text).toString('hex'));
      expect(ours).toEqual(several.map((text) => createHmac('sha256', key).update(text, 'utf8').digest('hex')));
    }),
    { numRuns: 500 },
  );
});

test('a key that is longer than a block is refused', () => {
  expect(() => hmac(Buffer.alloc(65))).toThrow('64 bytes');
});
