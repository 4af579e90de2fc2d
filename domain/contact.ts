/** What the central record holds of one person, and the words for it. */

declare const brand: unique symbol;
/** Opaque id of a contact (a random UUID). Never derived from a name or an address. */
export type ContactId = string & { readonly [brand]?: 'ContactId' };

export const RELATIONSHIPS = ['lead', 'customer', 'supplier', 'former_customer'] as const;
export type Relationship = (typeof RELATIONSHIPS)[number];

/** `erased` is terminal (GDPR Art. 17); `purged` was emptied by a retention rule and may come back. */
export type ContactState = 'active' | 'purged' | 'erased';

export type AttributeValue = string | number | boolean | null;

/** The fields a writer may change. Dates are `YYYY-MM-DD`, moments ISO 8601 in UTC; absent values are null. */
export interface ContactData {
  externalRef: string | null;
  givenName: string | null;
  familyName: string | null;
  /** First is primary. As typed, but trimmed, NFC and with the domain as lower-case A-label. */
  emails: string[];
  /** First is primary. */
  phones: string[];
  organisation: string | null;
  street: string | null;
  city: string | null;
  postcode: string | null;
  /** ISO 3166-1 alpha-2. */
  country: string | null;
  /** BCP 47. */
  locale: string | null;
  relationship: Relationship | null;
  accountManager: string | null;
  /** Where the data came from (GDPR Art. 14(2)(f)). */
  source: string | null;
  obtainedAt: string | null;
  contractEnd: string | null;
  lastTransactionAt: string | null;
  /** Further attributes, declared with their types in the configuration. */
  attributes: Record<string, AttributeValue>;
}

export interface Contact extends ContactData {
  id: ContactId;
  /** Order of creation; the holder of a shared address with the lowest one supplies the data. */
  seq: number;
  /** Grows by one with every accepted change. */
  version: number;
  state: ContactState;
  createdAt: string;
  changedAt: string;
}

/** An empty record: the start of a new contact, and what is left after purge or erasure. */
export function emptyContactData(): ContactData {
  return {
    externalRef: null,
    givenName: null,
    familyName: null,
    emails: [],
    phones: [],
    organisation: null,
    street: null,
    city: null,
    postcode: null,
    country: null,
    locale: null,
    relationship: null,
    accountManager: null,
    source: null,
    obtainedAt: null,
    contractEnd: null,
    lastTransactionAt: null,
    attributes: {},
  };
}
