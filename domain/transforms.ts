/** Named, pure changes of a value on its way to a vendor, for `transform` in a field mapping. */
import type { ConsentState } from './consent.ts';
import type { Contact } from './contact.ts';
import { fullNameOf } from './mapping.ts';
import { parsePhone } from './phone.ts';
import { collapseSpaces } from './text.ts';
import { dayOf, parseMoment } from './time.ts';

export interface TransformContext {
  contact: Contact;
  /** Purpose → state that stands for this system. */
  consents: Readonly<Record<string, { state: ConsentState }>>;
}

export type Transform = (value: string, context: TransformContext) => string;

/**
 * Options of HubSpot's contact property `hs_legal_basis` that we can know to be true. A legitimate interest is somebody's
 * decision, so it is never claimed here: what is neither consent nor contract stays empty.
 */
const HUBSPOT_LEGAL_BASIS = {
  consent: 'Freely given consent from contact',
  contract: 'Performance of a contract',
} as const;

/**
 * Values of HubSpot's `lifecyclestage` that say no more than we know. HubSpot takes a stage forward only (`other` is its last), so a
 * former customer who is a lead again must be cleared there first.
 */
const HUBSPOT_LIFECYCLE_STAGE: Readonly<Record<string, string>> = {
  lead: 'lead',
  customer: 'customer',
  supplier: 'other',
  former_customer: 'other',
};

const COUNTRY_NAMES = new Intl.DisplayNames(['en'], { type: 'region' });

const transforms = {
  upper: (value) => value.toUpperCase(),
  lower: (value) => value.toLowerCase(),
  fullName: (_value, { contact }) => fullNameOf(contact),
  /** Digits with a leading `+` where the number is international; what is no number goes as it is. */
  phoneDigits: (value) => {
    const parsed = parsePhone(value);
    return parsed.ok ? parsed.canonical : value;
  },
  /** `2026-01-31` of a moment, in UTC. */
  dateOnly: (value) => {
    const ms = parseMoment(value);
    return ms === null ? value : dayOf(ms);
  },
  /** English name of an ISO 3166 country. */
  countryName: (value) => (/^[A-Za-z]{2}$/.test(value) ? (COUNTRY_NAMES.of(value.toUpperCase()) ?? value) : value),
  /** Language of a locale: `en` of `en-GB`. */
  language: (value) => value.split('-')[0]?.toLowerCase() ?? '',
  /** Lines of an address on one line. */
  joinStreet: (value) =>
    value
      .split(/\r\n|[\n\r]/)
      .map(collapseSpaces)
      .filter((line) => line !== '')
      .join(', '),
  /** HubSpot `lifecyclestage` of a relationship; what is none of ours stays empty. */
  lifecycleStage: (value) => HUBSPOT_LIFECYCLE_STAGE[value] ?? '',
  /** HubSpot `hs_legal_basis`, several joined with `;`. */
  legalBasis: (_value, { contact, consents }) => {
    const bases: string[] = [];
    if (Object.values(consents).some((consent) => consent.state === 'given')) bases.push(HUBSPOT_LEGAL_BASIS.consent);
    if (contact.relationship === 'customer' || contact.relationship === 'supplier')
      bases.push(HUBSPOT_LEGAL_BASIS.contract);
    return bases.join(';');
  },
} as const satisfies Record<string, Transform>;

export type TransformName = keyof typeof transforms;

export const TRANSFORM_NAMES = Object.keys(transforms) as TransformName[];

export function isTransformName(name: string): name is TransformName {
  return Object.hasOwn(transforms, name);
}

/** Throws for a name that `isTransformName` denies: the configuration is checked before anything is projected. */
export function applyTransform(name: string, value: string, context: TransformContext): string {
  if (!isTransformName(name)) throw new Error(`no such transform: ${name}`);
  return transforms[name](value, context);
}
