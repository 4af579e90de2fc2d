/** What Xero refuses in one contact of a write, as the messages of its `ValidationErrors`. */
import type { Contact, Person } from './books.ts';

/** A contact of a request, still unchecked. */
export type Element = Record<string, unknown>;

/** Longest values (schema Contact, Address and Phone in `spec/`). */
const LENGTHS: Record<string, number> = {
  Name: 255,
  ContactNumber: 50,
  AccountNumber: 50,
  FirstName: 255,
  LastName: 255,
  EmailAddress: 255,
  CompanyNumber: 50,
  TaxNumber: 50,
  BankAccountDetails: 255,
};
const ADDRESS_LENGTHS: Record<string, number> = {
  AddressLine1: 500,
  AddressLine2: 500,
  AddressLine3: 500,
  AddressLine4: 500,
  City: 255,
  Region: 255,
  PostalCode: 50,
  Country: 50,
  AttentionTo: 255,
};
const PHONE_LENGTHS: Record<string, number> = { PhoneNumber: 50, PhoneAreaCode: 10, PhoneCountryCode: 20 };
const PHONE_TYPES = ['DEFAULT', 'DDI', 'MOBILE', 'FAX', 'OFFICE'];
const PERSONS_MAX = 5;

/** Xero takes ASCII only here ("umlauts not supported"). */
const EMAIL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$/;

export function shapeErrors(element: Element): string[] {
  const errors: string[] = [];
  lengths(element, LENGTHS, errors);
  if (!emailAllowed(element['EmailAddress'])) errors.push('Email address must be valid.');
  const status = element['ContactStatus'];
  if (status === 'GDPRREQUEST') errors.push('The contact status GDPRREQUEST cannot be set through the API.');
  else if (status !== undefined && status !== 'ACTIVE' && status !== 'ARCHIVED') {
    errors.push('The contact status must be ACTIVE or ARCHIVED.');
  }
  for (const address of objects(element['Addresses'], 'Addresses', errors)) {
    if (address['AddressType'] !== 'POBOX' && address['AddressType'] !== 'STREET') {
      errors.push('The address type must be POBOX or STREET.');
    }
    lengths(address, ADDRESS_LENGTHS, errors);
    if (!/^[A-Za-z ]*$/.test(text(address['Country']))) errors.push('Country may contain letters only.');
  }
  for (const phone of objects(element['Phones'], 'Phones', errors)) {
    if (!PHONE_TYPES.includes(String(phone['PhoneType']))) errors.push('The phone type is not valid.');
    lengths(phone, PHONE_LENGTHS, errors);
  }
  const persons = objects(element['ContactPersons'], 'ContactPersons', errors);
  if (persons.length > PERSONS_MAX) errors.push(`A contact can have at most ${PERSONS_MAX} additional people.`);
  for (const person of persons) {
    if (!emailAllowed(person['EmailAddress'])) errors.push('Email address must be valid.');
  }
  return errors;
}

/** Rules between the fields of the contact as it would become. */
export function wholeErrors(next: Contact, element: Element): string[] {
  const sendsPersons = Array.isArray(element['ContactPersons']) && element['ContactPersons'].length > 0;
  return sendsPersons && next.EmailAddress === undefined
    ? ['Additional people cannot be added when the primary person has no email address set.']
    : [];
}

export function personOf(given: Record<string, unknown>): Person {
  return {
    FirstName: text(given['FirstName']),
    LastName: text(given['LastName']),
    EmailAddress: text(given['EmailAddress']),
    IncludeInEmails: given['IncludeInEmails'] === true,
  };
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function emailAllowed(value: unknown): boolean {
  return value === undefined || value === null || value === '' || EMAIL.test(text(value));
}

function lengths(given: Record<string, unknown>, limits: Record<string, number>, errors: string[]): void {
  for (const [field, max] of Object.entries(limits)) {
    const value = given[field];
    if (value === undefined || value === null) continue;
    if (typeof value !== 'string') errors.push(`The field ${field} must be a string.`);
    else if (value.length > max) errors.push(`The field ${field} must be a string with a maximum length of ${max}.`);
  }
}

function objects(value: unknown, field: string, errors: string[]): Record<string, unknown>[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((each) => typeof each === 'object' && each !== null)) return value;
  errors.push(`The field ${field} must be an array of objects.`);
  return [];
}
