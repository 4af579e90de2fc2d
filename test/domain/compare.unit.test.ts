import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalValue, differences, hasDifferences, type Observed } from '../../domain/compare.ts';
import { project } from '../../domain/projection.ts';
import { FIELD_KINDS, type FieldKind, type FieldRule, type Want } from '../../domain/want.ts';
import { contactOf, given, rulesOf } from './samples.ts';

const rules = rulesOf();
const want = project({ contact: contactOf({ obtainedAt: '2026-01-31' }), consents: { newsletter: given }, rules });

function observedAs(changes: Partial<Observed> = {}): Observed {
  return {
    presence: 'present',
    addresses: [want.key ?? ''],
    fields: want.fields,
    consents: { list: 'subscribed' },
    ...changes,
  };
}

describe('a record read back', () => {
  test('as it was wanted shows no difference', () => {
    expect(differences(want, observedAs(), rules.fields)).toEqual({
      fields: [],
      consents: [],
      key: false,
      presence: false,
    });
  });

  test('in the vendor’s own spelling shows none either', () => {
    const fields = {
      email: 'ada.muster@bücher.example',
      first: ' Ada ',
      last: 'MUSTER',
      phone: '0044 20 7946-0000',
      since: '/Date(1769817600000+0000)/',
      vip: 'Yes',
      points: '3.0',
      origin: 'Plumbline',
    };
    const found = differences(want, observedAs({ fields, addresses: ['ADA.MUSTER@BÜCHER.EXAMPLE'] }), rules.fields);
    expect(hasDifferences(found)).toBe(false);
  });

  test('names what differs', () => {
    const found = differences(
      want,
      observedAs({
        fields: { ...want.fields, last: 'Other', phone: '020 7946 0000', points: '' },
        consents: {},
        addresses: ['other@example.org'],
      }),
      rules.fields,
    );
    expect(found).toEqual({ fields: ['last', 'phone', 'points'], consents: ['list'], key: true, presence: false });
  });

  test.each([
    ['present', 'present', false],
    ['present', 'archived', true],
    ['present', 'gone', true],
    ['if_there', 'archived', false],
    ['if_there', 'gone', false],
    ['outside', 'present', true],
    ['outside', 'archived', false],
    ['purged', 'present', true],
    ['purged', 'archived', false],
    ['erased', 'archived', true],
    ['erased', 'gone', false],
    ['carried', 'present', false],
  ] as const)('%s and found %s', (presence, observed, differs) => {
    expect(differences({ ...want, presence }, observedAs({ presence: observed }), rules.fields).presence).toBe(differs);
  });

  test.each([
    ['subscribed', ['subscribed', 'pending', 'undeliverable']],
    ['unsubscribed', ['unsubscribed', 'complained', 'undeliverable']],
    ['untouched', ['subscribed', 'unsubscribed', 'complained', 'pending', 'undeliverable', 'none']],
  ] as const)('with consent %s accepts only what is as strict or waits', (state, accepted) => {
    const all = ['subscribed', 'unsubscribed', 'complained', 'pending', 'undeliverable', 'none'];
    const consent = state === 'subscribed' ? { state, evidence: '7' } : { state };
    const wanted: Want = { ...want, consents: { list: consent } };
    const same = all.filter(
      (list) => differences(wanted, observedAs({ consents: { list } }), []).consents.length === 0,
    );
    expect(same.toSorted()).toEqual([...accepted].toSorted());
  });
});

test.each([
  ['text', 'e\u0301  b\u00a0c', '\u00e9 b c'],
  ['caseless', 'STRASSE İı', 'straße i̇I'],
  ['phone', '+44 (0)20 7946 0000', '00442079460000'],
  ['phone', 'ask  me', 'ask me'],
  ['date', '2026-01-31T23:59:59Z', '2026-01-31'],
  ['date', '2026-01-31T00:00:00', '2026-01-31'],
  ['date', '1769817600000', '2026-01-31'],
  ['number', '-0', '0'],
  ['number', '1e3', '1000'],
  ['boolean', 'TRUE', '1'],
] as const)('%s values are one and the same in both spellings (%#)', (kind, one, other) => {
  expect(canonicalValue(kind, one)).toBe(canonicalValue(kind, other));
});

test.each([
  ['text', 'Anna', 'anna'],
  ['phone', '020 7946 0000', '+44 20 7946 0000'],
  ['date', '2026-02-30', '2026-03-02'],
  ['number', '1', '1.5'],
  ['boolean', '', 'false'],
  ['email', 'a+b@example.org', 'a@example.org'],
] as const)('%s values that differ are not taken for the same (%#)', (kind, one, other) => {
  expect(canonicalValue(kind, one)).not.toBe(canonicalValue(kind, other));
});

const texts = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    'Straße',
    'İstanbul',
    'ΟΔΥΣΣΕΥΣ',
    'ﬁn',
    'e\u0301',
    '+44 (0)20 7946 0000',
    '/Date(1769817600000)/',
    'yes',
  ),
);

/** What vendors do to a value on its way back. */
const rewrites: Record<string, (value: string, kind: FieldKind) => string> = {
  as_it_was: (value) => value,
  padded: (value) => ` ${value}\t`,
  wider: (value) => value.replaceAll(' ', '  '),
  decomposed: (value) => value.normalize('NFD'),
  shouted: (value, kind) => (kind === 'caseless' || kind === 'boolean' ? value.toUpperCase() : value),
  whispered: (value, kind) => (kind === 'caseless' || kind === 'email' ? value.toLowerCase() : value),
};

test('a value that a vendor rewrites within its kind compares as equal', () => {
  fc.assert(
    fc.property(
      texts,
      fc.constantFrom(...FIELD_KINDS),
      fc.option(fc.integer({ min: 0, max: 30 }), { nil: undefined }),
      fc.constantFrom(...Object.keys(rewrites)),
      (text, kind, maxLength, name) => {
        const rule: FieldRule = {
          target: 'x',
          from: 'organisation',
          kind,
          ...(maxLength === undefined ? {} : { maxLength }),
        };
        const system = rulesOf({ who: { kind: 'everybody' }, addressIsKey: false, fields: [rule], consents: [] });
        const wanted = project({ contact: contactOf({ organisation: text }), consents: {}, rules: system });
        const value = wanted.fields['x'] ?? '';
        expect(value.length).toBeLessThanOrEqual(maxLength ?? Infinity);
        const back = rewrites[name]?.(value, kind) ?? value;
        const found = differences(wanted, observedAs({ fields: { x: back } }), [rule]);
        expect(found.fields).toEqual([]);
      },
    ),
    { numRuns: 3_000 },
  );
});

test('a canonical value is its own canonical value', () => {
  fc.assert(
    fc.property(texts, fc.constantFrom(...FIELD_KINDS), (text, kind) => {
      const once = canonicalValue(kind, text);
      expect(canonicalValue(kind, once)).toBe(once);
    }),
    { numRuns: 3_000 },
  );
});
