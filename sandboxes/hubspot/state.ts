/** What the account holds, with the indexes that make its rules cheap to keep. */

export interface Contact {
  id: string;
  /** Values as stored: text, trimmed. */
  properties: Record<string, string>;
  createdAtMs: number;
  updatedAtMs: number;
  /** Null while it is not in the recycle bin. */
  archivedAtMs: number | null;
  /** Ids of contacts merged into this one. */
  mergedIds: string[];
  /** What searches still show while the last changes are younger than the search lag; null: not there yet. */
  before?: { properties: Record<string, string> | null; sinceMs: number };
}

export type StatusState = 'SUBSCRIBED' | 'UNSUBSCRIBED' | 'NOT_SPECIFIED';

/** State of one subscription of one address. HubSpot ties it to the address, not to the contact. */
export interface Subscription {
  status: StatusState;
  atMs: number;
  /** True when the person did it, not an API: cannot be undone by API. */
  self: boolean;
  legalBasis?: string;
  legalBasisExplanation?: string;
}

export interface Preferences {
  /** By subscription id. An object would have such a number for an index, and room for all below it: 16 kB an address. */
  subscriptions: Map<string, Subscription>;
  /** Unsubscribed from everything. */
  optedOutOfAll: boolean;
}

export interface PropertyDefinition {
  name: string;
  label: string;
  type: string;
  fieldType: string;
  groupName: string;
  description: string;
  options: { label: string; value: string; displayOrder: number; hidden: boolean }[];
  hasUniqueValue: boolean;
  readOnly: boolean;
  hubspotDefined: boolean;
}

interface Snapshot {
  lastId: number;
  contacts: Contact[];
  /** Id that was merged away → survivor. */
  aliases: Record<string, string>;
  /** Ids erased by gdpr-delete. */
  erased: string[];
  /** Addresses that may never come back. */
  blocklist: string[];
  preferences: Record<string, { subscriptions: Record<string, Subscription>; optedOutOfAll: boolean }>;
  customProperties: PropertyDefinition[];
  /** OAuth access token → expiry. */
  accessTokens: Record<string, number>;
}

export class State {
  #lastId = 101_000_000;
  #contacts = new Map<string, Contact>();
  /** Ascending; for listings. */
  #ids: number[] = [];
  #byEmail = new Map<string, string>();
  /** Property → value → id. */
  #byUnique = new Map<string, Map<string, string>>();
  aliases = new Map<string, string>();
  erased = new Set<string>();
  blocklist = new Set<string>();
  preferences = new Map<string, Preferences>();
  customProperties = new Map<string, PropertyDefinition>();
  accessTokens = new Map<string, number>();

