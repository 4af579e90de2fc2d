import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { activeHolds, holdsOn, nextReview, type Hold } from '../../domain/holds.ts';
import { DEFAULT_RETENTION_RULE, retentionVerdict, type RetentionRule } from '../../domain/retention.ts';
import { addMonths, dayOf, parseDay, parseMoment } from '../../domain/time.ts';
import { contactOf } from './samples.ts';

const hold: Hold = {
  id: 'h-1',
  contactId: 'c-1',
  reason: 'legal_claim',
  until: null,
  reviewOn: '2026-09-01',
  scope: { kind: 'everything' },
};

/** A lead obtained on the last day of January: due at the end of April. */
const lead = contactOf({ obtainedAt: '2026-01-31T09:00:00.000Z' });
const due = '2026-04-30T09:00:00.000Z';
const judge = (
  changes = {},
  consents = {},
  holds: Hold[] = [],
  now = due,
  rule: RetentionRule = DEFAULT_RETENTION_RULE,
) => retentionVerdict({ ...lead, ...changes }, consents, holds, rule, now);

describe('retention', () => {
  test('purges an old contact without consent or contract', () => {
    expect(judge()).toEqual({ purge: true, reasons: ['old_enough', 'no_consent', 'no_contract'] });
    expect(judge({}, {}, [], '2026-04-30T08:59:59.999Z')).toEqual({ purge: false, reasons: ['not_old_enough'] });
  });

  test('counts from creation where nobody knows when the data was obtained', () => {
    const changes = { obtainedAt: null, createdAt: '2026-02-01T09:00:00.000Z' };
    expect(judge(changes).purge).toBe(false);
    expect(judge(changes, {}, [], '2026-05-01T09:00:00Z').purge).toBe(true);
  });

  test.each([
    [{ state: 'purged' }, ['not_active']],
    [{ state: 'erased' }, ['not_active']],
    [{ contractEnd: '2026-04-30' }, ['contract_running']],
    [{ contractEnd: '2027-01-01' }, ['contract_running']],
    [{ contractEnd: 'unreadable' }, ['contract_running']],
    [{ relationship: 'customer' }, ['relationship_open_ended']],
    [{ relationship: 'supplier' }, ['relationship_open_ended']],
    [{ lastTransactionAt: '2024-04-30T09:00:00.001Z' }, ['recent_transaction']],
    [{ obtainedAt: 'unreadable', createdAt: 'unreadable' }, ['not_old_enough']],
  ])('keeps who has a reason to be kept (%#)', (changes, reasons) => {
    expect(judge(changes)).toEqual({ purge: false, reasons });
  });

  test.each([
    [{ contractEnd: '2026-04-29' }],
    [{ relationship: 'customer', contractEnd: '2026-04-29' }],
    [{ relationship: 'former_customer' }],
    [{ lastTransactionAt: '2024-04-30T09:00:00.000Z' }],
  ])('lets go when the reason is past (%#)', (changes) => {
    expect(judge(changes).purge).toBe(true);
  });

  test('is stopped by a given consent, not by an unknown or withdrawn one', () => {
    expect(judge({}, { newsletter: { state: 'given' } })).toEqual({ purge: false, reasons: ['consent_given'] });
    expect(judge({}, { newsletter: { state: 'unknown' }, events: { state: 'withdrawn' } }).purge).toBe(true);
    const only: RetentionRule = { ...DEFAULT_RETENTION_RULE, unless: { consentGiven: ['events'] } };
    expect(judge({}, { newsletter: { state: 'given' } }, [], due, only)).toEqual({
      purge: true,
      reasons: ['old_enough', 'no_consent'],
    });
  });

  test('is stopped by a hold', () => {
    expect(judge({}, {}, [hold])).toEqual({ purge: false, reasons: ['hold'] });
    expect(judge({}, {}, [{ ...hold, until: '2026-04-29' }]).purge).toBe(true);
  });

  test('names every reason to keep', () => {
    const changes = { relationship: 'customer', lastTransactionAt: '2026-01-01T00:00:00Z' };
    expect(judge(changes, { newsletter: { state: 'given' } }, [hold], '2026-02-01T00:00:00Z').reasons).toEqual([
      'not_old_enough',
      'consent_given',
      'relationship_open_ended',
      'recent_transaction',
      'hold',
    ]);
  });

  test('refuses to judge without a readable now', () => {
    expect(() => judge({}, {}, [], 'today')).toThrow(RangeError);
  });
});

describe('a hold', () => {
  test('holds to the end of its last day', () => {
    const until = { ...hold, until: '2026-04-30' };
    expect(activeHolds([until], '2026-04-30T23:59:59Z')).toEqual([until]);
    expect(activeHolds([until], '2026-05-01T00:00:00Z')).toEqual([]);
    expect(activeHolds([{ ...hold, until: 'unreadable' }], '2026-05-01T00:00:00Z')).toHaveLength(1);
  });

  test('may cover some systems only', () => {
    const some: Hold = { ...hold, id: 'h-2', scope: { kind: 'systems', systems: ['accounts'] }, until: '2026-08-01' };
    expect(holdsOn([hold, some], 'crm', due).map((each) => each.id)).toEqual(['h-1']);
    expect(holdsOn([hold, some], 'accounts', due).map((each) => each.id)).toEqual(['h-1', 'h-2']);
    expect(nextReview([hold, some])).toBe('2026-08-01');
    expect(nextReview([])).toBeNull();
  });
});

describe('calendar months', () => {
  test.each([
    ['2026-01-31', 1, '2026-02-28'],
    ['2028-01-31', 1, '2028-02-29'],
    ['2026-01-31', 3, '2026-04-30'],
    ['2026-11-30', 3, '2027-02-28'],
    ['2026-03-15', 24, '2028-03-15'],
  ])('%s and %i months is %s', (from, months, to) => {
    expect(dayOf(addMonths(parseDay(from) ?? 0, months))).toBe(to);
  });

  test('keep the time of day and never skip a month', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }),
        fc.integer({ min: 0, max: 120 }),
        (from, months) => {
          const to = new Date(addMonths(from.getTime(), months));
          expect(to.toISOString().slice(10)).toBe(from.toISOString().slice(10));
          expect((to.getUTCFullYear() - from.getUTCFullYear()) * 12 + to.getUTCMonth() - from.getUTCMonth()).toBe(
            months,
          );
        },
      ),
    );
  });
});

test.each([
  ['2026-02-30', null],
  ['2023-13-01', null],
  ['31/02/2025', null],
  ['2026-01-31T10:00:00', null],
  ['2026-02-30T10:00:00Z', null],
  ['2026-01-31T25:00:00Z', null],
  ['2028-02-29', '2028-02-29T00:00:00.000Z'],
  ['2026-01-31 10:00:00+0200', '2026-01-31T08:00:00.000Z'],
  ['2026-01-31T10:00:00.123456z', '2026-01-31T10:00:00.123Z'],
])('a moment is read only where it is one (%#)', (text, expected) => {
  const ms = parseMoment(text);
  expect(ms === null ? null : new Date(ms).toISOString()).toBe(expected);
});
