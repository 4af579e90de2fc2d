/** Access tokens that end: what a connector makes of it, for vendors where they do. */
import { expect, test } from 'vitest';
import type { Item, ItemResult } from '../../connectors/kit/connector.ts';
import { isSuccess } from '../../domain/outcome.ts';
import { person } from './fixture.ts';
import type { Bench, Facts, PersonOptions } from './fixture.ts';

/** What the suite lends. */
interface Lent {
  facts: Facts;
  bench: () => Bench;
  deliver: (...items: Item[]) => Promise<ItemResult[]>;
  make: (options?: PersonOptions) => Promise<{ item: Item; id: string }>;
  familyOf: (id: string) => Promise<string | undefined>;
}

/** @param tokens path of the token endpoint */
export function tokenCases(tokens: string, { facts, bench, deliver, make, familyOf }: Lent): void {
  const asked = async (): Promise<number> =>
    ((await bench().control('GET', '/counters')) as { calls: Record<string, number> }).calls[`POST ${tokens}`] ?? 0;

  /** Delivers until both parts are done. @returns the codes of what was to be tried again */
  const untilDone = async (item: Item): Promise<string[]> => {
    const codes: string[] = [];
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const [result] = await deliver(item);
      const parts = result === undefined ? [] : [result.data, result.consent];
      const open = parts.filter((part) => !isSuccess(part) && part.kind !== 'not_supported');
      if (open.length === 0) return codes;
      // Nothing that needs a person or a second look.
      for (const part of open) expect(part.kind, JSON.stringify(part)).toBe('retry');
      codes.push(...open.map((part) => ('code' in part ? (part.code ?? '') : '')));
    }
    throw new Error(`not done: ${codes.join(', ')}`);
  };

  test('a token that ends in the middle of work costs one new token, and nothing is lost', async () => {
    const { item, id } = await make();
    const before = await asked();
    bench().sandbox.settings.clockOffsetMs += 31 * 60_000;
    const fields = { ...item.want.fields, [facts.fields.family]: 'Later' };
    const codes = await untilDone({ ...item, want: { ...item.want, fields } });
    expect(codes.every((code) => code === 'token_renewed')).toBe(true);
    expect(await asked()).toBe(before + 1);
    expect(await familyOf(id)).toBe('Later');
  });

  test('a check that meets an ended token is to be tried once more, and is not a matter of credentials', async () => {
    await make();
    bench().sandbox.settings.clockOffsetMs += 31 * 60_000;
    await expect(bench().connector.check(bench().gate)).rejects.toMatchObject({
      outcome: { kind: 'retry', code: 'token_renewed' },
    });
    expect(await bench().connector.check(bench().gate)).toEqual([]);
  });

  test('a token endpoint that does not answer is a retry, never an unknown outcome', async () => {
    bench().sandbox.settings.clockOffsetMs += 31 * 60_000;
    const fired = await bench().fault('cut-after', { path: tokens });
    const codes = await untilDone(person(facts));
    expect(await fired()).toBe(1);
    expect(codes).toContain('token_no_answer');
  });
}
