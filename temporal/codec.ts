/**
 * Seals what Temporal keeps: arguments, results, signals, updates, heart-beats, memos, summaries, failures. The
 * sealed payload names its key, so that several are known at a time: the first seals, all open.
 *
 * Not sealed, because Temporal itself must read it: workflow and activity ids and types, search attributes, task queues, times.
 */
import type { Payload, PayloadCodec } from '@temporalio/common';
import { decode, encode } from '@temporalio/common/lib/encoding.js';
import proto from '@temporalio/proto';
import type { NamedKey } from '../domain/keys.ts';
import { openBox, sealBox } from '../store/sealed-box.ts';

const { Payload: PayloadProto } = proto.temporal.api.common.v1;

/** As in Temporal's samples, so that tools know what they see. */
export const SEALED = 'binary/encrypted';
export const KEY_ID_FIELD = 'encryption-key-id';
/** How long keys that were read are taken for current. */
const HELD_MS = 5_000;
/** A payload with an unknown key makes us look for new keys, but not more often than this. */
const LOOK_MS = 500;

/** A payload that cannot be opened. The message names keys by their ids and holds nothing of the payload. */
export class CodecProblem extends Error {
  readonly code: 'key_unknown' | 'not_authentic';
  constructor(code: CodecProblem['code'], message: string) {
    super(message);
    this.name = 'CodecProblem';
    this.code = code;
  }
}

/** The id of the key that a payload was sealed with; null where it is not sealed. */
export function sealedWith(payload: Payload): string | null {
  const { encoding, [KEY_ID_FIELD]: id } = payload.metadata ?? {};
  if (!encoding || decode(encoding) !== SEALED) return null;
  return id ? decode(id) : '';
}

/**
 * A codec over the keys that `read` gives, which is asked again every few seconds and when an unknown key turns up: a rotation needs no
 * restart where the keys are kept in a file. Without keys nothing is sealed. What is not sealed is read as it is: histories of before, and
 * what an operator types into Temporal's UI where no codec endpoint is set there.
 *
 * @param nowMs the clock, for tests
 */
export function createCodec(read: () => Promise<NamedKey[]>, nowMs: () => number = Date.now): PayloadCodec {
  let held: NamedKey[] | null = null;
  let readAtMs = 0;

  async function keys(withinMs: number): Promise<NamedKey[]> {
    if (held !== null && nowMs() - readAtMs < withinMs) return held;
    // A file that is being replaced must not stop the work; at the start there must be keys.
    held = await read().catch((error: unknown) => {
      if (held === null) throw error;
      return held;
    });
    readAtMs = nowMs();
    return held;
  }

  async function open(payload: Payload): Promise<Payload> {
    const id = sealedWith(payload);
    if (id === null) return payload;
    const find = (known: NamedKey[]): NamedKey | undefined => known.find((key) => key.id === id);
    const key = find(await keys(HELD_MS)) ?? find(await keys(LOOK_MS));
    if (key === undefined) throw unknownKey(id, held ?? []);
    return unsealed(payload, key);
  }

  return {
    async encode(payloads) {
      const [first] = await keys(HELD_MS);
      return first === undefined ? payloads : payloads.map((payload) => sealed(payload, first));
    },
    decode: (payloads) => Promise.all(payloads.map(open)),
  };
}

/** Seals nothing and opens nothing: for whoever reads what is not sealed, and where there are no keys. */
export const NO_CODEC: PayloadCodec = createCodec(async () => []);

function sealed(payload: Payload, key: NamedKey): Payload {
  return {
    metadata: { encoding: encode(SEALED), [KEY_ID_FIELD]: encode(key.id) },
    data: sealBox(key.secret, PayloadProto.encode(payload).finish(), Buffer.from(key.id)),
  };
}

function unsealed(payload: Payload, key: NamedKey): Payload {
  try {
    return PayloadProto.decode(openBox(key.secret, payload.data ?? new Uint8Array(), Buffer.from(key.id)));
  } catch {
    throw new CodecProblem(
      'not_authentic',
      `A payload in Temporal does not open with the key '${key.id}': it was changed, or another key has this id.`,
    );
  }
}

function unknownKey(id: string, known: readonly NamedKey[]): CodecProblem {
  const ids = known.map((key) => `'${key.id}'`).join(', ');
  const there = known.length === 0 ? 'keys.codec names no key' : `keys.codec has ${ids}`;
  return new CodecProblem(
    'key_unknown',
    `A payload in Temporal was sealed with the key '${id.replaceAll(/[^\w.-]/g, '?').slice(0, 40)}', which is not known here (${there}). ` +
      'Add the key back behind the others: docs/security.md, Rotation.',
  );
}
