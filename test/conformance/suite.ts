/** The one suite that every connector passes: the rules of connectors/kit/connector.ts, against the vendor's sandbox. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LEFT } from '../../connectors/kit/connector.ts';
import type { Item, ItemResult, Observation } from '../../connectors/kit/connector.ts';
import { isSuccess } from '../../domain/outcome.ts';
import { person, startBench } from './fixture.ts';
import type { Bench, Facts } from './fixture.ts';
import { tokenCases } from './tokens.ts';

export function conformance(facts: Facts): void {
  describe(`${facts.vendor}${facts.by === undefined ? '' : ` by ${facts.by}`} keeps the contract`, () => {
    let bench: Bench;
    /** Every outcome of every case, to look through at the end. */
    const outcomes: ItemResult[] = [];

    beforeAll(async () => {
      bench = await startBench(facts);
      await bench.control('POST', '/records', [1, 2, 3].map(facts.stranger));
      expect(await bench.connector.check(bench.gate)).toEqual([]);
    });
    afterEach(async () => {
      await bench.control('DELETE', '/faults');
    });
    afterAll(async () => {
      await bench?.close();
    });

    async function deliver(...items: Item[]): Promise<ItemResult[]> {
      const results = await bench.connector.deliver(items, bench.gate);
      outcomes.push(...results);
      expect(results).toHaveLength(items.length);
      return results;
    }

    async function make(options: Parameters<typeof person>[1] = {}): Promise<{ item: Item; id: string }> {
      const item = person(facts, options);
      const [result] = await deliver(item);
      expect(result && isSuccess(result.data), JSON.stringify(result)).toBe(true);
      const id = result?.externalIds[0] ?? '';
      expect(id).not.toBe('');
      return { item: { ...item, externalIds: [id], known: knownOf(item) }, id };
    }

    function knownOf(item: Item): Item['known'] {
      const target = facts.consentTarget;
      const state = target === null ? undefined : item.want.consents[target]?.state;
      return {
        key: item.want.key,
        consents: target === null || state === undefined || state === 'untouched' ? {} : { [target]: state },
      };
    }

    async function read(item: Item): Promise<Observation | null> {
      const [reading] = await bench.connector.verify([item], bench.gate);
      if (reading === undefined || (reading !== null && 'unread' in reading)) throw new Error('it could not be read');
      return reading;
    }

    const familyOf = async (id: string): Promise<string | undefined> => {
      const record = await bench.held(id);
      return record === null ? undefined : facts.family(record);
    };
    const consentOf = async (id: string): Promise<string | undefined> => {
      const record = await bench.held(id);
      return record === null ? undefined : facts.consent(record);
    };
    const copiesOf = async (item: Item): Promise<number> => {
      const [address] = item.identity.addresses;
      return (await bench.all()).filter((r) =>
        JSON.stringify(r)
          .toLowerCase()
          .includes(address ?? ''),
      ).length;
    };
    const changed = (item: Item, family: string): Item => ({
      ...item,
      want: { ...item.want, fields: { ...item.want.fields, [facts.fields.family]: family } },
      parts: { data: true, consent: false },
    });

    test('what is created is read back as wanted', async () => {
      const { item, id } = await make();
      const reading = await read(item);
      expect(reading).toMatchObject({ externalId: id, presence: 'present' });
      expect(reading?.fields[facts.fields.family]).toBe(item.want.fields[facts.fields.family]);
      expect(reading?.reference).toBe(item.reference);
      if (facts.consentTarget !== null) expect(reading?.consents[facts.consentTarget]).toBe('subscribed');
    });

    test('delivering the same again creates nothing', async () => {
      const { item } = await make();
      await deliver({ ...item, externalIds: [], lookFirst: true });
      expect(await copiesOf(item)).toBe(1);
    });

    test('a hurried batch begins no more calls, and who is left was not touched', async () => {
      const items = [person(facts), person(facts), person(facts)];
      const results = await bench.connector.deliver(items, { ...bench.gate, isHurried: true });
      expect(results).toHaveLength(items.length);
      const isLeft = facts.isShort !== true;
      expect(results.map(({ data, consent }) => [data === LEFT, consent === LEFT])).toEqual(
        items.map(() => [isLeft, isLeft]),
      );
      expect(await Promise.all(items.map(copiesOf))).toEqual(items.map(() => (isLeft ? 0 : 1)));
    });

    test('a mixed batch gives one result per item, in order', async () => {
      const standing = await make();
      const items = [
        person(facts),
        changed(standing.item, 'Reordered'),
        person(facts, { presence: 'if_there', lookFirst: true }),
        person(facts, { presence: 'erased', lookFirst: true }),
        person(facts),
      ];
      const results = await deliver(...items);
      expect(results.map((r) => isSuccess(r.data))).toEqual([true, true, true, true, true]);
      expect(results[1]?.externalIds[0]).toBe(standing.id);
      expect(results[2]?.data.kind).toBe('not_held');
      expect(results[3]?.data.kind).toBe('not_held');
      expect(results[0]?.externalIds[0]).not.toBe(results[4]?.externalIds[0]);
    });

    test('who is only followed is never created', async () => {
      const item = person(facts, { presence: 'if_there', lookFirst: true });
      await deliver(item);
      expect(await copiesOf(item)).toBe(0);
    });

    test('an update by id touches nobody else', async () => {
      const before = JSON.stringify((await bench.all()).filter((r) => JSON.stringify(r).includes('stranger')));
      const { item, id } = await make();
      await deliver(changed(item, 'Corrected'));
      expect(await familyOf(id)).toBe('Corrected');
      const after = JSON.stringify((await bench.all()).filter((r) => JSON.stringify(r).includes('stranger')));
      expect(after).toBe(before);
    });

    test('a record deleted by hand is told as gone, and is made again when looked for', async () => {
      const { item, id } = await make();
      await bench.control('DELETE', `/records/${encodeURIComponent(id)}`);
      const [first] = await deliver(changed(item, 'Again'));
      const again = { ...changed(item, 'Again'), externalIds: first?.externalIds ?? [], lookFirst: true };
      if (first !== undefined && !isSuccess(first.data)) await deliver(again);
      expect(await copiesOf(item)).toBe(1);
    });

    describe('leaving', () => {
      test('erasure by a stored id is proven, and a repeat finds nothing', async () => {
        const { item, id } = await make();
        const leaving: Item = {
          ...person(facts, { presence: 'erased' }),
          reference: item.reference,
          externalIds: [id],
          identity: item.identity,
        };
        const [result] = await deliver(leaving);
        expect(result?.data.kind).toBe('applied');
        expect(facts.isGone(await bench.held(id))).toBe(true);
        expect(JSON.stringify(await bench.all()).toLowerCase()).not.toContain(item.identity.addresses[0]);
      });

      test('erasure without an id looks by reference and address', async () => {
        const { item, id } = await make();
        const leaving: Item = {
          ...person(facts, { presence: 'erased', lookFirst: true }),
          reference: item.reference,
          identity: item.identity,
        };
        await deliver(leaving);
        expect(facts.isGone(await bench.held(id))).toBe(true);
      });

      test.each(['erased', 'purged', 'outside'] as const)(
        '%s: a record of somebody else under that id is left alone',
        async (presence) => {
          const { id } = await make();
          const record = JSON.stringify(await bench.held(id));
          const wrong: Item = { ...person(facts, { presence }), externalIds: [id] };
          const [result] = await deliver(wrong);
          expect(result && isSuccess(result.data) && result.data.kind !== 'not_held', JSON.stringify(result)).toBe(
            false,
          );
          expect(JSON.stringify(await bench.held(id))).toBe(record);
        },
      );

      test.each(['purged', 'outside'] as const)(
        '%s: leaves, and is read back as gone or archived',
        async (presence) => {
          const { item, id } = await make();
          const leaving: Item = {
            ...person(facts, { presence }),
            reference: item.reference,
            externalIds: [id],
            identity: item.identity,
          };
          const [result] = await deliver(leaving);
          expect(result && isSuccess(result.data)).toBe(true);
          const reading = await read(leaving);
          expect(reading === null || reading.presence !== 'present').toBe(true);
        },
      );
    });

    describe('faults', () => {
      test.each(['500-after', 'cut-after', 'truncate'])(
        '%s on a create is unknown; looking first finds the one record',
        async (name) => {
          const fired = await bench.fault(name, facts.creates);
          const item = person(facts);
          const [result] = await deliver(item);
          expect(await fired()).toBe(1);
          expect(result?.data.kind).toBe('unknown');
          const [second] = await deliver({ ...item, lookFirst: true });
          expect(second && isSuccess(second.data), JSON.stringify(second)).toBe(true);
          expect(await copiesOf(item)).toBe(1);
        },
      );

      test.each(['429-retry-after', '429'])('%s: nothing happened, the account is told, try again', async (name) => {
        const fired = await bench.fault(name, facts.creates, { seconds: 1 });
        const item = person(facts);
        const [result] = await deliver(item);
        expect(await fired()).toBe(1);
        expect(result?.data.kind).toBe('retry');
        expect(await copiesOf(item)).toBe(0);
        expect(bench.gate.readings.some((r) => (r.blockedForMs ?? 0) > 0)).toBe(true);
      });

      test('a hang ends at the time limit of the call', async () => {
        const fired = await bench.fault('hang', facts.creates, { effect: 'before' });
        const item = person(facts);
        const started = performance.now();
        const [result] = await deliver(item);
        expect(await fired()).toBe(1);
        expect(performance.now() - started).toBeLessThan(10_000);
        expect(result?.data.kind).toBe('unknown');
        await deliver({ ...item, lookFirst: true });
        expect(await copiesOf(item)).toBe(1);
      });

      test('answered as if done: the reading shows the old value', async () => {
        const { item, id } = await make();
        const fired = await bench.fault('ignore', facts.updates);
        await deliver(changed(item, 'Ignored'));
        expect(await fired()).toBe(1);
        expect((await read(item))?.fields[facts.fields.family]).not.toBe('Ignored');
        expect(await familyOf(id)).not.toBe('Ignored');
      });

      test.each(['html', 'redirect', 'bare-403'])('%s never counts as success', async (name) => {
        const fired = await bench.fault(name, facts.creates);
        const item = person(facts);
        const [result] = await deliver(item);
        expect(await fired()).toBe(1);
        expect(result && isSuccess(result.data)).toBe(false);
        expect(await copiesOf(item)).toBe(0);
      });

      test('refused credentials are unauthorised, after a token was renewed where there is one', async () => {
        const fired = await bench.fault('token-expired', { path: '/(crm|3\\.0|api\\.xro)/' }, {}, 50);
        const item = person(facts);
        let kind: string | undefined;
        for (let attempt = 0; attempt < 3 && kind !== 'unauthorised'; attempt += 1) {
          const [result] = await deliver({ ...item, lookFirst: attempt > 0 });
          kind = result?.data.kind;
        }
        expect(await fired()).toBeGreaterThan(0);
        expect(kind).toBe('unauthorised');
        expect(await copiesOf(item)).toBe(0);
      });

      test('a reading that is cut is not read, and nothing is concluded from it', async () => {
        const { item } = await make();
        const fired = await bench.fault('cut-before', facts.reads, {}, 5);
        const [reading] = await bench.connector.verify([item], bench.gate);
        expect(await fired()).toBeGreaterThan(0);
        expect(reading !== null && reading !== undefined && 'unread' in reading).toBe(true);
      });
    });

    if (facts.consentTarget !== null)
      describe('consent', () => {
        test('a rectification never touches it', async () => {
          for (const consent of ['subscribed', 'unsubscribed'] as const) {
            const { item, id } = await make({ consent: 'subscribed' });
            if (consent === 'unsubscribed')
              await bench.control('PATCH', `/records/${encodeURIComponent(id)}`, facts.unsubscribes);
            const before = await consentOf(id);
            await deliver(changed(item, 'Rectified'));
            expect(await familyOf(id)).toBe('Rectified');
            expect(await consentOf(id)).toBe(before);
          }
        });

        test('a withdrawal is written and read back', async () => {
          const { item } = await make();
          const target = facts.consentTarget ?? '';
          const withdrawn: Item = {
            ...item,
            want: { ...item.want, consents: { [target]: { state: 'unsubscribed' } } },
            parts: { data: false, consent: true },
          };
          const [result] = await deliver(withdrawn);
          expect(result?.consent.kind).toBe('applied');
          expect((await read(withdrawn))?.consents[target]).toBe('unsubscribed');
        });

        test('who left at the vendor is not brought back: stricter, and nothing is written', async () => {
          const { item, id } = await make();
          await bench.control('PATCH', `/records/${encodeURIComponent(id)}`, facts.unsubscribes);
          const [result] = await deliver({ ...item, parts: { data: false, consent: true } });
          expect(result?.consent.kind).toBe('stricter');
          expect(result?.observation?.consents[facts.consentTarget ?? '']).toBe('unsubscribed');
          const reading = await read(item);
          expect(reading?.consents[facts.consentTarget ?? '']).toBe('unsubscribed');
        });

        test('a wish without evidence subscribes nobody', async () => {
          const target = facts.consentTarget ?? '';
          const { item } = await make({ consent: 'unsubscribed' });
          await deliver({
            ...item,
            want: { ...item.want, consents: { [target]: { state: 'subscribed', evidence: '' } } },
            parts: { data: false, consent: true },
          });
          expect((await read(item))?.consents[target]).not.toBe('subscribed');
        });

        test('a new address keeps a withdrawal', async () => {
          const target = facts.consentTarget ?? '';
          const { item } = await make({ consent: 'unsubscribed' });
          const moved = `moved.${item.want.key}`;
          const rekeyed: Item = {
            ...item,
            want: {
              ...item.want,
              key: moved,
              fields:
                facts.fields.email === null ? item.want.fields : { ...item.want.fields, [facts.fields.email]: moved },
            },
            identity: { ...item.identity, addresses: [moved, ...item.identity.addresses] },
          };
          const [result] = await deliver(rekeyed);
          expect(result && isSuccess(result.data), JSON.stringify(result)).toBe(true);
          const after = { ...rekeyed, externalIds: result?.externalIds ?? [] };
          const reading = await read(after);
          expect(reading?.addresses.map((a) => a.toLowerCase())).toContain(moved);
          expect(reading?.consents[target]).toBe('unsubscribed');
        });
      });

    if (facts.tokens !== undefined) tokenCases(facts.tokens, { facts, bench: () => bench, deliver, make, familyOf });

    test('a scan meets everything once, and collect gives what is held', async () => {
      const { item, id } = await make();
      const met: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await bench.connector.scan(cursor, bench.gate);
        met.push(...page.observations.map((o) => o.externalId));
        ({ cursor } = page);
      } while (cursor !== undefined);
      expect(met).toContain(id);
      expect(new Set(met).size).toBe(met.length);
      const collected = await bench.connector.collect(id, bench.gate);
      expect(JSON.stringify(collected).toLowerCase()).toContain(item.identity.addresses[0]);
    });

    test('no outcome of any case names a person, an address or a secret', () => {
      const text = JSON.stringify(outcomes.map(({ data, consent }) => [data, consent])).toLowerCase();
      expect(outcomes.length).toBeGreaterThan(20);
      for (const word of ['zaphira', 'quenthor', 'example.com', ...Object.values(facts.secrets)])
        expect(text).not.toContain(word.toLowerCase());
    });
  });
}
