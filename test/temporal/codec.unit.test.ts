/** The codec by itself: what is sealed, with which key, and what does not open. */
import { decode, encode } from '@temporalio/common/lib/encoding.js';
import type { Payload } from '@temporalio/common';
import { describe, expect, test } from 'vitest';
import type { NamedKey } from '../../domain/keys.ts';
import { createCodec, sealedWith } from '../../temporal/codec.ts';

const key = (id: string, byte: number): NamedKey => ({ id, secret: Buffer.alloc(32, byte) });
const codecOf = (...keys: NamedKey[]) => createCodec(async () => keys);
const payload: Payload = {
  metadata: { encoding: encode('json/plain'), own: encode('kept') },
  data: encode('"a canary in plain text"'),
};
const text = (one: Payload | undefined): string => decode(one?.data ?? new Uint8Array());

async function sealedBy(...keys: NamedKey[]): Promise<Payload> {
  const [one] = await codecOf(...keys).encode([payload]);
  return one!;
}

describe('a sealed payload', () => {
  test('names its key, shows nothing of what is in it, not even its encoding, and is never the same twice', async () => {
    const one = await sealedBy(key('c1', 1));
    expect(sealedWith(one)).toBe('c1');
    expect(Object.keys(one.metadata ?? {}).toSorted()).toEqual(['encoding', 'encryption-key-id']);
    expect(Buffer.from(one.data!).toString('latin1')).not.toMatch(/canary|json|kept/);
    expect(Buffer.from(one.data!)).not.toEqual(Buffer.from((await sealedBy(key('c1', 1))).data!));
  });

  test('opens to what it was, metadata included', async () => {
    const [back] = await codecOf(key('c1', 1)).decode([await sealedBy(key('c1', 1))]);
    expect(text(back)).toBe(text(payload));
    expect(decode(back!.metadata!['own']!)).toBe('kept');
    expect(sealedWith(back!)).toBeNull();
  });

  test('opens with an old key after a rotation, while new ones are sealed with the new key', async () => {
    const old = await sealedBy(key('c1', 1));
    const rotated = codecOf(key('c2', 2), key('c1', 1));
    const [fresh] = await rotated.encode([payload]);
    expect(sealedWith(fresh!)).toBe('c2');
    expect((await rotated.decode([old, fresh!, payload])).map(text)).toEqual([payload, payload, payload].map(text));
  });

  test('with an unknown key gives an error that says which, and which are there', async () => {
    await expect(codecOf(key('c2', 2)).decode([await sealedBy(key('c1', 1))])).rejects.toThrow(
      "sealed with the key 'c1', which is not known here (keys.codec has 'c2')",
    );
    await expect(codecOf().decode([await sealedBy(key('c1', 1))])).rejects.toThrow('keys.codec names no key');
  });

  test('does not open when a bit, the key id or the secret behind it was changed', async () => {
    const one = await sealedBy(key('c1', 1));
    const codec = codecOf(key('c1', 1), key('c2', 1));
    for (const at of [0, 12, 28, one.data!.length - 1]) {
      const data = Buffer.from(one.data!);
      data[at]! ^= 1;
      await expect(codec.decode([{ ...one, data }])).rejects.toMatchObject({ code: 'not_authentic' });
    }
    const renamed = { ...one, metadata: { ...one.metadata, 'encryption-key-id': encode('c2') } };
    await expect(codec.decode([renamed])).rejects.toMatchObject({ code: 'not_authentic' });
    await expect(codecOf(key('c1', 9)).decode([one])).rejects.toMatchObject({ code: 'not_authentic' });
    await expect(codec.decode([{ ...one, data: one.data!.subarray(0, 5) }])).rejects.toMatchObject({
      code: 'not_authentic',
    });
  });
});

test('without keys nothing is sealed, and what is not sealed is read as it is', async () => {
  expect(await codecOf().encode([payload])).toEqual([payload]);
  expect(await codecOf(key('c1', 1)).decode([payload])).toEqual([payload]);
});

test('keys are read again: after a while, and at once where one is unknown; a secret that is away for a moment stops nothing', async () => {
  let now = 0;
  let keys = [key('c1', 1)];
  let reads = 0;
  let away = false;
  const codec = createCodec(
    async () => {
      reads += 1;
      if (away) throw new Error('away');
      return keys;
    },
    () => now,
  );
  await codec.encode([payload]);
  await codec.encode([payload]);
  expect(reads).toBe(1);

  keys = [key('c1', 1), key('c2', 2)];
  now += 600;
  expect((await codec.decode([await sealedBy(key('c2', 2))])).map(text)).toEqual([text(payload)]);
  expect(reads).toBe(2);

  keys = [key('c2', 2), key('c1', 1)];
  expect(sealedWith((await codec.encode([payload]))[0]!)).toBe('c1');
  now += 5_000;
  expect(sealedWith((await codec.encode([payload]))[0]!)).toBe('c2');

  away = true;
  now += 5_000;
  expect(sealedWith((await codec.encode([payload]))[0]!)).toBe('c2');
});
