import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CONSENT_DOORS,
  CONSENT_KINDS,
  CONSENT_STATES,
  consentState,
  consentStates,
  isKnownEvidence,
  isStricterReading,
  strictest,
  stricterThan,
  type ConsentEvent,
} from '../../domain/consent.ts';

const proof = { channel: 'web_form', statement: 'newsletter-1', door: 'preference_centre', byPerson: true } as const;

/** Events in the order of recording, one a day from the first of May 2026. */
function history(...events: Partial<ConsentEvent>[]): ConsentEvent[] {
  return events.map((event, index) => ({
    id: index + 1,
    purpose: 'newsletter',
    kind: 'given',
    happenedAt: `2026-05-${String(index + 1).padStart(2, '0')}T10:00:00Z`,
    recordedAt: `2026-05-${String(index + 1).padStart(2, '0')}T10:00:01Z`,
    recordedBy: 'test',
    ...proof,
    ...event,
  }));
}

const notes = (events: ConsentEvent[], known?: ReadonlySet<string>) =>
  consentState(events, known).reasons.map((reason) => `${reason.eventId}:${reason.note}`);

describe('consent', () => {
  test('of nobody is unknown', () => {
    expect(consentState([])).toEqual({ state: 'unknown', since: null, because: null, evidence: null, reasons: [] });
  });

  test('given with proof counts and names its evidence', () => {
    expect(consentState(history({}))).toMatchObject({
      state: 'given',
      since: '2026-05-01T10:00:00Z',
      because: 1,
      evidence: 1,
    });
  });

  test.each([
    [{ happenedAt: null }, 'no_proof_when'],
    [{ happenedAt: '30/02/2026' }, 'no_proof_when'],
    [{ happenedAt: '2026-04-01T10:00:00' }, 'no_proof_when'],
    [{ channel: null }, 'no_proof_how'],
    [{ channel: ' ' }, 'no_proof_how'],
    [{ statement: null }, 'no_proof_wording'],
    [{ statement: 'never-shown' }, 'no_proof_wording'],
    [{ happenedAt: '2026-05-01T10:06:00Z' }, 'future_stated'],
    [{ door: 'vendor' }, 'door_never_permits'],
    [{ door: 'engine' }, 'door_never_permits'],
  ] as const)('given without full proof stays unknown (%#)', (event, note) => {
    const known = new Set(['newsletter-1']);
    expect(consentState(history(event), known)).toMatchObject({ state: 'unknown', evidence: null });
    expect(notes(history(event), known)).toEqual([`1:${note}`]);
  });

  test('given a little ahead of our clock counts', () => {
    expect(consentState(history({ happenedAt: '2026-05-01T10:04:00Z' })).state).toBe('given');
  });

  test('refused or withdrawn counts without any proof', () => {
    const bare = { happenedAt: null, channel: null, statement: null, door: 'csv', byPerson: false } as const;
    expect(consentState(history({}, { ...bare, kind: 'withdrawn' }))).toMatchObject({ state: 'withdrawn', because: 2 });
    expect(consentState(history({ ...bare, kind: 'refused' }))).toMatchObject({ state: 'refused', because: 1 });
  });

  test('withdrawn is left by the fresh word of the person', () => {
    expect(consentState(history({}, { kind: 'withdrawn' }, {}))).toMatchObject({ state: 'given', evidence: 3 });
  });

  test.each([
    [{ door: 'csv' }, ['door_never_lifts']],
    [{ door: 'operator' }, ['door_never_lifts']],
    [{ door: 'sql' }, ['door_never_lifts']],
    [{ door: 'vendor' }, ['door_never_permits', 'door_never_lifts']],
    [{ byPerson: false }, ['not_by_person']],
    [{ happenedAt: '2026-05-02T10:00:00Z' }, ['not_later_than_withdrawal']],
    [{ happenedAt: '2026-05-01T00:00:00Z' }, ['not_later_than_withdrawal']],
    [{ happenedAt: '2027-01-01T00:00:00Z' }, ['future_stated']],
  ] as const)('withdrawn is left by nothing else (%#)', (event, expected) => {
    const events = history({}, { kind: 'withdrawn' }, event);
    expect(consentState(events).state).toBe('withdrawn');
    expect(notes(events).slice(2)).toEqual(expected.map((note) => `3:${note}`));
  });

  test('a withdrawal known only by its day covers the whole of that day', () => {
    const withdrawn = { kind: 'withdrawn', happenedAt: '2026-05-03', recordedAt: '2026-05-04T00:00:00Z' } as const;
    const given = (happenedAt: string) => ({ happenedAt, recordedAt: '2026-05-05T00:00:00Z' });
    expect(consentState(history(withdrawn, given('2026-05-03T12:00:00Z'))).state).toBe('withdrawn');
    expect(consentState(history(withdrawn, given('2026-05-04T00:00:00Z'))).state).toBe('given');
  });

  test('a withdrawal stated for the future does not bar a later consent for ever', () => {
    expect(consentState(history({ kind: 'withdrawn', happenedAt: '2099-01-01T00:00:00Z' }, {})).state).toBe('given');
  });

  test('expiry and reset end a consent, and an older one does not bring it back', () => {
    for (const kind of ['expired', 'reset'] as const) {
      const ended = history({}, { kind }, { happenedAt: '2026-05-01T12:00:00Z' });
      expect(consentState(ended)).toMatchObject({ state: 'unknown', because: 2, evidence: null });
      expect(notes(ended).at(-1)).toBe('3:not_later_than_reset');
      expect(consentState(history({}, { kind }, {})).state).toBe('given');
    }
  });

  test('a confirmation moves the evidence on, an older paper does not', () => {
    expect(consentState(history({}, {}))).toMatchObject({ state: 'given', because: 1, evidence: 2 });
    expect(consentState(history({}, { happenedAt: '2020-01-01T00:00:00Z' }))).toMatchObject({
      because: 1,
      evidence: 1,
    });
  });

  test('of one purpose says nothing of another', () => {
    const states = consentStates(history({}, { kind: 'withdrawn', purpose: 'events' }), [
      'newsletter',
      'events',
      'post',
    ]);
    expect(Object.values(states).map((result) => result.state)).toEqual(['given', 'withdrawn', 'unknown']);
  });
});

