/** What one Xero organisation holds: contacts with their invoices, tokens, remembered idempotency keys. */

export interface Address {
  AddressType: 'POBOX' | 'STREET';
  [part: string]: string;
}

export interface Phone {
  PhoneType: string;
  PhoneNumber: string;
  PhoneAreaCode: string;
  PhoneCountryCode: string;
}

export interface Person {
  FirstName: string;
  LastName: string;
  EmailAddress: string;
  IncludeInEmails: boolean;
}

export interface Invoice {
  InvoiceID: string;
  InvoiceNumber: string;
  Type: 'ACCREC' | 'ACCPAY';
  Status: string;
  /** `YYYY-MM-DD`. */
  Date: string;
  DueDate: string;
  Total: number;
  AmountDue: number;
}

/** A contact as stored. Texts that Xero does not have are absent; `_` marks what the API does not show as such. */
export interface Contact {
  ContactID: string;
  ContactStatus: 'ACTIVE' | 'ARCHIVED' | 'GDPRREQUEST';
  Name: string;
  ContactNumber?: string;
  AccountNumber?: string;
  FirstName?: string;
  LastName?: string;
  EmailAddress?: string;
  CompanyNumber?: string;
  TaxNumber?: string;
  BankAccountDetails?: string;
  DefaultCurrency?: string;
  MergedToContactID?: string;
  Addresses: Address[];
  Phones: Phone[];
  ContactPersons: Person[];
  _updatedMs: number;
  _invoices: Invoice[];
}

export interface RefreshToken {
  token: string;
  issuedMs: number;
  /** First use; it still works for the grace period after that. */
  usedMs: number | null;
}

export interface AccessToken {
  token: string;
  expiresMs: number;
  /** `custom`: of a custom connection (client credentials), which belongs to one tenant and needs no header. */
  kind: 'user' | 'custom';
}

export interface Remembered {
  key: string;
  /** Method, path and body of the request. */
  request: string;
  atMs: number;
  status: number;
  body: unknown;
}

export interface State {
  contacts: Record<string, Contact>;
  refreshTokens: RefreshToken[];
  accessTokens: AccessToken[];
  tokensIssued: number;
  remembered: Remembered[];
}

/** Invoices in these states can still change or be paid. */
const OPEN = new Set(['DRAFT', 'SUBMITTED', 'AUTHORISED']);

export function openInvoices(contact: Contact): Invoice[] {
  return contact._invoices.filter((invoice) => OPEN.has(invoice.Status) && invoice.AmountDue > 0);
}

/** Fields by whose values contacts are found without going through all of them. */
export const INDEXED = ['Name', 'EmailAddress', 'ContactNumber', 'AccountNumber'] as const;
export type Indexed = (typeof INDEXED)[number];

/** Folded value → ContactID, or several: a set for each of a million would take much memory. */
type Index = Record<Indexed, Map<string, string | Set<string>>>;

type Compare = (a: Contact, b: Contact) => number;

interface Sorted {
  list: Contact[];
  compare: Compare;
  /** New contacts that are not in the list yet: one by one, each would move all behind it. */
  added: Contact[];
}

/** The state with look-ups and orders over it, which are kept as it changes: a million contacts are not gone through anew for each change. */
export class Books {
  state: State;
  #index: Index;
  #sorted = new Map<string, Sorted>();
  #selected: { key: string; list: Contact[] } | undefined;

  constructor(state: State) {
    this.state = state;
    this.#index = indexOf(state);
  }

  replace(state: State): void {
    this.state = state;
    this.#index = indexOf(state);
    this.#sorted.clear();
    this.#selected = undefined;
  }

  get(id: string): Contact | undefined {
    const contacts = this.state.contacts;
    return Object.hasOwn(contacts, id) ? contacts[id] : undefined;
  }

