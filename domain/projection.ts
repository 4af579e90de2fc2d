/** What one system should hold for one contact: a pure function of the record, the consents and the system's rules. */
import { canonicalJson } from './canonical-json.ts';
import { isRestricted, strictest, type ConsentResult, type ConsentState } from './consent.ts';
import type { Contact } from './contact.ts';
import { readPath } from './mapping.ts';
import { cutAt } from './text.ts';
import { applyTransform } from './transforms.ts';
import { PRESENCE, type ConsentWant, type FieldRule, type SystemRules, type Want } from './want.ts';

export { canonicalJson };

/** The part of a consent's result that a projection needs. */
export type ProjectedConsent = Pick<ConsentResult, 'state' | 'evidence'>;

/** The other contacts that have the same address, for systems whose key is the address. */
export interface Holders {
  /**
   * The oldest (lowest `seq`) other active contact with this contact's primary address; null where there is none. `belongs` says whether
   * that contact belongs in the system by a rule other than consent (see `belongs`); left out, it counts as this one does. The engine
   * offers one that belongs before one that does not.
   */
  oldestOther: { id: string; seq: number; belongs?: boolean } | null;
  /** Purpose → strictest state of all holders, this contact's own included or not. */
  strictest: Readonly<Record<string, ConsentState>>;
}

export interface ProjectionInput {
  contact: Contact;
  /** Purpose → result; a missing purpose is `unknown`. */
  consents: Readonly<Record<string, ProjectedConsent>>;
  rules: SystemRules;
  holders?: Holders;
}

/**
 * Projects one contact into one system.
 *
 * Erased and purged contacts have nothing left to hold, and are carried where somebody else still supplies the vendor's record of their
 * address. Consent fails closed: `subscribed` only where the state that stands is `given`, with the event that proves it.
 */
export function project(input: ProjectionInput): Want {
  const { contact, rules } = input;
  const other = rules.addressIsKey ? (input.holders?.oldestOther ?? null) : null;
  if (contact.state !== 'active') {
    if (other !== null) return { ...nothing(PRESENCE.carried, null), carriedBy: other.id };
    return nothing(contact.state === 'erased' ? PRESENCE.erased : PRESENCE.purged, null);
  }

  const key = contact.emails[0] ?? null;
  if ((rules.addressRequired ?? rules.addressIsKey) && key === null) return nothing(PRESENCE.outside, null);

  const consents = standingConsents(input);
  const inside = belongs(contact, consents, rules);
  if (other !== null && otherSupplies(contact, inside, other)) {
    return { ...nothing(PRESENCE.carried, key), carriedBy: other.id };
  }
  if (inside) {
    return {
      presence: PRESENCE.present,
      key,
      fields: fieldsOf(contact, consents, rules.fields),
      consents: consentWants(rules, consents, false),
    };
  }
  return outsider(contact, consents, rules, key);
}

/** True where the contact belongs in the system by its rule `who`. Purpose → state that stands for the address. */
export function belongs(
  contact: Contact,
  consents: Readonly<Record<string, ProjectedConsent>>,
  rules: SystemRules,
): boolean {
  switch (rules.who.kind) {
    case 'everybody':
      return true;
    case 'relationship':
      return contact.relationship !== null && rules.who.in.includes(contact.relationship);
    case 'consent':
      return permits(consents[rules.who.purpose]);
  }
}

function outsider(
  contact: Contact,
  consents: Readonly<Record<string, ProjectedConsent>>,
  rules: SystemRules,
  key: string | null,
): Want {
  switch (rules.outsiders) {
    case 'unsubscribe':
      // Whoever is there without belonging is kept correct and is sent nothing.
      return {
        presence: PRESENCE.ifThere,
        key,
        fields: fieldsOf(contact, consents, rules.fields),
        consents: Object.fromEntries(rules.consents.map(({ target }) => [target, { state: 'unsubscribed' }] as const)),
      };
    case 'leave':
      return { ...nothing(PRESENCE.outside, key), consents: onlyRestrictions(rules, consents) };
    case 'report':
      // Only a restriction is stated: reporting changes nothing, a withdrawal reaches every system.
      return { ...nothing(PRESENCE.ifThere, key), consents: onlyRestrictions(rules, consents) };
  }
}

