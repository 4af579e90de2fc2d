import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nameKey, parseEmail, parsePhone, suppressionKey } from '../../domain/address.ts';
import { cutAt, looksLikeFormula } from '../../domain/text.ts';

describe('an address', () => {
  test.each([
    ['  Anna.Muster@Example.ORG ', 'Anna.Muster@example.org', 'anna.muster@example.org'],
    ['a@bücher.example', 'a@xn--bcher-kva.example', 'a@xn--bcher-kva.example'],
    ['a@XN--BCHER-KVA.EXAMPLE', 'a@xn--bcher-kva.example', 'a@xn--bcher-kva.example'],
    ['a@bu\u0308cher.example.', 'a@xn--bcher-kva.example', 'a@xn--bcher-kva.example'],
    ['ünï@example.com', 'ünï@example.com', 'ünï@example.com'],
    ["o'brien+news@mail.example", "o'brien+news@mail.example", "o'brien+news@mail.example"],
    ['用户@例子。测试', '用户@xn--fsqu00a.xn--0zwm56d', '用户@xn--fsqu00a.xn--0zwm56d'],
  ])('is stored and matched in one form (%#)', (typed, address, key) => {
    expect(parseEmail(typed)).toEqual({ ok: true, address, key });
  });

  test.each([
    ['', 'empty'],
    ['x@example.com\r\nBcc: y@example.com', 'line_break'],
    ['x@example.com\u2028y', 'line_break'],
    ['x\u0000@example.com', 'control_character'],
    ['x\uD800@example.com', 'control_character'],
    ['x\u202Emoc@example.com', 'bidi_control'],
    ["=cmd|' /C calc'!A0@example.com", 'formula'],
    ['"a b"@example.com', 'quoted'],
    ['name@exa mple.com', 'space'],
    ['nameexample.com', 'no_at'],
    ['a@b@example.com', 'several_at'],
    ['@example.com', 'bad_local_part'],
    ['<script>alert(1)</script>@example.com', 'bad_local_part'],
    ['a..b@example.com', 'bad_local_part'],
    ['a\u200Bb@example.com', 'bad_local_part'],
    [`${'v'.repeat(65)}@example.com`, 'local_part_too_long'],
    ['a@b', 'domain_without_dot'],
    ['a@', 'bad_domain'],
    ['a@127.0.0.1', 'bad_domain'],
    ['a@[127.0.0.1]', 'bad_domain'],
    ['a@0x7f.1', 'bad_domain'],
    ['a@-b.example', 'bad_domain'],
    ['a@b..example', 'bad_domain'],
    ['a@ex%41mple.com', 'bad_domain'],
    ['a@xn--.example', 'bad_domain'],
    [`a@${'long-label.'.repeat(22)}example.com`, 'too_long'],
  ])('that is none is refused with its reason (%#)', (typed, reason) => {
    expect(parseEmail(typed)).toEqual({ ok: false, reason });
  });

  const almostAddresses = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.emailAddress(),
    fc
      .tuple(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.string({ unit: 'grapheme', maxLength: 12 }))
      .map(([local, label]) => `${local}@${label}.example`),
  );

  test('keeps its form when it is read again', () => {
    fc.assert(
      fc.property(almostAddresses, (text) => {
        const first = parseEmail(text);
        fc.pre(first.ok);
        expect(parseEmail(first.address)).toEqual(first);
        expect(parseEmail(first.key)).toEqual({ ok: true, address: first.key, key: first.key });
      }),
      { numRuns: 2_000 },
    );
  });

  test('never holds a space, a control or a second @', () => {
    fc.assert(
      fc.property(almostAddresses, (text) => {
        const parsed = parseEmail(text);
        fc.pre(parsed.ok);
        expect(parsed.address).toMatch(/^[^\s\p{C}@]+@[a-z0-9.-]+$/u);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a suppression key', () => {
  test('folds case, full width and both forms of the domain', () => {
    const spellings = ['Ａnna@Bücher.example', 'anna@xn--bcher-kva.example', ' ANNA＠BÜCHER.EXAMPLE. '];
    expect(new Set(spellings.map(suppressionKey))).toEqual(new Set(['anna@xn--bcher-kva.example']));
  });

  test('keeps plus tags and dots', () => {
    expect(suppressionKey('an.na+x@gmail.com')).toBe('an.na+x@gmail.com');
  });

  test('of a key is the key, whatever was typed', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.emailAddress()), (text) => {
        const key = suppressionKey(text);
        expect(suppressionKey(key)).toBe(key);
      }),
      { numRuns: 2_000 },
    );
  });

  test('is the same for an address and its stored form', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (text) => {
        const parsed = parseEmail(text);
        fc.pre(parsed.ok);
        expect(suppressionKey(parsed.address)).toBe(suppressionKey(text));
        expect(suppressionKey(parsed.key)).toBe(suppressionKey(text));
      }),
    );
  });
});

