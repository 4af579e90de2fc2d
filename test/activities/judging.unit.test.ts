/** Comparing readings with what is wanted, and what follows from them. */
import { expect, test } from 'vitest';
import { compareReading, judge } from '../../activities/judging.ts';
import type { Planned } from '../../activities/planning.ts';
import type { Capabilities, ItemResult, Observation } from '../../connectors/kit/connector.ts';
import type { SystemRules, Want } from '../../domain/want.ts';

const capabilities = { erase: 'scrub_and_archive', purge: 'scrub_and_archive' } as Capabilities;
const rules = { fields: [] as SystemRules['fields'] } as SystemRules;
const want: Want = {
  presence: 'present',
  key: 'a@example.com',
  fields: { FirstName: 'Ann', 'Phones.DEFAULT': '123' },
  consents: {},
};
const reading: Observation = {
  externalId: '1',
  reference: null,
  presence: 'present',
  addresses: ['office@example.com', 'a@example.com'],
  fields: { FirstName: 'Ann' },
  consents: {},
};
const differing = (shared: boolean, fields: Record<string, string>) =>
  compareReading(want, { ...reading, fields, shared }, rules, capabilities, { addresses: [], names: [] }).fields;

test('in a record that also holds others, only what it tells of the person is compared', () => {
  expect(differing(true, { FirstName: 'Ann' })).toEqual([]);
  expect(differing(true, { FirstName: 'Anne' })).toEqual(['FirstName']);
  expect(differing(false, { FirstName: 'Ann' })).toEqual(['Phones.DEFAULT']);
});

const NONE = { fields: [], consents: [], key: false, presence: false };
const NOT_HELD: ItemResult = { data: { kind: 'not_held' }, consent: { kind: 'not_held' }, externalIds: [] };
const APPLIED: ItemResult = { data: { kind: 'applied' }, consent: { kind: 'unchanged' }, externalIds: ['1'] };

function planned(presence: Want['presence'], ledger: Partial<Planned['loaded']['ledger']> = {}): Planned {
  const fresh = {
    wanted: 2,
    mismatches: 0,
    lookFirst: false,
    distrust: false,
    rereading: false,
    dataOutcome: 'applied',
    dataCode: null,
  };
  return {
    want: { ...want, presence },
    parts: { data: true, consent: true },
    dataHash: 'd',
    consentHash: 'c',
    loaded: { contact: { id: 'a', version: 1 }, externalIds: ['1'], ledger: { ...fresh, ...ledger } },
  } as unknown as Planned;
}

const found = (presence: Want['presence'], ledger: Partial<Planned['loaded']['ledger']>, result = NOT_HELD) =>
  judge(planned(presence, ledger), ['1'], result, undefined, NONE, []);

test.each(['erased', 'purged', 'outside', 'if_there'] as const)(
  'one look that does not find who was written settles nothing; a second does, and later readings follow once (%s)',
  (presence) => {
    const first = found(presence, {});
    expect(first).toMatchObject({ settled: false, lookFirst: true, distrust: true, verified: null, externalIds: null });
    expect(first.recheck).toBe(false);
    expect(first.notBeforeMs).toBeGreaterThan(0);
    const { lookFirst, distrust, dataOutcome, dataCode } = first;
    const second = found(presence, { lookFirst, distrust, dataOutcome, dataCode });
    const gone = { settled: true, lookFirst: false, verified: { presence: 'gone' }, externalIds: [], dataCode: null };
    expect(second).toMatchObject({ ...gone, recheck: true });

    // A later reading, under an id that is known still: two looks again, and then it is over.
    const later = { rereading: true, distrust: true, dataOutcome: 'not_held' };
    const third = found(presence, later);
    expect(third).toMatchObject({ settled: false, recheck: false });
    const fourth = found(presence, { ...later, lookFirst: true, dataCode: third.dataCode });
    expect(fourth).toMatchObject({ ...gone, recheck: false });
  },
);

test('the second look counts only where it came to an end', () => {
  const retry: ItemResult = { ...NOT_HELD, consent: { kind: 'retry', code: 'rate_limit' } };
  const first = found('outside', {}, retry);
  const { lookFirst, distrust, dataOutcome, dataCode } = first;
  const second = found('outside', { lookFirst, distrust, dataOutcome, dataCode }, retry);
  expect(second).toMatchObject({ settled: false, recheck: false, dataCode, externalIds: null });
});

test('where only consent was asked for, it is that which was not found', () => {
  const only = planned('if_there');
  only.parts.data = false;
  const result: ItemResult = { data: { kind: 'unchanged' }, consent: { kind: 'not_held' }, externalIds: ['1'] };
  expect(judge(only, ['1'], result, null, NONE, [])).toMatchObject({ settled: false, lookFirst: true });
});

test('who was never there, as far as is known, is not looked for twice', () => {
  expect(judge(planned('erased'), [], NOT_HELD, undefined, NONE, [])).toMatchObject({ settled: true, recheck: false });
  const doubted = planned('erased', { lookFirst: true });
  expect(judge(doubted, [], NOT_HELD, undefined, NONE, [])).toMatchObject({ settled: false });
});

test.each(['if_there', 'outside', 'purged'] as const)(
  'who was written and is not there is no success (%s)',
  (presence) => {
    const first = judge(planned(presence), ['1'], APPLIED, null, NONE, []);
    expect(first).toMatchObject({ settled: false, distrust: true, mismatches: 1 });
    const again = judge(planned(presence, { mismatches: 1 }), ['1'], APPLIED, null, NONE, []);
    // A named problem, and still in doubt: whatever changes next looks for them first, and so do later readings.
    expect(again).toMatchObject({ settled: true, dataOutcome: 'mismatch', lookFirst: true, recheck: true });
    const later = judge(planned(presence, { mismatches: 1, rereading: true }), ['1'], APPLIED, null, NONE, []);
    expect(later).toMatchObject({ settled: true, dataOutcome: 'mismatch', lookFirst: true, recheck: false });
  },
);

test('who was erased by the vendor itself is not there, and that is the proof', () => {
  expect(judge(planned('erased'), ['1'], APPLIED, null, NONE, [])).toMatchObject({
    settled: true,
    mismatches: 0,
    verified: { presence: 'gone' },
  });
});