  /** Stores a contact, new or changed. What was stored before must not have been changed itself. */
  put(contact: Contact): void {
    const before = this.get(contact.ContactID);
    this.state.contacts[contact.ContactID] = contact;
    if (before !== undefined) forget(this.#index, before);
    enter(this.#index, contact);
    this.#reorder(before, contact);
  }

  remove(id: string): boolean {
    const before = this.get(id);
    if (before === undefined) return false;
    delete this.state.contacts[id];
    forget(this.#index, before);
    this.#reorder(before, undefined);
    return true;
  }

  activeNamed(name: string): Contact | undefined {
    return this.having('Name', name).find((contact) => contact.ContactStatus === 'ACTIVE');
  }

  numbered(number: string): Contact | undefined {
    return this.having('ContactNumber', number).find((contact) => contact.ContactNumber === number);
  }

  withAccount(account: string): Contact | undefined {
    return this.having('AccountNumber', account)[0];
  }

  /** All whose field has the value, regardless of case and outer spaces. */
  having(field: Indexed, value: string): Contact[] {
    const found = this.#index[field].get(folded(value));
    const ids = found === undefined ? [] : typeof found === 'string' ? [found] : [...found];
    return ids.flatMap((id) => this.get(id) ?? []);
  }

  /** All contacts in the given order, which leaves no two equal; the list must not be changed. */
  sorted(order: string, compare: Compare): Contact[] {
    let sorted = this.#sorted.get(order);
    if (sorted === undefined) {
      sorted = { list: Object.values(this.state.contacts).toSorted(compare), compare, added: [] };
      this.#sorted.set(order, sorted);
    }
    return whole(sorted);
  }

  /** The same selection again, made anew after any change: the pages of one listing share one. The list must not be changed. */
  selected(key: string, select: () => Contact[]): Contact[] {
    if (this.#selected?.key !== key) this.#selected = { key, list: select() };
    return this.#selected.list;
  }

  #reorder(before: Contact | undefined, after: Contact | undefined): void {
    this.#selected = undefined;
    for (const sorted of this.#sorted.values()) {
      if (before === undefined) {
        if (after !== undefined) sorted.added.push(after);
        continue;
      }
      const { compare } = sorted;
      const list = whole(sorted);
      const from = placeOf(before, list, compare);
      if (after !== undefined && compare(before, after) === 0) {
        list[from] = after;
        continue;
      }
      list.splice(from, 1);
      if (after !== undefined) list.splice(placeOf(after, list, compare), 0, after);
    }
  }
}

/** All of an order, with what was added since. */
function whole(sorted: Sorted): Contact[] {
  const { list, added, compare } = sorted;
  if (added.length > 0) {
    // Two runs that are in order, which the engine's sort merges.
    sorted.list = [...list, ...added.toSorted(compare)].toSorted(compare);
    sorted.added = [];
  }
  return sorted.list;
}

/** Where in an ordered list it is, or would be. */
function placeOf(contact: Contact, list: readonly Contact[], compare: Compare): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(list[middle]!, contact) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function indexOf(state: State): Index {
  const index: Index = { Name: new Map(), EmailAddress: new Map(), ContactNumber: new Map(), AccountNumber: new Map() };
  for (const contact of Object.values(state.contacts)) enter(index, contact);
  return index;
}

/** Xero compares names without regard to case and outer spaces. */
export function folded(text: string): string {
  return text.trim().toLowerCase();
}

function enter(index: Index, contact: Contact): void {
  for (const field of INDEXED) {
    const value = contact[field];
    if (value === undefined) continue;
    const key = folded(value);
    const found = index[field].get(key);
    if (found === undefined) index[field].set(key, contact.ContactID);
    else if (typeof found === 'string') index[field].set(key, new Set([found, contact.ContactID]));
    else found.add(contact.ContactID);
  }
}

function forget(index: Index, contact: Contact): void {
  for (const field of INDEXED) {
    const value = contact[field];
    if (value === undefined) continue;
    const key = folded(value);
    const found = index[field].get(key);
    if (found === contact.ContactID) index[field].delete(key);
    else if (found instanceof Set && found.delete(contact.ContactID) && found.size === 0) index[field].delete(key);
  }
}