describe('a telephone number', () => {
  test.each([
    [' +44 (0)20 7946 0000 ', '+44 (0)20 7946 0000', '+442079460000'],
    ['0044 20 7946-0000', '0044 20 7946-0000', '+442079460000'],
    ['(020) 7946.0000', '(020) 7946.0000', '02079460000'],
    ['+39 (0)6 0000 000', '+39 (0)6 0000 000', '+39060000000'],
    ['(+44) 20 7946 0000', '(+44) 20 7946 0000', '+442079460000'],
    ['+90(806)195-0000x159', '+90(806)195-0000x159', '+908061950000x159'],
    ['＋４４ ２０ ７９４６ ００００', '＋４４ ２０ ７９４６ ００００', '+442079460000'],
  ])('is kept as typed and compared by its digits (%#)', (typed, phone, canonical) => {
    expect(parsePhone(typed)).toEqual({ ok: true, phone, canonical });
  });

  test('without its country is not the same as one with it', () => {
    const national = parsePhone('020 7946 0000');
    const international = parsePhone('+44 20 7946 0000');
    expect(national.ok && international.ok && national.canonical !== international.canonical).toBe(true);
  });

  test.each([
    ['', 'empty'],
    ['call me', 'not_a_phone'],
    ['=1+2', 'not_a_phone'],
    ['12+34', 'not_a_phone'],
    ['+1\n2345', 'control_character'],
    ['12', 'too_few_digits'],
    ['1'.repeat(16), 'too_many_digits'],
    ['1 '.repeat(30), 'too_long'],
  ])('that is none is refused with its reason (%#)', (typed, reason) => {
    expect(parsePhone(typed)).toEqual({ ok: false, reason });
  });

  test('keeps its canonical form when that is read again', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789+()x -./'.split('')), maxLength: 25 }), (text) => {
        const first = parsePhone(text);
        fc.pre(first.ok);
        const again = parsePhone(first.canonical);
        expect(again.ok && again.canonical).toBe(first.canonical);
      }),
      { numRuns: 2_000 },
    );
  });
});

test('names match in any case, width and spacing, and not in another order', () => {
  expect(nameKey(' Anna  Maria', 'MÜLLER')).toBe(nameKey('anna maria', 'Mu\u0308ller'));
  expect(nameKey('Weiß', null)).toBe(nameKey('WEISS', null));
  expect(nameKey('Anna', 'Berta')).not.toBe(nameKey('Berta', 'Anna'));
  expect(nameKey(null, null)).toBe('');
});

test.each([
  ['=HYPERLINK("http://example.com")', true],
  ['＝1+1', true],
  ['+cmd|calc', true],
  ['@SUM(A1)', true],
  ['-2+3', true],
  ['+1+1', true],
  ['=', false],
  ['-', false],
  ['+Pluspunkt', false],
  ['@home', false],
  ["'t Hooft", false],
  ['-Kai', false],
  ['+44 20 7946 0000', false],
])('a formula is told from an honest beginning (%#)', (text, formula) => {
  expect(looksLikeFormula(text)).toBe(formula);
});

test('a cut never splits a character', () => {
  expect(cutAt('ab👩‍👩‍👧c', 5)).toBe('ab');
  expect(cutAt('e\u0301e\u0301', 3)).toBe('e\u0301');
  expect(cutAt('abc', undefined)).toBe('abc');
});

test('the short way for usual addresses says what the long way says', () => {
  const label = fc.stringMatching(/^[a-z0-9-]{1,12}$/);
  const usual = fc
    .tuple(
      fc.stringMatching(/^[A-Za-z0-9._+-]{1,70}$/),
      fc.array(label, { minLength: 1, maxLength: 3 }),
      fc.stringMatching(/^[a-z0-9]{1,6}$/),
    )
    .map(([local, labels, top]) => `${local}@${labels.join('.')}.${top}`);
  fc.assert(
    fc.property(usual, (address) => {
      // White space around it is trimmed, and makes it take the long way.
      expect(parseEmail(address)).toEqual(parseEmail(` ${address}`));
    }),
    { numRuns: 3000 },
  );
});
