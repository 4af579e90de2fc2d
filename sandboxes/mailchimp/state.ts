/** What the account holds: audiences and their members, with the indexes that make listings cheap. */
import { createHash } from 'node:crypto';
import { hashOf } from './answers.ts';

export const STATUSES = ['subscribed', 'unsubscribed', 'cleaned', 'pending', 'transactional'] as const;
/** `archived` is only ever shown, never accepted. */
export type Status = (typeof STATUSES)[number] | 'archived';

export interface Address {
  addr1: string;
  addr2: string;
  city: string;
  state: string;
  zip: string;
  country: string;
}
export type MergeValue = string | number | Address;

export interface Member {
  contactId: string;
  /** As given; its hash follows it. */
  email: string;
  webId: number;
  status: Status;
  /** What it was before it was archived; never shown. */
  statusBefore: Status | null;
  /** Why the API may not subscribe this person: they unsubscribed themselves, bounced, or complained. */
  compliance: 'none' | 'unsubscribed' | 'cleaned' | 'complained';
  unsubscribeReason: string;
  emailType: string;
  mergeFields: Record<string, MergeValue>;
  /** Marketing permission id → enabled. */
  permissions: Record<string, boolean>;
  interests: Record<string, boolean>;
  tags: string[];
  language: string;
  vip: boolean;
  ipSignup: string;
  ipOpt: string;
  timestampSignup: string;
  timestampOpt: string;
  /** Whole seconds, in milliseconds. */
  lastChangedMs: number;
}

export interface MergeField {
  merge_id: number;
  tag: string;
  name: string;
  type: string;
  required: boolean;
  default_value: string;
  public: boolean;
  display_order: number;
}

interface SavedAudience {
  id: string;
  members: Member[];
  mergeFields: MergeField[];
  /** Hashes of permanently deleted addresses: they may never be imported again. */
  forgotten: string[];
  lastNumber: number;
}

const FIRST_FIELDS: MergeField[] = [
  { tag: 'FNAME', name: 'First Name', type: 'text' },
  { tag: 'LNAME', name: 'Last Name', type: 'text' },
  { tag: 'ADDRESS', name: 'Address', type: 'address' },
  { tag: 'PHONE', name: 'Phone Number', type: 'phone' },
].map((field, index) => ({
  ...field,
  merge_id: index + 1,
  required: false,
  default_value: '',
  public: true,
  display_order: index + 2,
}));

/** One change in the log; `member` is undefined once a later change replaced it. */
interface Change {
  ms: number;
  member: Member | undefined;
}

export class Audience {
  readonly id: string;
  mergeFields: MergeField[] = FIRST_FIELDS.map((field) => ({ ...field }));
  forgotten = new Set<string>();
  #members = new Map<string, Member>();
  #byHash = new Map<string, Member>();
  #changes: Change[] = [];
  #changeOf = new Map<string, Change>();
  #lastNumber = 0;
  /** Grows with each insert, change and delete. */
  version = 0;

  constructor(id: string) {
    this.id = id;
  }

  snapshot(): SavedAudience {
    return {
      id: this.id,
      members: [...this.#members.values()],
      mergeFields: this.mergeFields,
      forgotten: [...this.forgotten],
      lastNumber: this.#lastNumber,
    };
  }

  /** @param given numbers up to this one were given out: a real vendor never gives one again, whatever came of it */
  static from(saved: SavedAudience, given: number): Audience {
    const audience = new Audience(saved.id);
    audience.mergeFields = saved.mergeFields;
    audience.forgotten = new Set(saved.forgotten);
    for (const member of saved.members) audience.insert(member);
    audience.#lastNumber = Math.max(saved.lastNumber, given);
    return audience;
  }

  get size(): number {
    return this.#members.size;
  }

  get lastNumber(): number {
    return this.#lastNumber;
  }

  /** A number and an opaque id that no member of this audience had before. */
  newIds(): { webId: number; contactId: string } {
    this.#lastNumber += 1;
    const contactId = createHash('md5').update(`${this.id}\n${this.#lastNumber}`).digest('hex');
    return { webId: 500_000_000 + this.#lastNumber, contactId };
  }

  /** By hash, address or contact id; archived members too. */
  find(id: string): Member | undefined {
    return this.#byHash.get(id.toLowerCase()) ?? this.#members.get(id) ?? this.#byHash.get(hashOf(id));
  }

  byEmail(email: string): Member | undefined {
    return this.#byHash.get(hashOf(email));
  }

  insert(member: Member): void {
    this.#members.set(member.contactId, member);
    this.#byHash.set(hashOf(member.email), member);
    this.#log(member);
    this.version += 1;
  }

  /** Changes a member; its hash and its place among the changes follow. */
  change(member: Member, nowMs: number, fn: () => void): void {
    this.#byHash.delete(hashOf(member.email));
    fn();
    member.lastChangedMs = Math.floor(nowMs / 1000) * 1000;
    this.#byHash.set(hashOf(member.email), member);
    this.#log(member);
    this.version += 1;
  }

  delete(member: Member): void {
    this.#members.delete(member.contactId);
    this.#byHash.delete(hashOf(member.email));
    this.#forgetChange(member);
    this.version += 1;
  }

  /** In the order in which they came. */
  all(): IterableIterator<Member> {
    return this.#members.values();
  }

  /** By last change, oldest first, later than `afterMs` and before `beforeMs`. */
  *changedBetween(afterMs: number, beforeMs: number): Generator<Member> {
    for (let at = this.#position(afterMs); at < this.#changes.length; at += 1) {
      const { member, ms } = this.#changes[at]!;
      if (ms >= beforeMs) return;
      if (member !== undefined) yield member;
    }
  }

  #log(member: Member): void {
    this.#forgetChange(member);
    const change: Change = { ms: member.lastChangedMs, member };
    this.#changeOf.set(member.contactId, change);
    if (change.ms >= (this.#changes.at(-1)?.ms ?? 0)) this.#changes.push(change);
    else this.#changes.splice(this.#position(change.ms), 0, change);
    if (this.#changes.length > this.#members.size * 2 + 1000) {
      this.#changes = this.#changes.filter((one) => one.member !== undefined);
    }
  }

  #forgetChange(member: Member): void {
    const change = this.#changeOf.get(member.contactId);
    if (change !== undefined) change.member = undefined;
    this.#changeOf.delete(member.contactId);
  }

  /** Index of the first change later than `ms`. */
  #position(ms: number): number {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#changes[middle]!.ms <= ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class State {
  #audiences = new Map<string, Audience>();

  snapshot(): SavedAudience[] {
    return [...this.#audiences.values()].map((audience) => audience.snapshot());
  }

  static from(saved: SavedAudience[], before?: State): State {
    const state = new State();
    for (const audience of saved) {
      const known = before === undefined ? undefined : before.#audiences.get(audience.id);
      const given = known?.lastNumber ?? 0;
      state.#audiences.set(audience.id, Audience.from(audience, given));
    }
    return state;
  }

  /** Made at first use: which audiences there are is a setting. */
  audience(id: string): Audience {
    let audience = this.#audiences.get(id);
    if (audience === undefined) this.#audiences.set(id, (audience = new Audience(id)));
    return audience;
  }

  audiences(): Audience[] {
    return [...this.#audiences.values()];
  }
}