const moments = fc.oneof(
  fc.constant(null),
  fc.integer({ min: 0, max: 40 }).map((day) => new Date(Date.UTC(2026, 4, 1 + day, 12)).toISOString()),
  fc.integer({ min: 0, max: 40 }).map((day) => new Date(Date.UTC(2026, 4, 1 + day)).toISOString().slice(0, 10)),
  fc.constantFrom('2026-02-30', 'yesterday', '9999-12-31T23:59:59Z'),
);
const anyEvent = fc.record({
  purpose: fc.constant('newsletter'),
  kind: fc.constantFrom(...CONSENT_KINDS),
  happenedAt: moments,
  channel: fc.constantFrom('web_form', null),
  statement: fc.constantFrom('newsletter-1', null),
  recordedBy: fc.constant('test'),
  door: fc.constantFrom(...CONSENT_DOORS),
  byPerson: fc.boolean(),
});
/** Recorded one a day: the id and the database's clock grow together, as the central sequence makes them. */
const recorded = (events: Omit<ConsentEvent, 'id' | 'recordedAt'>[]): ConsentEvent[] =>
  events.map((event, index) => ({
    ...event,
    id: index + 1,
    recordedAt: new Date(Date.UTC(2026, 4, 1 + index, 18)).toISOString(),
  }));
const anyHistory = fc.array(anyEvent, { maxLength: 20 }).map(recorded);
const isRestriction = (event: ConsentEvent) => event.kind === 'withdrawn' || event.kind === 'refused';

