/** Keys of an installation that we bring up ourselves, under the names that the shipped configuration reads. */
import { randomBytes } from 'node:crypto';
import { KEY_BYTES, keyText, parseKeys } from '../domain/keys.ts';
import type { NamedKey } from '../domain/keys.ts';
import { createCodec } from '../temporal/codec.ts';
import type { PayloadCodec } from '@temporalio/common';

export interface OwnKeys {
  PLUMBLINE_KEY: string;
  PLUMBLINE_CODEC_KEYS: string;
}

/** A new key as a line of a secret. */
export function newKeyText(id: string): string {
  return keyText({ id, secret: randomBytes(KEY_BYTES) });
}

/** New keys, for servers that are thrown away. */
export function makeOwnKeys(): OwnKeys {
  return { PLUMBLINE_KEY: randomBytes(KEY_BYTES).toString('base64'), PLUMBLINE_CODEC_KEYS: newKeyText('c1') };
}

/** The codec that the installation's processes have by its environment. */
export function codecOf(env: Readonly<Record<string, string>> | OwnKeys): PayloadCodec {
  const keys: NamedKey[] = parseKeys(env['PLUMBLINE_CODEC_KEYS'] ?? '') ?? [];
  return createCodec(async () => keys);
}
