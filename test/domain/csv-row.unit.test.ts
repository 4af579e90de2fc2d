import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readAttribute } from '../../domain/attributes.ts';
import { consentState } from '../../domain/consent.ts';
import { validateContactData } from '../../domain/contact-data.ts';
import { emptyContactData } from '../../domain/contact.ts';
import { isImportPath, judgeRow } from '../../domain/csv-row.ts';
import { FAULT_SENTENCES } from '../../domain/data-faults.ts';
import { mergeInto } from '../../domain/merge.ts';
import { accepted, now, options, rejected, rowOf } from './awkward-rows.ts';

const dataOf = (changes: Record<string, string> = {}) => {
  const judged = judgeRow(rowOf(changes), options);
  if (!judged.ok) throw new Error(`rejected: ${judged.rejects.map((reject) => reject.code).join()}`);
  return judged;
};

describe('a row', () => {
  test('that is plain becomes data, without a word', () => {
    expect(dataOf()).toMatchObject({
      data: {
        externalRef: 'R1',
        emails: ['ada.muster@mail.example'],
        phones: ['+44 20 7946 0000'],
        obtainedAt: '2024-05-04T18:44:53.000Z',
        contractEnd: '2027-11-18',
      },
      consents: [],
      warnings: [],
      identity: { ref: 'R1', addressKey: 'ada.muster@mail.example', nameKey: 'ada muster' },
    });
  });

  test.each(rejected)('that is wrong is rejected for its reason (%#)', (changes, column, code) => {
    const judged = judgeRow(rowOf(changes), options);
    expect(judged.ok ? [] : judged.rejects.map((reject) => [reject.column, reject.code])).toEqual([[column, code]]);
  });

  test.each(accepted)('that is unusual but right is taken (%#)', (changes, data) => {
    expect(dataOf(changes).data).toMatchObject(data);
  });

  test('names every fault of the row at once', () => {
    const judged = judgeRow(rowOf({ email: 'nobody', phone: 'x', country: 'XX' }), options);
    expect(judged.ok ? 0 : judged.rejects.length).toBe(3);
  });

  test('finds the same person in any spelling, and another behind a shared address', () => {
    const one = dataOf().identity;
    const double = dataOf({ external_ref: 'R2', email: ' ADA.MUSTER@MAIL.EXAMPLE', given_name: 'ADA ' }).identity;
    expect([double.addressKey, double.nameKey]).toEqual([one.addressKey, one.nameKey]);
    const idn = ['info@bücher.example', 'INFO@xn--bcher-kva.example'].map(
      (email) => dataOf({ email }).identity.addressKey,
    );
    expect(new Set(idn).size).toBe(1);
    expect(dataOf({ given_name: 'Berta' }).identity.nameKey).not.toBe(one.nameKey);
  });

  test('leaves alone what its empty cells say nothing of, unless told that they empty', () => {
    const row = rowOf({ phone: '', city: ' ' });
    expect(Object.keys(dataOf({ phone: '', city: ' ' }).data)).not.toContain('phones');
    const judged = judgeRow(row, { ...options, emptyClears: true });
    expect(judged.ok && judged.data).toMatchObject({ phones: [], city: null });
  });
});

