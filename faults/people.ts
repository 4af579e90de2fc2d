/**
 * The people of a campaign, the changes made to them, and what was accepted: the model that the truth is held against. A change that was
 * not answered may or may not have happened; both are then right.
 */
import { asWriter, rows } from '../store/db.ts';
import { emptyContact, lockContact } from '../store/erasure.ts';
import type { Installation } from './installation.ts';
import type { Random } from './random.ts';

export interface Person {
  id: string | null;
  email: string;
  /** The family name that was accepted last; each is used once in a campaign. */
  familyName: string;
  /** Names whose writing was not answered since. */
  maybeNames: string[];
  withdrawn: boolean;
  emptied: 'no' | 'maybe' | 'erased' | 'purged';
  /** An erasure case that is not decided yet. */
  caseId: string | null;
}

const GIVEN = {
  purpose: 'newsletter',
  kind: 'given',
  happenedAt: '2026-10-02T10:00:00Z',
  channel: 'web_form',
  statement: 'newsletter-2025-1',
  byPerson: true,
} as const;

/** Who is not emptied; more are not made, so that a change of everybody stays a matter of seconds through a whole night. */
const PEOPLE_AT_MOST = 300;

export class People {
  readonly all: Person[] = [];
  /** The city that everybody was given by the last bulk change, where it was accepted. */
  city: { value: string; certain: boolean } | null = null;
  accepted = 0;
  unanswered = 0;
  readonly #installation: Installation;
  readonly #random: Random;
  #serial = 0;

  constructor(installation: Installation, random: Random) {
    this.#installation = installation;
    this.#random = random;
  }

  #name(): string {
    this.#serial += 1;
    return `Name${this.#serial}`;
  }

  #count(accepted: boolean): boolean {
    if (accepted) this.accepted += 1;
    else this.unanswered += 1;
    return accepted;
  }

  /** One change, drawn: mostly corrections, some of each other kind. */
  async change(): Promise<void> {
    const open = this.all.filter((p) => p.id !== null && p.emptied === 'no');
    const kind = this.#random.below(20);
    if (open.length < 6 || (kind < 4 && open.length < PEOPLE_AT_MOST)) return this.create();
    const person = this.#random.pick(open);
    if (kind < 4) return this.erase(person);
    if (kind < 13) return this.rectify(person);
    if (kind < 16) return this.withdraw(person);
    if (kind < 18) return this.erase(person);
    if (kind < 19) return this.purge(person);
    return this.everybody();
  }

  async create(): Promise<void> {
    const familyName = this.#name();
    const email = `${familyName.toLowerCase()}@example.com`;
    const person: Person = {
      id: null,
      email,
      familyName,
      maybeNames: [],
      withdrawn: false,
      emptied: 'no',
      caseId: null,
    };
    const fields = { givenName: 'Given', familyName, emails: [email], relationship: 'customer', source: 'campaign' };
    this.all.push(person);
    const made = await this.#installation.call('POST', '/v1/contacts', fields);
    if (!this.#count(made.status === 201)) return;
    person.id = String((made.body['contact'] as Record<string, unknown>)['id']);
    await this.#installation.call('POST', `/v1/contacts/${person.id}/consents`, { events: [GIVEN] });
  }

  async rectify(person: Person): Promise<void> {
    const name = this.#name();
    try {
      await rows(this.#installation.db, `update contacts set family_name = ? where id = ? and state = 'active'`, [
        name,
        person.id,
      ]);
      person.familyName = name;
      person.maybeNames = [];
      this.#count(true);
    } catch {
      person.maybeNames.push(name);
      this.#count(false);
    }
  }

  async withdraw(person: Person): Promise<void> {
    const event = { purpose: 'newsletter', kind: 'withdrawn', happenedAt: new Date().toISOString(), channel: 'phone' };
    const answer = await this.#installation.call('POST', `/v1/contacts/${person.id}/consents`, { events: [event] });
    if (this.#count(answer.status === 201)) person.withdrawn = true;
  }

  async erase(person: Person): Promise<void> {
    const asked = await this.#installation.call('POST', `/v1/contacts/${person.id}/erasure`, {});
    if (!this.#count(asked.status === 202)) return;
    const caseId = String(asked.body['caseId']);
    person.caseId = caseId;
    await this.decide(person);
  }

  /** Approves the case of a person; what was not answered is decided again at the quiet point. */
  async decide(person: Person): Promise<void> {
    const { caseId } = person;
    if (caseId === null) return;
    const answer = await this.#installation.call('POST', `/v1/cases/${caseId}/decision`, {
      verdict: 'approve',
      ground: 'art17_1_b',
    });
    if (answer.status === 202 || answer.status === 200) {
      person.emptied = 'erased';
      person.caseId = null;
      this.#count(true);
    } else {
      person.emptied = 'maybe';
      this.#count(false);
    }
  }

  /** The purging transaction of a retention run. */
  async purge(person: Person): Promise<void> {
    const { db, keyring } = this.#installation;
    try {
      await asWriter(db, { actor: 'campaign', door: 'engine' }, async (tx) => {
        const contact = await lockContact(tx, person.id ?? '');
        if (contact?.state === 'active') await emptyContact(tx, keyring, contact, 'purged');
      });
      person.emptied = 'purged';
      this.#count(true);
    } catch {
      person.emptied = 'maybe';
      this.#count(false);
    }
  }

  /** One statement that changes everybody. */
  async everybody(): Promise<void> {
    const value = `City${(this.#serial += 1)}`;
    try {
      await rows(this.#installation.db, `update contacts set city = ? where state = 'active'`, [value]);
      this.city = { value, certain: true };
      this.#count(true);
    } catch {
      if (this.city !== null) this.city.certain = false;
      this.#count(false);
    }
  }
}
