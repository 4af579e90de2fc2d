/** Made-up contacts and rules for the tests of the domain. */
import { emptyContactData, type Contact } from '../../domain/contact.ts';
import type { ProjectedConsent } from '../../domain/projection.ts';
import type { SystemRules } from '../../domain/want.ts';

export function contactOf(changes: Partial<Contact> = {}): Contact {
  return {
    ...emptyContactData(),
    id: 'c-1',
    seq: 10,
    version: 1,
    state: 'active',
    createdAt: '2026-01-31T09:00:00.000Z',
    changedAt: '2026-01-31T09:00:00.000Z',
    givenName: 'Ada',
    familyName: 'Muster',
    emails: ['Ada.Muster@xn--bcher-kva.example'],
    phones: ['+44 (0)20 7946 0000'],
    country: 'GB',
    locale: 'en-GB',
    relationship: 'lead',
    attributes: { vip: true, points: 3 },
    ...changes,
  };
}

export function rulesOf(changes: Partial<SystemRules> = {}): SystemRules {
  return {
    name: 'mail',
    connector: 'mailchimp',
    who: { kind: 'consent', purpose: 'newsletter' },
    outsiders: 'unsubscribe',
    fields: [
      { target: 'email', from: 'emails.0', kind: 'email' },
      { target: 'first', from: 'givenName', kind: 'text', maxLength: 12 },
      { target: 'last', from: 'familyName', kind: 'caseless' },
      { target: 'phone', from: 'phones.0', kind: 'phone' },
      { target: 'since', from: 'obtainedAt', kind: 'date', transform: 'dateOnly' },
      { target: 'vip', from: 'attributes.vip', kind: 'boolean' },
      { target: 'points', from: 'attributes.points', kind: 'number' },
      { target: 'origin', value: 'Plumbline', kind: 'text' },
    ],
    consents: [{ purpose: 'newsletter', target: 'list' }],
    addressIsKey: true,
    ...changes,
  };
}

export const given: ProjectedConsent = { state: 'given', evidence: 7 };
export const unknown: ProjectedConsent = { state: 'unknown', evidence: null };
export const withdrawn: ProjectedConsent = { state: 'withdrawn', evidence: null };
