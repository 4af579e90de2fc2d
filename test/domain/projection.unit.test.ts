import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CONSENT_STATES, strictest } from '../../domain/consent.ts';
import { RELATIONSHIPS } from '../../domain/contact.ts';
import { isKnownPath, readPath } from '../../domain/mapping.ts';
import { canonicalJson, project } from '../../domain/projection.ts';
import { applyTransform, isTransformName, TRANSFORM_NAMES } from '../../domain/transforms.ts';
import { contactOf, given, rulesOf, unknown, withdrawn } from './samples.ts';

const relationshipRule = (outsiders: 'unsubscribe' | 'leave' | 'report') =>
  rulesOf({ who: { kind: 'relationship', in: ['customer'] }, outsiders, addressIsKey: false });

describe('a projection', () => {
  test('of a member with a proven consent is present and subscribed by that evidence', () => {
    expect(project({ contact: contactOf(), consents: { newsletter: given }, rules: rulesOf() })).toEqual({
      presence: 'present',
      key: 'Ada.Muster@xn--bcher-kva.example',
      fields: {
        email: 'Ada.Muster@xn--bcher-kva.example',
        first: 'Ada',
        last: 'Muster',
        phone: '+44 (0)20 7946 0000',
        since: '',
        vip: 'true',
        points: '3',
        origin: 'Plumbline',
      },
      consents: { list: { state: 'subscribed', evidence: '7' } },
    });
  });

  test('subscribes nobody whose evidence is missing', () => {
    const want = project({
      contact: contactOf(),
      consents: { newsletter: { ...given, evidence: null } },
      rules: rulesOf(),
    });
    expect(want).toMatchObject({ presence: 'if_there', consents: { list: { state: 'unsubscribed' } } });
  });

  test.each([{ newsletter: unknown }, { newsletter: withdrawn }, {}])(
    'never creates a member without consent, and unsubscribes one who is there (%#)',
    (consents) => {
      const want = project({ contact: contactOf(), consents, rules: rulesOf() });
      expect(want).toMatchObject({ presence: 'if_there', consents: { list: { state: 'unsubscribed' } } });
      expect(want.fields['first']).toBe('Ada');
    },
  );

  test('leaves an unknown consent as the vendor has it where the system is not about consent', () => {
    const rules = rulesOf({ who: { kind: 'everybody' }, addressIsKey: false });
    const stateFor = (consent: typeof given) =>
      project({ contact: contactOf(), consents: { newsletter: consent }, rules }).consents['list']?.state;
    expect([given, unknown, withdrawn].map(stateFor)).toEqual(['subscribed', 'untouched', 'unsubscribed']);
  });

  test.each([
    ['unsubscribe', given, 'if_there', 'unsubscribed', 8],
    ['leave', given, 'outside', 'untouched', 0],
    ['leave', withdrawn, 'outside', 'unsubscribed', 0],
    ['report', given, 'if_there', 'untouched', 0],
    ['report', withdrawn, 'if_there', 'unsubscribed', 0],
  ] as const)('treats outsiders as the system says (%#)', (outsiders, consent, presence, state, fields) => {
    const want = project({
      contact: contactOf(),
      consents: { newsletter: consent },
      rules: relationshipRule(outsiders),
    });
    expect(want).toMatchObject({ presence, consents: { list: { state } } });
    expect(Object.keys(want.fields)).toHaveLength(fields);
  });

  test('of an erased or purged contact holds nothing, not even a key', () => {
    for (const state of ['erased', 'purged'] as const) {
      const want = project({ contact: contactOf({ state }), consents: { newsletter: given }, rules: rulesOf() });
      expect(want).toEqual({ presence: state, key: null, fields: {}, consents: {} });
    }
  });

  test('of an erased contact is carried where another holder keeps the address', () => {
    const holders = { oldestOther: { id: 'c-9', seq: 90 }, strictest: {} };
    const want = project({ contact: contactOf({ state: 'erased' }), consents: {}, rules: rulesOf(), holders });
    expect(want).toEqual({ presence: 'carried', carriedBy: 'c-9', key: null, fields: {}, consents: {} });
  });

  test('without an address is outside where the address is the key', () => {
    const want = project({ contact: contactOf({ emails: [] }), consents: { newsletter: given }, rules: rulesOf() });
    expect(want).toEqual({ presence: 'outside', key: null, fields: {}, consents: {} });
  });

  test('without an address is present where an address is unique but not required', () => {
    const rules = rulesOf({ who: { kind: 'everybody' }, addressRequired: false });
    expect(project({ contact: contactOf({ emails: [] }), consents: {}, rules })).toMatchObject({
      presence: 'present',
      key: null,
    });
  });

  test('lets the oldest holder of a shared address supply the record, by the strictest consent of all', () => {
    const consents = { newsletter: given };
    const shared = (seq: number, state: 'given' | 'withdrawn', belongs?: boolean) =>
      project({
        contact: contactOf(),
        consents,
        rules: rulesOf(),
        holders: {
          oldestOther: { id: 'c-2', seq, ...(belongs === undefined ? {} : { belongs }) },
          strictest: { newsletter: state },
        },
      });
    expect(shared(9, 'given')).toMatchObject({ presence: 'carried', carriedBy: 'c-2', fields: {} });
    expect(shared(11, 'given')).toMatchObject({ presence: 'present', consents: { list: { state: 'subscribed' } } });
    expect(shared(11, 'withdrawn')).toMatchObject({
      presence: 'if_there',
      consents: { list: { state: 'unsubscribed' } },
    });
    expect(shared(9, 'given', false)).toMatchObject({ presence: 'present' });
  });

  test('does not mind who shares the address where it is not the key', () => {
    const rules = rulesOf({ addressIsKey: false });
    const holders = { oldestOther: { id: 'c-2', seq: 1 }, strictest: { newsletter: 'withdrawn' } } as const;
    expect(project({ contact: contactOf(), consents: { newsletter: given }, rules, holders })).toMatchObject({
      presence: 'present',
      consents: { list: { state: 'subscribed' } },
    });
  });

  test('lets the stricter of two purposes stand on one target', () => {
    const rules = rulesOf({
      who: { kind: 'everybody' },
      consents: [
        { purpose: 'newsletter', target: 'list' },
        { purpose: 'events', target: 'list' },
      ],
    });
    for (const consents of [
      { newsletter: given, events: withdrawn },
      { newsletter: withdrawn, events: given },
    ]) {
      expect(project({ contact: contactOf(), consents, rules }).consents).toEqual({ list: { state: 'unsubscribed' } });
    }
  });

  test('subscribes only by evidence, and never over a restriction of any holder', () => {
    const states = fc.constantFrom(...CONSENT_STATES);
    fc.assert(
      fc.property(
        fc.record({
          own: states,
          evidence: fc.option(fc.integer({ min: 1 })),
          shared: fc.option(states),
          contactState: fc.constantFrom('active', 'purged', 'erased'),
          relationship: fc.option(fc.constantFrom(...RELATIONSHIPS)),
          who: fc.constantFrom(
            { kind: 'everybody' },
            { kind: 'relationship', in: ['customer', 'supplier'] },
            { kind: 'consent', purpose: 'newsletter' },
          ),
          outsiders: fc.constantFrom('unsubscribe', 'leave', 'report'),
          otherSeq: fc.option(fc.integer({ min: 1, max: 20 })),
          addressIsKey: fc.boolean(),
        } as const),
        (given_) => {
          const want = project({
            contact: contactOf({ state: given_.contactState, relationship: given_.relationship }),
            consents: { newsletter: { state: given_.own, evidence: given_.evidence } },
            rules: rulesOf({ who: given_.who, outsiders: given_.outsiders, addressIsKey: given_.addressIsKey }),
            holders: {
              oldestOther: given_.otherSeq === null ? null : { id: 'c-2', seq: given_.otherSeq },
              strictest: given_.shared === null ? {} : { newsletter: given_.shared },
            },
          });
          const stands =
            given_.addressIsKey && given_.shared !== null ? strictest([given_.own, given_.shared]) : given_.own;
          const list = want.consents['list'];
          if (list?.state === 'subscribed') {
            expect(given_.evidence).not.toBeNull();
            expect(list.evidence).toBe(String(given_.evidence));
            expect(stands).toBe('given');
            expect(given_.contactState).toBe('active');
          }
          const restricted = stands === 'withdrawn' || stands === 'refused';
          if (restricted && given_.contactState === 'active' && want.presence !== 'carried') {
            expect(list).toEqual({ state: 'unsubscribed' });
          }
          if (given_.contactState !== 'active') expect(want).toMatchObject({ key: null, fields: {}, consents: {} });
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

describe('a field mapping', () => {
  test.each([
    ['givenName', 'Ada'],
    ['fullName', 'Ada Muster'],
    ['emails.0', 'Ada.Muster@xn--bcher-kva.example'],
    ['emails.1', ''],
    ['phones.0', '+44 (0)20 7946 0000'],
    ['attributes.vip', 'true'],
    ['attributes.constructor', ''],
    ['organisation', ''],
    ['constructor', ''],
  ])('reads %s', (path, value) => {
    expect(readPath(contactOf(), path)).toBe(value);
  });

  test('knows its paths, for the check of a configuration', () => {
    const known = ['id', 'city', 'emails.0', 'attributes.vip', 'fullName'].map((path) => isKnownPath(path, ['vip']));
    expect(known).toEqual([true, true, true, true, true]);
    const unknownPaths = ['emails', 'emails.x', 'attributes.other', 'attributes.', 'toString', ''];
    expect(unknownPaths.filter((path) => isKnownPath(path, ['vip']))).toEqual([]);
  });

  test('cuts what the vendor would cut', () => {
    const rules = rulesOf({ fields: [{ target: 'first', from: 'givenName', kind: 'text', maxLength: 3 }] });
    const want = project({ contact: contactOf({ givenName: 'Zoe\u0301' }), consents: { newsletter: given }, rules });
    expect(want.fields).toEqual({ first: 'Zo' });
  });
});

describe('a transform', () => {
  const customer = contactOf({ relationship: 'customer' });
  test.each([
    ['upper', 'straße', 'STRASSE'],
    ['lower', 'ÄB', 'äb'],
    ['fullName', '', 'Ada Muster'],
    ['phoneDigits', '+44 (0)20 7946 0000', '+442079460000'],
    ['phoneDigits', 'ask me', 'ask me'],
    ['dateOnly', '2026-01-31T23:30:00+01:00', '2026-01-31'],
    ['dateOnly', 'soon', 'soon'],
    ['countryName', 'gb', 'United Kingdom'],
    ['countryName', '', ''],
    ['language', 'en-GB', 'en'],
    ['joinStreet', 'Flat 1\r\n High  Street 2\n', 'Flat 1, High Street 2'],
    ['legalBasis', '', 'Freely given consent from contact;Performance of a contract'],
  ])('%s changes a value (%#)', (name, value, expected) => {
    expect(applyTransform(name, value, { contact: customer, consents: { newsletter: given } })).toBe(expected);
  });

  test('for the legal basis claims nothing that is not known', () => {
    expect(applyTransform('legalBasis', '', { contact: contactOf(), consents: { newsletter: unknown } })).toBe('');
  });

  test('that is not there is an error, and is told beforehand', () => {
    expect(TRANSFORM_NAMES.every(isTransformName)).toBe(true);
    expect(isTransformName('toString')).toBe(false);
    expect(() => applyTransform('toString', '', { contact: customer, consents: {} })).toThrow('no such transform');
  });
});

describe('canonical JSON', () => {
  test('does not depend on the order of keys, and reads back as the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('leaves out what is undefined and refuses what JSON cannot hold', () => {
    expect(canonicalJson({ b: undefined, a: 1 })).toBe('{"a":1}');
    expect(() => canonicalJson({ a: Number.NaN })).toThrow(RangeError);
  });
});

/** The same value with every object's keys in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}
