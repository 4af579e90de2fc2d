/** What a batch of rows would change: pure, in the order of the rows, so that a double finds the person an earlier row made. */
import { nameKey, parseEmail } from '../domain/address.ts';
import { isKnownEvidence } from '../domain/consent.ts';
import type { EvidenceFacts } from '../domain/consent.ts';
import { MAX_EMAILS, MAX_PHONES } from '../domain/contact-data.ts';
import { emptyContactData } from '../domain/contact.ts';
import type { ContactData, ContactId } from '../domain/contact.ts';
import type { FirstSpeakers } from './first-speakers.ts';
import { isDayOnly } from '../domain/time.ts';
import type { RowIdentity } from '../domain/csv-row.ts';
import { mergeInto } from '../domain/merge.ts';
import type { Merge } from '../domain/merge.ts';

export interface UpsertRow {
  /** Only the fields that the row gives; absent ones stay as they are. */
  data: Partial<ContactData>;
  consents: readonly EvidenceFacts[];
  identity: RowIdentity;
  /** True for a row whose data are bad but whose withdrawal counts: consents of a known person only, nothing made or changed. */
  consentsOnly?: boolean;
}

export type UpsertResult =
  /** `alias`: its reference was kept as a second one of that person. `consentEvents`: evidence that was new. */
  | { result: 'created' | 'updated' | 'unchanged'; id: ContactId; alias: boolean; consentEvents: number }
  /** The person was erased and must not come back by this door (GDPR Art. 17). */
  | { result: 'suppressed' }
  /** Several people hold the address and the row does not say which of them it means. */
  | { result: 'ambiguous' }
  /** With `consentsOnly`: nobody is known by it. */
  | { result: 'nobody' };

/** A person as far as a batch needs to know them. */
export interface Person {
  id: ContactId;
  data: ContactData;
  aliases: string[];
  evidence: EvidenceFacts[];
}

export interface Plan {
  results: UpsertResult[];
  created: Person[];
  updated: Person[];
  aliases: { ref: string; id: ContactId }[];
  events: { id: ContactId; facts: EvidenceFacts }[];
  /** Of whom this batch is the first of its run to speak. */
  spokenOf: SpokenOf;
  /** Everybody as they would be who was made, changed, or given evidence. */
  touched: Person[];
}

/**
 * Contact → reference of the row that spoke of it first in this run; null where that row had none. Where a file holds a person several
 * times with different data, the first row stands and rows under other references only fill in what is missing: importing the
 * file again would else set each value back and forth.
 */
export type SpokenOf = Map<ContactId, string | null>;

/** Who would stand in the record under this identity: asked of the tombstones. */
export type Identified = Pick<ContactData, 'emails' | 'givenName' | 'familyName' | 'externalRef'>;

/**
 * Plans a batch.
 * @param known everybody who has a reference or an address of the rows, oldest first; not changed
 * @param isSuppressed asked for each person who is made, or whose address, name or reference changes
 * @param newId gives the id of a person to be made
 * @param earlier of whom the earlier batches of the run spoke
 */
export function planUpsert(
  known: readonly Person[],
  rows: readonly UpsertRow[],
  isSuppressed: (person: Identified) => boolean,
  newId: () => ContactId,
  earlier: Pick<FirstSpeakers, 'has' | 'isBy'>,
): Plan {
  const people = new People(known);
  const plan: Plan = {
    results: [],
    created: [],
    updated: [],
    aliases: [],
    events: [],
    touched: [],
    spokenOf: new Map(),
  };
  const made = new Set<Person>();
  const changed = new Set<Person>();
  const touched = new Set<Person>();

  const speaksFirst = (id: ContactId, ref: string | null): boolean => {
    if (earlier.has(id)) return earlier.isBy(id, ref);
    const first = plan.spokenOf.get(id);
    return first === undefined || (ref !== null && first === ref);
  };
  for (const row of rows) {
    const found = people.find(row.identity);
    if (found === 'several') {
      plan.results.push({ result: 'ambiguous' });
      continue;
    }
    if (found === null && row.consentsOnly === true) {
      plan.results.push({ result: 'nobody' });
      continue;
    }
    const before = found?.data ?? emptyContactData();
    const { changes, alias } =
      found === null ? { changes: {}, alias: null } : changesOf(found, row, speaksFirst(found.id, row.identity.ref));
    const data = found === null ? { ...before, ...withoutUndefined(row.data) } : { ...before, ...changes };
    if (
      changesIdentity(found, changes, alias) &&
      isSuppressed(alias === null ? data : { ...data, externalRef: alias })
    ) {
      plan.results.push({ result: 'suppressed' });
      continue;
    }

    const person = found ?? { id: newId(), data, aliases: [], evidence: [] };
    const isChanged = found !== null && Object.keys(changes).length > 0;
    person.data = data;
    // The consents of a row with bad data say nothing of the other fields.
    const speaks = row.consentsOnly !== true && !earlier.has(person.id);
    if (speaks && !plan.spokenOf.has(person.id)) plan.spokenOf.set(person.id, row.identity.ref);
    if (alias !== null) {
      person.aliases.push(alias);
      plan.aliases.push({ ref: alias, id: person.id });
    }
    const news = row.consents.map(dated).filter((facts) => !saysNothingNew(person.evidence, facts));
    person.evidence.push(...news);
    plan.events.push(...news.map((facts) => ({ id: person.id, facts })));
    people.index(person);

    if (found === null) made.add(person);
    else if (isChanged && !made.has(person)) changed.add(person);
    if (found === null || isChanged || alias !== null || news.length > 0) touched.add(person);
    plan.results.push({
      result: found === null ? 'created' : isChanged ? 'updated' : 'unchanged',
      id: person.id,
      alias: alias !== null,
      consentEvents: news.length,
    });
  }
  return { ...plan, created: [...made], updated: [...changed], touched: [...touched] };
}