function nothing(presence: Want['presence'], key: string | null): Want {
  return { presence, key, fields: {}, consents: {} };
}

/** Where one record serves several people, the strictest consent of all of them stands; else the contact's own. */
function standingConsents({ contact, consents, rules, holders }: ProjectionInput): Record<string, ProjectedConsent> {
  const purposes = new Set([...Object.keys(consents), ...rules.consents.map((mapped) => mapped.purpose)]);
  const standing: Record<string, ProjectedConsent> = {};
  for (const purpose of purposes) {
    const own: ProjectedConsent = consents[purpose] ?? { state: 'unknown', evidence: null };
    const shared = rules.addressIsKey && contact.emails.length > 0 ? holders?.strictest[purpose] : undefined;
    const state = shared === undefined ? own.state : strictest([own.state, shared]);
    standing[purpose] = { state, evidence: state === 'given' ? own.evidence : null };
  }
  return standing;
}

/** The supplier is the oldest of those who belong; the oldest of all where nobody does. */
function otherSupplies(contact: Contact, inside: boolean, other: { seq: number; belongs?: boolean }): boolean {
  const otherInside = other.belongs ?? inside;
  return otherInside === inside ? other.seq < contact.seq : otherInside;
}

function permits(consent: ProjectedConsent | undefined): consent is ProjectedConsent & { evidence: number } {
  return consent?.state === 'given' && consent.evidence !== null;
}

function consentWants(
  rules: SystemRules,
  consents: Readonly<Record<string, ProjectedConsent>>,
  restrictionsOnly: boolean,
): Record<string, ConsentWant> {
  // In a system that is there for a consent, whoever has not given it is not subscribed; elsewhere what is unknown stays untouched.
  const demandsConsent = rules.who.kind === 'consent' && rules.outsiders === 'unsubscribe';
  const wants: Record<string, ConsentWant> = {};
  for (const { purpose, target } of rules.consents) {
    const consent = consents[purpose];
    const want = consentWant(consent, demandsConsent && !restrictionsOnly, restrictionsOnly);
    // Two purposes may share a target: the stricter one stands.
    const earlier = wants[target];
    if (earlier === undefined || STRICTNESS[want.state] > STRICTNESS[earlier.state]) wants[target] = want;
  }
  return wants;
}

const STRICTNESS: Record<ConsentWant['state'], number> = { subscribed: 0, untouched: 1, unsubscribed: 2 };

function consentWant(
  consent: ProjectedConsent | undefined,
  demandsConsent: boolean,
  restrictionsOnly: boolean,
): ConsentWant {
  if (consent !== undefined && isRestricted(consent.state)) return { state: 'unsubscribed' };
  if (restrictionsOnly) return { state: 'untouched' };
  if (permits(consent)) return { state: 'subscribed', evidence: String(consent.evidence) };
  return { state: demandsConsent ? 'unsubscribed' : 'untouched' };
}

function onlyRestrictions(
  rules: SystemRules,
  consents: Readonly<Record<string, ProjectedConsent>>,
): Record<string, ConsentWant> {
  return consentWants(rules, consents, true);
}

function fieldsOf(
  contact: Contact,
  consents: Readonly<Record<string, ProjectedConsent>>,
  rules: readonly FieldRule[],
): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const rule of rules) {
    const read = rule.value ?? (rule.from === undefined ? '' : readPath(contact, rule.from));
    const changed = rule.transform === undefined ? read : applyTransform(rule.transform, read, { contact, consents });
    fields[rule.target] = cutAt(changed, rule.maxLength).trim();
  }
  return fields;
}
