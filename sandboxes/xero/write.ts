/** PUT and POST of contacts: which contact is meant, what becomes of it, what the answer says of each element. */
import { randomUUID } from 'node:crypto';
import { failsPartially } from '../kit/vendor.ts';
import type { Answer, Host, VendorRequest } from '../kit/vendor.ts';
import { apiError, envelope } from './answers.ts';
import { openInvoices } from './books.ts';
import type { Address, Books, Contact, Phone } from './books.ts';
import { personOf, shapeErrors, text, wholeErrors } from './check.ts';
import type { Element } from './check.ts';
import type { XeroSettings } from './settings.ts';
import { shownContact } from './show.ts';

const NO_ID = '00000000-0000-0000-0000-000000000000';
const TEXTS = ['FirstName', 'LastName', 'EmailAddress', 'CompanyNumber', 'TaxNumber', 'BankAccountDetails'] as const;

interface Writing {
  books: Books;
  host: Host;
  settings: XeroSettings;
  /** PUT only creates. */
  createOnly: boolean;
}

/** @param id of the path, for `POST /Contacts/{ContactID}` */
export function writeContacts(
  request: VendorRequest,
  books: Books,
  host: Host,
  settings: XeroSettings,
  id?: string,
): Answer {
  const elements = elementsOf(request.json);
  if (elements === undefined) {
    return apiError(400, 14, 'PostDataInvalidException', 'JSON for post data was invalid');
  }
  if (id !== undefined && elements[0] !== undefined) elements[0] = { ...elements[0], ContactID: id };
  const writing: Writing = { books, host, settings, createOnly: request.method === 'PUT' };
  const oneByOne = request.query.get('summarizeErrors') === 'false';

  // Without summarizeErrors=false nothing may happen unless all can: what was written is taken back.
  const before = new Map<string, Contact | undefined>();
  const shown: Record<string, unknown>[] = [];
  let failed = 0;
  for (const [index, element] of elements.entries()) {
    const partial = failsPartially(request, index)
      ? [text(request.partial?.['message']) || 'Email address must be valid.']
      : undefined;
    const result = partial ?? writeOne(writing, element);
    if (Array.isArray(result)) {
      failed += 1;
      shown.push(refused(element, result));
      continue;
    }
    const contactId = result.ContactID;
    if (!before.has(contactId)) before.set(contactId, books.get(contactId));
    books.put(result);
    shown.push({ ...shownContact(result, 'full'), ...(oneByOne ? { StatusAttributeString: 'OK' } : {}) });
  }

  const summary = `${elements.length} contacts, ${failed} refused`;
  if (failed > 0 && !oneByOne) {
    for (const [contactId, contact] of before) {
      if (contact === undefined) books.remove(contactId);
      else books.put(contact);
    }
    const Elements = shown.filter((each) => each['HasValidationErrors'] === true);
    const Message = 'A validation exception occurred';
    return { status: 400, body: { ErrorNumber: 10, Type: 'ValidationException', Message, Elements }, summary };
  }
  const effect = failed < elements.length;
  return { status: 200, body: envelope(host.now(), { Contacts: shown }), effect, summary };
}

function elementsOf(json: unknown): Element[] | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const list = Array.isArray(json) ? json : 'Contacts' in json ? json.Contacts : [json];
  if (!Array.isArray(list) || list.length === 0) return undefined;
  return list.every((each) => typeof each === 'object' && each !== null) ? (list as Element[]) : undefined;
}

/** The element as it was sent, with its errors. */
function refused(element: Element, messages: string[]): Record<string, unknown> {
  return {
    ...element,
    ContactID: text(element['ContactID']) || NO_ID,
    Addresses: element['Addresses'] ?? [],
    Phones: element['Phones'] ?? [],
    ContactGroups: [],
    ContactPersons: element['ContactPersons'] ?? [],
    StatusAttributeString: 'ERROR',
    HasValidationErrors: true,
    ValidationErrors: messages.map((Message) => ({ Message })),
  };
}

/** The contact as it is to be stored, or why not. */
function writeOne(writing: Writing, element: Element): Contact | string[] {
  const { books, host } = writing;
  const errors = shapeErrors(element);
  if (errors.length > 0) return errors;
  const target = targetOf(writing, element);
  if (Array.isArray(target)) return target;
  const next = merged(target ?? fresh(), element);
  next._updatedMs = host.now();
  if (target === undefined) return accepted(books, next, element);
  if (target.ContactStatus === 'GDPRREQUEST')
    return ['The contact is subject to a GDPR request and cannot be changed.'];
  const status = element['ContactStatus'];
  if (target.ContactStatus === 'ARCHIVED' && status !== 'ACTIVE') {
    return ['The contact is archived. Archived contacts can only be restored.'];
  }
  if (target.MergedToContactID !== undefined) return ['The contact was merged into another contact.'];
  if (status === 'ARCHIVED') {
    if (openInvoices(target).length > 0) {
      return ['The contact cannot be archived because it has outstanding invoices or bills.'];
    }
    // The least favourable reading of the documentation: archiving does nothing else, whatever else was sent.
    return { ...target, ContactStatus: 'ARCHIVED', _updatedMs: next._updatedMs };
  }
  return accepted(books, next, element);
}