  snapshot(): Snapshot {
    return {
      lastId: this.#lastId,
      contacts: [...this.#contacts.values()],
      aliases: Object.fromEntries(this.aliases),
      erased: [...this.erased],
      blocklist: [...this.blocklist],
      preferences: Object.fromEntries(
        [...this.preferences].map(([address, held]) => [
          address,
          { ...held, subscriptions: Object.fromEntries(held.subscriptions) },
        ]),
      ),
      customProperties: [...this.customProperties.values()],
      accessTokens: Object.fromEntries(this.accessTokens),
    };
  }

  /** @param given ids up to this one were given out: a real vendor never gives one again, whatever came of it */
  static from(saved: Snapshot, given = 0): State {
    const state = new State();
    state.#lastId = Math.max(saved.lastId, given);
    state.aliases = new Map(Object.entries(saved.aliases));
    state.erased = new Set(saved.erased);
    state.blocklist = new Set(saved.blocklist);
    state.preferences = new Map(
      Object.entries(saved.preferences).map(([address, held]) => [
        address,
        { ...held, subscriptions: new Map(Object.entries(held.subscriptions)) },
      ]),
    );
    state.customProperties = new Map(saved.customProperties.map((property) => [property.name, property]));
    state.accessTokens = new Map(Object.entries(saved.accessTokens));
    for (const contact of saved.contacts) state.insert(contact);
    return state;
  }

  get size(): number {
    return this.#contacts.size;
  }

  get lastId(): number {
    return this.#lastId;
  }

  newId(): string {
    this.#lastId += 51;
    while (this.#contacts.has(String(this.#lastId))) this.#lastId += 51;
    return String(this.#lastId);
  }

  /** By its own id or one that was merged into it; archived contacts too. */
  get(id: string): Contact | undefined {
    return this.#contacts.get(id) ?? this.#contacts.get(this.aliases.get(id) ?? '');
  }

  /** Not archived, by primary or further address. */
  byEmail(email: string): Contact | undefined {
    return this.#contacts.get(this.#byEmail.get(email.trim().toLowerCase()) ?? '');
  }

  /** Not archived, by a property with unique values. */
  byUnique(property: string, value: string): Contact | undefined {
    return this.#contacts.get(this.#byUnique.get(property)?.get(value.trim().toLowerCase()) ?? '');
  }

  insert(contact: Contact): void {
    this.#contacts.set(contact.id, contact);
    const id = Number(contact.id);
    const last = this.#ids.at(-1);
    if (last === undefined || id > last) this.#ids.push(id);
    else this.#ids.splice(this.#position(id), 0, id);
    this.#index(contact);
  }

  /** Changes a contact; indexes and the lagging view of searches follow. */
  change(contact: Contact, nowMs: number, searchLagMs: number, fn: () => void): void {
    const visible = contact.before === undefined || contact.before.sinceMs <= nowMs - searchLagMs;
    if (visible) {
      const properties = contact.archivedAtMs === null ? { ...contact.properties } : null;
      contact.before = { properties, sinceMs: nowMs };
    }
    this.#unindex(contact);
    fn();
    contact.updatedAtMs = nowMs;
    this.#index(contact);
  }

  /** Takes the contact out without trace. */
  delete(contact: Contact): void {
    this.#unindex(contact);
    this.#contacts.delete(contact.id);
    this.#ids.splice(this.#position(Number(contact.id)), 1);
  }

  /** Ascending by id, starting after `afterId`. */
  *after(afterId: number): Generator<Contact> {
    for (let at = this.#position(afterId + 1); at < this.#ids.length; at += 1) {
      yield this.#contacts.get(String(this.#ids[at]))!;
    }
  }

  /** Ascending by id, by position. */
  slice(offset: number, limit: number): Contact[] {
    return this.#ids.slice(offset, offset + limit).map((id) => this.#contacts.get(String(id))!);
  }

  preferencesOf(email: string): Preferences {
    const key = email.trim().toLowerCase();
    let found = this.preferences.get(key);
    if (found === undefined) {
      found = { subscriptions: new Map(), optedOutOfAll: false };
      this.preferences.set(key, found);
    }
    return found;
  }

  addUniqueProperty(name: string): void {
    for (const contact of this.#contacts.values()) this.#indexUnique(contact, name);
  }

  #position(id: number): number {
    let low = 0;
    let high = this.#ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ids[middle]! < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #index(contact: Contact): void {
    // What is in the recycle bin keeps neither its address nor its unique values.
    if (contact.archivedAtMs !== null) return;
    for (const email of emailsOf(contact)) this.#byEmail.set(email, contact.id);
    for (const property of this.customProperties.values()) {
      if (property.hasUniqueValue) this.#indexUnique(contact, property.name);
    }
  }

  #indexUnique(contact: Contact, property: string): void {
    const value = contact.properties[property]?.toLowerCase() ?? '';
    if (value === '' || contact.archivedAtMs !== null) return;
    let values = this.#byUnique.get(property);
    if (values === undefined) this.#byUnique.set(property, (values = new Map()));
    values.set(value, contact.id);
  }

  #unindex(contact: Contact): void {
    for (const email of emailsOf(contact)) {
      if (this.#byEmail.get(email) === contact.id) this.#byEmail.delete(email);
    }
    for (const [property, values] of this.#byUnique) {
      const value = contact.properties[property]?.toLowerCase() ?? '';
      if (values.get(value) === contact.id) values.delete(value);
    }
  }
}

/** Primary address first, then `hs_additional_emails`. */
export function emailsOf(contact: Contact): string[] {
  const { email = '', hs_additional_emails: further = '' } = contact.properties;
  if (further === '') return email === '' ? [] : [email];
  return [email, ...further.split(';')].filter((one) => one !== '');
}