describe('the historic consent of a row', () => {
  const proven = {
    newsletter: 'opted_in',
    consent_at: '2025-02-03T04:05:06Z',
    consent_channel: 'web_form',
    consent_statement: 'newsletter-2025-1',
  };
  const judged = (changes: Record<string, string>) => {
    const { consents, warnings } = dataOf(changes);
    const events = consents.map((consent, index) => ({
      ...consent,
      id: index + 1,
      recordedAt: now,
      recordedBy: 'import',
      door: 'csv' as const,
      byPerson: false,
    }));
    return { state: consentState(events).state, consents, warnings: warnings.map((warning) => warning.code) };
  };

  test('with full proof is given', () => {
    expect(judged(proven)).toEqual({
      state: 'given',
      consents: [
        {
          purpose: 'newsletter',
          kind: 'given',
          happenedAt: '2025-02-03T04:05:06.000Z',
          channel: 'web_form',
          statement: 'newsletter-2025-1',
        },
      ],
      warnings: [],
    });
  });

  test.each([
    [{ consent_at: '' }, ['no_proof_when']],
    [{ consent_at: '30/02/2025' }, ['consent_date_unreadable', 'no_proof_when']],
    [{ consent_channel: '' }, ['no_proof_how']],
    [{ consent_channel: 'unrecorded' }, ['no_proof_how']],
    [{ consent_statement: '' }, ['no_proof_wording']],
    [{ consent_statement: '=1+1' }, ['no_proof_wording']],
    [{ consent_at: '2031-01-01T00:00:00Z' }, ['future_stated']],
  ])('without full proof is kept and stays unknown (%#)', (changes, warnings) => {
    const result = judged({ ...proven, ...changes });
    expect(result).toMatchObject({ state: 'unknown', warnings });
    expect(result.consents).toHaveLength(1);
  });

  test.each([{ consent_at: '' }, { consent_at: 'never' }, { consent_channel: '', consent_statement: '' }])(
    'that was refused or withdrawn counts without proof (%#)',
    (changes) => {
      expect(judged({ ...proven, newsletter: 'Opted_Out ', ...changes }).state).toBe('withdrawn');
    },
  );

  test('that is unknown is no evidence at all', () => {
    expect(judged({ newsletter: 'unknown' }).consents).toEqual([]);
  });

  test('is handed on from a rejected row where it restricts, and never where it permits', () => {
    const out = judgeRow(rowOf({ phone: 'junk', newsletter: 'opted_out' }), options);
    expect(out).toMatchObject({ ok: false, identity: { ref: 'R1' }, restrictions: [{ kind: 'withdrawn' }] });
    expect(judgeRow(rowOf({ phone: 'junk', ...proven }), options)).toMatchObject({ ok: false, restrictions: [] });
  });

  test('to a purpose that is not declared is a reject', () => {
    const out = judgeRow(rowOf(proven), { ...options, purposes: [] });
    expect(out).toMatchObject({ ok: false, rejects: [{ column: 'newsletter', code: 'unknown_purpose' }] });
  });
});

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom(
    '',
    'a@b.example',
    'a@b.example\r\nBcc: c@d.example',
    '=1+1',
    '\u202e',
    '2023-02-30',
    '2025-01-01',
    'opted_in',
  ),
  fc.constantFrom('toString', '__proto__', 'constructor', '+44 20\u2028 7946', 'GB', 'lead', 'true', '1e999', '\0'),
);
const columns = Object.keys(rowOf()).concat('vip', 'tier');
const textsIn = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(textsIn) : [];
};

