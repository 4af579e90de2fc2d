/** The projection's result: what one system should hold for one contact. Pure data, no vendor call in it. */

/** Consent as a system should show it for one of its targets (an audience's status, a subscription type …). */
export type ConsentWant =
  /** Only with the id of the consent event that permits it; a missing evidence fails closed. */
  | { state: 'subscribed'; evidence: string }
  | { state: 'unsubscribed' }
  /** Nothing is known: the vendor's state is left as it is. */
  | { state: 'untouched' };

export const PRESENCE = {
  /** Is there, created when missing. */
  present: 'present',
  /** Followed when it is there, never created. */
  ifThere: 'if_there',
  /** Outside the system's rule of who belongs: leaves as the system's purge says. */
  outside: 'outside',
  /** Emptied by a retention rule: leaves as the system's purge says. */
  purged: 'purged',
  /** Erased (GDPR Art. 17): gone by the vendor's privacy delete. */
  erased: 'erased',
  /** Another contact with the same address supplies the vendor's record. */
  carried: 'carried',
} as const;
export type Presence = (typeof PRESENCE)[keyof typeof PRESENCE];

export interface Want {
  presence: Presence;
  /** The address under which the vendor should know the person; null when there is none. */
  key: string | null;
  /** Vendor property → text as sent; the empty string means empty. Only mapped properties. */
  fields: Record<string, string>;
  /** Vendor consent target → state. Only mapped targets. */
  consents: Record<string, ConsentWant>;
  /** With `carried`: the contact that supplies the record. */
  carriedBy?: string;
}

/** How a field is compared with what the vendor gives back: vendors rewrite values. */
export const FIELD_KINDS = ['text', 'caseless', 'email', 'phone', 'date', 'number', 'boolean'] as const;
export type FieldKind = (typeof FIELD_KINDS)[number];

/** One line of a system's declarative field mapping. */
export interface FieldRule {
  /** The vendor's property, e.g. `firstname`, `FNAME`, `FirstName`, `Addresses.STREET.City`. */
  target: string;
  /** Our field (`givenName`, `emails.0`, `attributes.vip`) or a literal text with `value`. */
  from?: string;
  value?: string;
  kind: FieldKind;
  /** Characters the vendor keeps; longer values are cut by us, at a whole character. */
  maxLength?: number;
  /** Named pure change of the value: see `domain/transforms.ts`. */
  transform?: string;
}

/** Who belongs in a system. */
export type Who =
  | { kind: 'everybody' }
  | { kind: 'relationship'; in: readonly string[] }
  | { kind: 'consent'; purpose: string };

/** Pure rules of one system, taken from the configuration. */
export interface SystemRules {
  name: string;
  connector: string;
  who: Who;
  /** What happens to members who are there and do not belong. */
  outsiders: 'unsubscribe' | 'leave' | 'report';
  fields: FieldRule[];
  /** Purpose → the vendor's target that shows it. */
  consents: { purpose: string; target: string }[];
  /** True where the vendor's key is the address, so that several contacts share one record. */
  addressIsKey: boolean;
  /** True where there is no record without an address; left out, it is as `addressIsKey`. */
  addressRequired?: boolean;
}
