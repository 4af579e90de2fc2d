/** Secrets with one key or several. */
import { expect, test } from 'vitest';
import { keyText, parseKeys } from '../../domain/keys.ts';

const A = Buffer.alloc(32, 1);
const B = Buffer.alloc(32, 2);
const a = A.toString('base64');
const b = B.toString('base64url');

test('one key alone, one with an id, several in their order', () => {
  expect(parseKeys(a)).toEqual([{ id: 'k1', secret: A }]);
  expect(parseKeys(`2026-11:${a}\n`)).toEqual([{ id: '2026-11', secret: A }]);
  const both = [
    { id: 'new', secret: B },
    { id: 'k1', secret: A },
  ];
  expect(parseKeys(`new:${b}, ${a}`)).toEqual(both);
  expect(parseKeys(both.map(keyText).join('\n'))).toEqual(both);
});

test.each([
  ['nothing', ' \n'],
  ['too short', 'c2hvcnQ='],
  ['one of two too short', `k2:c2hvcnQ= ${a}`],
  ['no base64', `k1:${'!'.repeat(43)}`],
  ['an id twice', `k1:${a} ${b}`],
  ['an id of other letters', `k 1:${a}`],
  ['no id before the colon', `:${a}`],
])('%s is refused', (_what, text) => {
  expect(parseKeys(text)).toBeNull();
});