describe('for any history, consent', () => {
  test('is left from withdrawn only by fresh evidence of the person, whatever the order of recording', () => {
    const anyOrder = fc
      .array(anyEvent, { maxLength: 12 })
      .chain((events) => fc.shuffledSubarray(events, { minLength: events.length, maxLength: events.length }))
      .map(recorded);
    fc.assert(
      fc.property(anyOrder, (events) => {
        const { state, evidence } = consentState(events);
        const lastRestriction = events.findLast(isRestriction);
        fc.pre(lastRestriction !== undefined);
        if (state === 'withdrawn' || state === 'refused') return;
        const lifting = events.filter(
          (event) =>
            event.id > lastRestriction.id &&
            event.kind === 'given' &&
            event.byPerson &&
            (event.door === 'api' || event.door === 'preference_centre') &&
            event.channel !== null &&
            event.statement !== null &&
            event.happenedAt !== null,
        );
        expect(lifting.length).toBeGreaterThan(0);
        const statedWhen = (event: ConsentEvent) =>
          Math.min(Date.parse(event.happenedAt ?? '') || Infinity, Date.parse(event.recordedAt));
        const latest = Math.max(...events.filter(isRestriction).map(statedWhen));
        expect(lifting.some((event) => Date.parse(event.happenedAt ?? '') > latest)).toBe(true);
        if (state === 'given') expect(evidence).not.toBeNull();
      }),
      { numRuns: 5_000 },
    );
  });

  test('does not depend on the order in which events are handed over', () => {
    fc.assert(
      fc.property(
        anyHistory.chain((events) =>
          fc.tuple(
            fc.constant(events),
            fc.shuffledSubarray(events, { minLength: events.length, maxLength: events.length }),
          ),
        ),
        ([events, shuffled]) => {
          expect(consentState(shuffled)).toEqual(consentState(events));
        },
      ),
    );
  });

  test('stays withdrawn after any import, vendor reading or operator entry', () => {
    const notThePerson = anyEvent.map((event) => ({ ...event, door: event.door }));
    const foreign = fc
      .tuple(notThePerson, fc.constantFrom('csv', 'vendor', 'operator', 'sql', 'engine'))
      .map(([event, door]) => ({ ...event, door }) as const);
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 8 }), fc.array(foreign, { maxLength: 20 }), (before, imported) => {
        const withdrawal = { ...anyWithdrawal, happenedAt: null };
        const events = recorded([...before, withdrawal, ...imported]);
        expect(['withdrawn', 'refused']).toContain(consentState(events).state);
      }),
      { numRuns: 2_000 },
    );
  });

  test('never becomes looser by expiry, reset, refusal or withdrawal', () => {
    fc.assert(
      fc.property(
        anyHistory,
        fc.constantFrom('expired', 'reset', 'refused', 'withdrawn'),
        moments,
        (events, kind, when) => {
          const before = consentState(events).state;
          const more = recorded([...events, { ...anyWithdrawal, kind, happenedAt: when }]);
          expect(stricterThan(before, consentState(more).state)).toBe(false);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('is given only with an evidence that is a given with full proof', () => {
    fc.assert(
      fc.property(anyHistory, (events) => {
        const result = consentState(events);
        const evidence = events.find((event) => event.id === result.evidence);
        expect(evidence !== undefined).toBe(result.state === 'given');
        if (evidence === undefined) return;
        expect(evidence).toMatchObject({ kind: 'given', channel: 'web_form', statement: 'newsletter-1' });
        expect(Date.parse(evidence.happenedAt ?? '')).toBeLessThanOrEqual(Date.parse(evidence.recordedAt) + 300_000);
      }),
      { numRuns: 2_000 },
    );
  });

  test('has a note on every event', () => {
    fc.assert(
      fc.property(anyHistory, (events) => {
        const noted = new Set(consentState(events).reasons.map((reason) => reason.eventId));
        expect(noted).toEqual(new Set(events.map((event) => event.id)));
      }),
    );
  });
});

const anyWithdrawal = {
  purpose: 'newsletter',
  kind: 'withdrawn',
  channel: null,
  statement: null,
  recordedBy: 'test',
  door: 'csv',
  byPerson: false,
} as const;

test('the strictest of several stands', () => {
  expect(strictest(['given', 'given'])).toBe('given');
  expect(strictest(['given', 'unknown'])).toBe('unknown');
  expect(strictest(['unknown', 'refused', 'given'])).toBe('refused');
  expect(strictest([])).toBe('unknown');
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...CONSENT_STATES), { minLength: 1 }), (states) => {
      const found = strictest(states);
      expect(states).toContain(found);
      expect(states.some((state) => stricterThan(state, found))).toBe(false);
    }),
  );
});

test.each([
  ['unsubscribed', 'given', 'subscribed', false, true],
  ['unsubscribed', 'given', null, false, true],
  ['unsubscribed', 'unknown', 'none', false, true],
  ['unsubscribed', 'unknown', 'unsubscribed', false, false],
  ['unsubscribed', 'unknown', 'subscribed', true, false],
  ['unsubscribed', 'withdrawn', 'subscribed', false, false],
  ['complained', 'unknown', 'unsubscribed', true, true],
  ['complained', 'given', 'complained', false, true],
  ['complained', 'refused', null, false, false],
  ['undeliverable', 'given', 'subscribed', false, false],
  ['pending', 'given', 'subscribed', false, false],
  ['none', 'given', 'subscribed', false, false],
  ['subscribed', 'unknown', null, false, false],
] as const)('a vendor reading is a withdrawal or not (%#)', (observed, state, lastVerified, writtenByUs, expected) => {
  expect(isStricterReading(observed, state, lastVerified, writtenByUs)).toBe(expected);
});

test('the same evidence twice is known, and another moment is not', () => {
  const [event] = history({ happenedAt: '2026-05-01T10:00:00.000Z' });
  const facts = { ...proof, purpose: 'newsletter', kind: 'given', happenedAt: '2026-05-01T10:00:00Z' } as const;
  expect(isKnownEvidence(event === undefined ? [] : [event], facts)).toBe(true);
  expect(isKnownEvidence(event === undefined ? [] : [event], { ...facts, happenedAt: null })).toBe(false);
});