/** The contact that is meant; undefined for a new one. */
function targetOf({ books, settings, createOnly }: Writing, element: Element): Contact | undefined | string[] {
  const id = text(element['ContactID']).toLowerCase();
  const number = text(element['ContactNumber']);
  const name = text(element['Name']);
  if (id !== '' && id !== NO_ID) {
    if (createOnly) return ['A contact with this ContactID cannot be created.'];
    return books.get(id) ?? ['The contact with the specified contact details could not be found.'];
  }
  if (number === '' && name === '') {
    return [
      'The Contact must contain at least 1 of the following elements to identify the contact: Name, ContactID, ContactNumber',
    ];
  }
  const byNumber = number === '' ? undefined : books.numbered(number);
  if (byNumber !== undefined)
    return createOnly ? ['The contact number is already assigned to another contact.'] : byNumber;
  const byName = name === '' ? undefined : books.activeNamed(name);
  if (byName !== undefined && (createOnly || (number !== '' && settings.sameName === 'refuse')))
    return [nameTaken(name)];
  return byName;
}

function nameTaken(name: string): string {
  return `The contact name ${name} is already assigned to another contact. The contact name must be unique across all active contacts.`;
}

/** The contact if it fits among the others. */
function accepted(books: Books, next: Contact, element: Element): Contact | string[] {
  const errors = wholeErrors(next, element);
  const other = (found: Contact | undefined): boolean => found !== undefined && found.ContactID !== next.ContactID;
  if (next.Name === '') errors.push('The contact name must be specified.');
  if (next.ContactStatus === 'ACTIVE' && other(books.activeNamed(next.Name))) errors.push(nameTaken(next.Name));
  if (next.ContactNumber !== undefined && other(books.numbered(next.ContactNumber))) {
    errors.push('The contact number is already assigned to another contact.');
  }
  if (next.AccountNumber !== undefined && other(books.withAccount(next.AccountNumber))) {
    errors.push('The account number is already assigned to another contact.');
  }
  return errors.length > 0 ? errors : next;
}

/** What is not sent stays; an empty text empties; Phones, Addresses and ContactPersons replace what was there, whole. */
export function merged(contact: Contact, element: Element): Contact {
  const next = { ...contact };
  if (typeof element['Name'] === 'string') next.Name = element['Name'].trim();
  for (const field of ['ContactNumber', 'AccountNumber', ...TEXTS] as const) {
    const value = element[field];
    if (typeof value !== 'string') continue;
    if (value.trim() === '') delete next[field];
    else next[field] = value.trim();
  }
  if (element['ContactStatus'] === 'ACTIVE') next.ContactStatus = 'ACTIVE';
  if (typeof element['DefaultCurrency'] === 'string') next.DefaultCurrency = element['DefaultCurrency'];
  if (Array.isArray(element['Addresses']))
    next.Addresses = (element['Addresses'] as Record<string, unknown>[]).map(addressOf);
  if (Array.isArray(element['Phones'])) next.Phones = (element['Phones'] as Record<string, unknown>[]).map(phoneOf);
  if (Array.isArray(element['ContactPersons'])) {
    next.ContactPersons = (element['ContactPersons'] as Record<string, unknown>[]).map(personOf);
  }
  return next;
}

function addressOf(given: Record<string, unknown>): Address {
  const address: Address = { AddressType: given['AddressType'] === 'POBOX' ? 'POBOX' : 'STREET' };
  for (const [part, value] of Object.entries(given)) {
    if (part !== 'AddressType' && typeof value === 'string' && value !== '') address[part] = value;
  }
  return address;
}

function phoneOf(given: Record<string, unknown>): Phone {
  return {
    PhoneType: text(given['PhoneType']),
    PhoneNumber: text(given['PhoneNumber']),
    PhoneAreaCode: text(given['PhoneAreaCode']),
    PhoneCountryCode: text(given['PhoneCountryCode']),
  };
}

export function fresh(): Contact {
  return {
    ContactID: randomUUID(),
    ContactStatus: 'ACTIVE',
    Name: '',
    Addresses: [],
    Phones: [],
    ContactPersons: [],
    _updatedMs: 0,
    _invoices: [],
  };
}