describe('for any cells', () => {
  test('a row is judged without throwing, and no control character or line break gets into the data', () => {
    const anyRow = fc.dictionary(fc.constantFrom(...columns), hostile, { maxKeys: columns.length });
    fc.assert(
      fc.property(anyRow, fc.boolean(), (row, emptyClears) => {
        const judged = judgeRow(row, { ...options, emptyClears });
        const kept = judged.ok ? [judged.data, judged.consents] : [judged.restrictions, judged.identity];
        for (const text of textsIn(kept)) {
          expect(text).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u);
          expect(text).not.toMatch(/^=./);
        }
        if (!judged.ok) {
          expect(judged.rejects.length).toBeGreaterThan(0);
          expect(judged.restrictions.every((consent) => consent.kind !== 'given')).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('a single hostile cell in a good row is taken clean or rejected in its own column', () => {
    fc.assert(
      fc.property(fc.constantFrom(...columns), hostile, (column, cell) => {
        const judged = judgeRow(rowOf({ [column]: cell }), options);
        if (!judged.ok) expect(judged.rejects.map((reject) => reject.column)).toEqual([column]);
      }),
      { numRuns: 2_000 },
    );
  });

  test('validated data is valid as it is', () => {
    const anyData = fc.record(
      {
        givenName: hostile,
        organisation: hostile,
        street: hostile,
        emails: fc.array(hostile, { maxLength: 3 }),
        phones: fc.array(hostile, { maxLength: 3 }),
        country: hostile,
        locale: hostile,
        obtainedAt: hostile,
        contractEnd: hostile,
        attributes: fc.record({ vip: hostile, tier: hostile }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(anyData, (input) => {
        const once = validateContactData(input, options.attributes, now);
        const twice = validateContactData(once.data, options.attributes, now);
        expect(twice).toEqual({ data: once.data, errors: [], warnings: [] });
      }),
      { numRuns: 2_000 },
    );
  });

  test('any JSON is judged as a patch without throwing, and no error repeats a value', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.oneof(fc.constantFrom('emails', 'phones', 'attributes', 'locale'), hostile), fc.jsonValue()),
        (input) => {
          for (const error of validateContactData(input, options.attributes, now).errors) {
            expect(error.field).toMatch(/^(?:[A-Za-z][A-Za-z0-9_.?-]*|\?)$/);
            const limit = /^The value is longer than \d+ characters\.$|^There are more than \d+ values\.$/;
            if (!limit.test(error.sentence)) expect(error.sentence).toBe(FAULT_SENTENCES[error.code]);
          }
        },
      ),
    );
  });
});

describe('a patch', () => {
  test('says which field is wrong and why, and keeps the rest', () => {
    const { data, errors } = validateContactData(
      {
        givenName: ' Ada ',
        emails: ['a@b.example', 'A@B.example', 'nobody'],
        phones: 'none',
        city: 7,
        x: 1,
        attributes: { no: 1 },
      },
      options.attributes,
    );
    expect(data).toEqual({ givenName: 'Ada', attributes: {} });
    expect(errors.map((error) => [error.field, error.code])).toEqual([
      ['emails.2', 'no_at'],
      ['phones', 'not_a_list'],
      ['city', 'not_text'],
      ['x', 'unknown_field'],
      ['attributes.no', 'unknown_attribute'],
    ]);
  });

  test('empties with null, and drops doubles within a list', () => {
    const { data, warnings } = validateContactData(
      { city: null, obtainedAt: null, country: '', emails: ['a@b.example', 'A@B.example'], attributes: { vip: null } },
      options.attributes,
    );
    expect(data).toEqual({
      city: null,
      obtainedAt: null,
      country: null,
      emails: ['a@b.example'],
      attributes: { vip: null },
    });
    expect(warnings).toEqual([{ field: 'emails.1', code: 'double_removed' }]);
  });

  test('never repeats a field name that may be somebody', () => {
    const { errors } = validateContactData({ 'ada@mail.example': 1, attributes: { 'ada@mail.example': 1 } }, {});
    expect(errors.map((error) => error.field)).toEqual(['?', 'attributes.?']);
  });
});

test.each([
  [{ type: 'number' }, ' 4.5 ', 4.5],
  [{ type: 'number' }, 4, 4],
  [{ type: 'boolean' }, 'Off', false],
  [{ type: 'boolean' }, true, true],
  [{ type: 'date' }, '2026-01-31T10:00:00Z', '2026-01-31'],
  [{ type: 'text' }, ' a  b ', 'a b'],
  [{ type: 'text' }, '', null],
] as const)('an attribute is read by its declared type (%#)', (declaration, given, value) => {
  expect(readAttribute(declaration, given)).toEqual({ ok: true, value });
});

test.each([
  [{ type: 'number' }, 'many', 'not_a_number'],
  [{ type: 'number' }, '1e999', 'not_a_number'],
  [{ type: 'boolean' }, 2, 'not_a_boolean'],
  [{ type: 'date' }, '2026-02-30', 'impossible_date'],
  [{ type: 'text', maxLength: 3 }, 'abcd', 'too_long'],
  [{ type: 'text' }, {}, 'not_text'],
] as const)('an attribute of another type is refused (%#)', (declaration, given, code) => {
  expect(readAttribute(declaration, given)).toMatchObject({ ok: false, code });
});

test('a column may write what the record holds, and not what is made from it', () => {
  const paths = ['givenName', 'emails.0', 'attributes.vip', 'id', 'fullName', 'attributes.other', 'seq'];
  expect(paths.filter((path) => isImportPath(path, ['vip']))).toEqual(['givenName', 'emails.0', 'attributes.vip']);
});

describe('a row of a known person', () => {
  const existing = {
    ...emptyContactData(),
    ...dataOf().data,
    emails: ['ada.muster@mail.example', 'second@mail.example'],
  };

  test('changes nothing where it says nothing new, and a second reference is an alias', () => {
    const double = dataOf({
      external_ref: 'R2',
      email: ' ADA.MUSTER@MAIL.EXAMPLE ',
      phone: '0044 (0)20 7946-0000',
      created_at: '2024-05-04T20:44:53+02:00',
    });
    expect(mergeInto(existing, double.data)).toEqual({ changes: {}, alias: 'R2' });
  });

  test('changes only what is new', () => {
    const row = dataOf({ family_name: 'Beispiel', email: 'new@mail.example', vip: 'yes', phone: '' });
    expect(mergeInto(existing, row.data)).toEqual({
      changes: {
        familyName: 'Beispiel',
        emails: ['new@mail.example', 'second@mail.example'],
        attributes: { vip: true },
      },
      alias: null,
    });
  });

  test('gives a first reference to whom has none, and empties only when told', () => {
    const { changes, alias } = mergeInto(
      { ...existing, externalRef: null },
      { externalRef: 'R9', phones: [], city: null },
    );
    expect({ changes, alias }).toEqual({ changes: { externalRef: 'R9', phones: [], city: null }, alias: null });
  });
});