/** What the row changes in a person who is known. `speaksFirst`: it is the run's first row about them, or under the same reference as that. */
function changesOf(person: Person, row: UpsertRow, speaksFirst: boolean): Merge {
  if (row.consentsOnly === true) return { changes: {}, alias: null };
  const { ref } = row.identity;
  const isNewDouble = ref !== null && person.data.externalRef !== null && !refersTo(person, ref);
  const given = speaksFirst && !isNewDouble ? row.data : onlyMissing(person.data, row.data);
  const { changes, alias } = mergeInto(person.data, given);
  if (changes.emails !== undefined) changes.emails = changes.emails.slice(0, MAX_EMAILS);
  if (changes.phones !== undefined) changes.phones = changes.phones.slice(0, MAX_PHONES);
  return { changes, alias: alias !== null && refersTo(person, alias) ? null : alias };
}

function refersTo(person: Person, ref: string): boolean {
  return person.data.externalRef === ref || person.aliases.includes(ref);
}

/** The part of a row that takes nothing away: empty fields, further addresses and numbers behind those that are there. */
function onlyMissing(before: ContactData, data: Partial<ContactData>): Partial<ContactData> {
  const { externalRef, emails, phones, attributes, ...plain } = data;
  return {
    ...Object.fromEntries(Object.entries(plain).filter(([field]) => before[field as keyof typeof plain] === null)),
    ...(externalRef === undefined ? {} : { externalRef }),
    ...(emails === undefined ? {} : { emails: [...before.emails, ...emails] }),
    ...(phones === undefined ? {} : { phones: [...before.phones, ...phones] }),
    ...(attributes === undefined ? {} : { attributes: { ...attributes, ...before.attributes } }),
  };
}

function changesIdentity(found: Person | null, changes: Partial<ContactData>, alias: string | null): boolean {
  return (
    found === null ||
    alias !== null ||
    changes.emails !== undefined ||
    changes.givenName !== undefined ||
    changes.familyName !== undefined ||
    changes.externalRef !== undefined
  );
}

export function withoutUndefined(data: Partial<ContactData>): Partial<ContactData> {
  return Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined));
}

/** The key forms of a person's addresses. */
export function addressKeysOf(data: Pick<ContactData, 'emails'>): string[] {
  return data.emails.map((address) => {
    const parsed = parseEmail(address);
    return parsed.ok ? parsed.key : address.trim().toLowerCase();
  });
}

/** Finds people by reference, alias, and address with name. Works on copies. */
class People {
  readonly #byRef = new Map<string, Person>();
  readonly #byAddress = new Map<string, Set<Person>>();

  constructor(known: readonly Person[]) {
    for (const person of known) {
      this.index({ ...person, aliases: [...person.aliases], evidence: [...person.evidence] });
    }
  }

  index(person: Person): void {
    for (const ref of [person.data.externalRef, ...person.aliases]) if (ref !== null) this.#byRef.set(ref, person);
    for (const key of addressKeysOf(person.data)) {
      const holders = this.#byAddress.get(key);
      if (holders === undefined) this.#byAddress.set(key, new Set([person]));
      else holders.add(person);
    }
  }

  /**
   * Same reference, else same address and name. A row without any name means the one holder of its address; where there are several it
   * could be any of them. Another name is another person who shares the address.
   */
  find(identity: RowIdentity): Person | null | 'several' {
    const { ref, addressKey } = identity;
    const referred = ref === null ? undefined : this.#byRef.get(ref);
    if (referred !== undefined) return referred;
    if (addressKey === null) return null;
    const holders = [...(this.#byAddress.get(addressKey) ?? [])].filter((person) =>
      // An address that an earlier row replaced no longer leads to its former holder.
      addressKeysOf(person.data).includes(addressKey),
    );
    const same = holders.filter(({ data }) => nameKey(data.givenName, data.familyName) === identity.nameKey);
    const meant = same.length === 0 && identity.nameKey === '' ? holders : same;
    const [only] = meant;
    if (only === undefined) return null;
    return meant.length === 1 ? only : 'several';
  }
}

/** Of a mere day the end that permits less is taken: a consent begins with its day, a withdrawal lasts to the end of it. In UTC. */
function dated(facts: EvidenceFacts): EvidenceFacts {
  const { happenedAt, kind } = facts;
  if (happenedAt === null || !isDayOnly(happenedAt)) return facts;
  return { ...facts, happenedAt: `${happenedAt}T${kind === 'given' ? '00:00:00.000' : '23:59:59.999'}Z` };
}

/** A withdrawal without a time may be a second one: it is old news only as long as no consent has come after it. */
function saysNothingNew(evidence: readonly EvidenceFacts[], facts: EvidenceFacts): boolean {
  if (facts.kind === 'given' || facts.happenedAt !== null) return isKnownEvidence(evidence, facts);
  const lastGiven = evidence.findLastIndex((event) => event.purpose === facts.purpose && event.kind === 'given');
  return isKnownEvidence(evidence.slice(lastGiven + 1), facts);
}
