/**
 * HMAC-SHA-256 (RFC 2104) for short texts, a million times: by Node's one-shot hashes, whose answer as text costs a fifth of one in a
 * Buffer of its own (0.4 against 2 µs), where `createHmac` makes three objects for each (5 µs against 2).
 */
import { createHmac, hash } from 'node:crypto';

/** Bytes that SHA-256 takes at a time, and that it gives. */
const BLOCK = 64;
const SIZE = 32;
/** A text of so many characters fits, whatever they are. */
const LONGEST = 1_000;
const BYTES_PER_CHARACTER = 3;

/** @param key at most 64 bytes */
export function hmac(key: Buffer): (text: string) => Buffer {
  if (key.length > BLOCK) throw new Error(`a key has at most ${BLOCK} bytes`);
  const inner = padded(key, 0x36, LONGEST * BYTES_PER_CHARACTER);
  const outer = padded(key, 0x5c, SIZE);
  return (text) => {
    if (text.length > LONGEST) return createHmac('sha256', key).update(text, 'utf8').digest();
    const end = BLOCK + inner.write(text, BLOCK, 'utf8');
    outer.write(hash('sha256', inner.subarray(0, end), 'hex'), BLOCK, 'hex');
    return Buffer.from(hash('sha256', outer, 'hex'), 'hex');
  };
}

/** The key, filled up with zeros to a block and combined with a byte each, and room behind it. */
function padded(key: Buffer, pad: number, room: number): Buffer {
  const block = Buffer.alloc(BLOCK + room);
  for (let at = 0; at < BLOCK; at += 1) block[at] = (key[at] ?? 0) ^ pad;
  return block;
}
