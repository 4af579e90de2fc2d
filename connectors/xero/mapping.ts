/**
 * Mapped targets and Xero's contact. Targets are `Name`, `FirstName`, `EmailAddress`, …, `Addresses.STREET.City`,
 * `Phones.MOBILE`. A phone is one text: it is written to PhoneNumber with area and country code emptied, and read joined.
 */
import { Address, Contact, Phone } from 'xero-node';

const TEXTS = {
  Name: 'name',
  FirstName: 'firstName',
  LastName: 'lastName',
  EmailAddress: 'emailAddress',
  AccountNumber: 'accountNumber',
  CompanyNumber: 'companyNumber',
  TaxNumber: 'taxNumber',
  BankAccountDetails: 'bankAccountDetails',
} as const;
const ADDRESS_PARTS = {
  AddressLine1: 'addressLine1',
  AddressLine2: 'addressLine2',
  AddressLine3: 'addressLine3',
  AddressLine4: 'addressLine4',
  City: 'city',
  Region: 'region',
  PostalCode: 'postalCode',
  Country: 'country',
  AttentionTo: 'attentionTo',
} as const;
const ADDRESS_TYPES = ['STREET', 'POBOX'] as const;
const PHONE_TYPES = ['DEFAULT', 'DDI', 'MOBILE', 'FAX'] as const;

type Target =
  | { kind: 'text'; property: (typeof TEXTS)[keyof typeof TEXTS] }
  | {
      kind: 'address';
      type: (typeof ADDRESS_TYPES)[number];
      property: (typeof ADDRESS_PARTS)[keyof typeof ADDRESS_PARTS];
    }
  | { kind: 'phone'; type: (typeof PHONE_TYPES)[number] };

/** Undefined for a target that this connector does not know. */
export function parseTarget(target: string): Target | undefined {
  if (Object.hasOwn(TEXTS, target)) return { kind: 'text', property: TEXTS[target as keyof typeof TEXTS] };
  const [list, second, part, ...more] = target.split('.');
  if (more.length > 0) return undefined;
  if (list === 'Phones' && part === undefined) {
    const type = PHONE_TYPES.find((each) => each === second);
    return type === undefined ? undefined : { kind: 'phone', type };
  }
  const type = ADDRESS_TYPES.find((each) => each === second);
  if (list !== 'Addresses' || type === undefined || part === undefined || !Object.hasOwn(ADDRESS_PARTS, part)) {
    return undefined;
  }
  return { kind: 'address', type, property: ADDRESS_PARTS[part as keyof typeof ADDRESS_PARTS] };
}

/** What a contact holds under a target; empty for nothing. */
export function readTarget(contact: Contact, target: string): string {
  const parsed = parseTarget(target);
  switch (parsed?.kind) {
    case 'text':
      return contact[parsed.property] ?? '';
    case 'address':
      return contact.addresses?.find((each) => String(each.addressType) === parsed.type)?.[parsed.property] ?? '';
    case 'phone': {
      const phone = contact.phones?.find((each) => String(each.phoneType) === parsed.type);
      const parts = [phone?.phoneCountryCode, phone?.phoneAreaCode, phone?.phoneNumber];
      return parts.filter((part) => part !== undefined && part !== '').join(' ');
    }
    case undefined:
      return '';
  }
}

/**
 * The fields as an element of a write. Phones and addresses go whole, so what is not mapped there is carried over from
 * the contact as it is now.
 */
export function elementOf(fields: Readonly<Record<string, string>>, current: Contact | undefined): Contact {
  const element = new Contact();
  const phones = new Map((current?.phones ?? []).map((each) => [String(each.phoneType), each]));
  const addresses = new Map(
    (current?.addresses ?? []).map((each) => [String(each.addressType), Object.assign(new Address(), each)]),
  );
  for (const [target, value] of Object.entries(fields)) {
    const parsed = parseTarget(target);
    switch (parsed?.kind) {
      case 'text':
        element[parsed.property] = value;
        break;
      case 'address': {
        const address = addresses.get(parsed.type) ?? new Address();
        address.addressType = Address.AddressTypeEnum[parsed.type];
        address[parsed.property] = value;
        addresses.set(parsed.type, address);
        element.addresses = [];
        break;
      }
      case 'phone':
        phones.set(parsed.type, phoneOf(parsed.type, value));
        element.phones = [];
        break;
      case undefined:
    }
  }
  if (element.addresses !== undefined) element.addresses = [...addresses.values()];
  if (element.phones !== undefined) element.phones = [...phones.values()];
  return element;
}

function phoneOf(type: (typeof PHONE_TYPES)[number], number: string): Phone {
  const phone = new Phone();
  phone.phoneType = Phone.PhoneTypeEnum[type];
  phone.phoneNumber = number;
  phone.phoneAreaCode = '';
  phone.phoneCountryCode = '';
  return phone;
}

/** An element that empties all phones. */
export function withoutPhones(): Contact {
  const element = new Contact();
  element.phones = PHONE_TYPES.map((type) => phoneOf(type, ''));
  return element;
}

/** An element that empties everything personal, the name and the further persons apart. */
export function withoutPerson(): Contact {
  const element = withoutPhones();
  for (const property of Object.values(TEXTS)) if (property !== 'name') element[property] = '';
  element.addresses = ADDRESS_TYPES.map((type) => {
    const address = new Address();
    address.addressType = Address.AddressTypeEnum[type];
    for (const property of Object.values(ADDRESS_PARTS)) address[property] = '';
    return address;
  });
  return element;
}

/** True where nothing personal is left but, perhaps, the name. */
export function holdsNobody(contact: Contact): boolean {
  const texts = Object.values(TEXTS).filter((property) => property !== 'name' && (contact[property] ?? '') !== '');
  const phones = contact.phones ?? [];
  const addresses = contact.addresses ?? [];
  return (
    texts.length === 0 &&
    (contact.contactPersons ?? []).length === 0 &&
    phones.every((each) => [each.phoneNumber, each.phoneAreaCode, each.phoneCountryCode].every(isEmpty)) &&
    addresses.every((each) => Object.values(ADDRESS_PARTS).every((property) => isEmpty(each[property])))
  );
}

function isEmpty(value: string | undefined): boolean {
  return value === undefined || value === '';
}

/** All texts in an element, to take them out of a message. */
export function valuesOf(element: unknown): string[] {
  if (typeof element === 'string') return [element];
  return typeof element === 'object' && element !== null ? Object.values(element).flatMap(valuesOf) : [];
}
