/**
 * Of whom the rows of a long import have spoken, and under which reference first: twelve bytes a contact where a Map of text would
 * take over a hundred, so that a million rows fit into an importer's memory.
 *
 * Contacts are told apart by the last 64 bits of their id, of which 62 are random, references by 32 bits: among a million contacts two are
 * taken for one with a probability of one in ten million, and then a row only fills in what is missing where it could have replaced.
 */
import type { ContactId } from '../domain/contact.ts';

const WORDS = 3;
/** Stands for "without a reference", and is no reference's hash. */
const NONE = 1;
const START = 1024;

export class FirstSpeakers {
  /** Open addressing: two words of the id, one of the reference; a slot whose third word is 0 is free. */
  #slots = new Uint32Array(START * WORDS);
  #count = 0;

  /** Keeps that a row under `ref` spoke of a contact, unless an earlier one did. */
  note(id: ContactId, ref: string | null): void {
    if ((this.#count + 1) * 2 * WORDS > this.#slots.length) this.#grow();
    const [high, low] = wordsOf(id);
    const at = this.#find(high, low);
    if (this.#slots[at + 2] !== 0) return;
    this.#slots.set([high, low, ref === null ? NONE : hashOf(ref)], at);
    this.#count += 1;
  }

  /** True where some row has spoken of the contact. */
  has(id: ContactId): boolean {
    return this.#slots[this.#find(...wordsOf(id)) + 2] !== 0;
  }

  /** True where the first row that spoke of the contact had this reference. */
  isBy(id: ContactId, ref: string | null): boolean {
    return ref !== null && this.#slots[this.#find(...wordsOf(id)) + 2] === hashOf(ref);
  }

  #find(high: number, low: number): number {
    const slots = this.#slots.length / WORDS;
    for (let slot = low % slots; ; slot = (slot + 1) % slots) {
      const at = slot * WORDS;
      if (this.#slots[at + 2] === 0 || (this.#slots[at] === high && this.#slots[at + 1] === low)) return at;
    }
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(before.length * 2);
    for (let at = 0; at < before.length; at += WORDS) {
      if (before[at + 2] === 0) continue;
      this.#slots.set(before.subarray(at, at + WORDS), this.#find(before[at] ?? 0, before[at + 1] ?? 0));
    }
  }
}

/** The last 64 bits of a UUID. */
function wordsOf(id: ContactId): [number, number] {
  return [Number.parseInt(id.slice(19, 23) + id.slice(24, 28), 16), Number.parseInt(id.slice(28), 16)];
}

/** FNV-1a, never one of the words with a meaning of their own. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash | 2) >>> 0;
}
