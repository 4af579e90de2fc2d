/** Contacts and invoices as the API shows them. */
import { dateString, msDate } from './answers.ts';
import type { Contact, Invoice } from './books.ts';

const ADDRESS_PARTS = ['AddressLine1', 'AddressLine2', 'AddressLine3', 'AddressLine4', 'AttentionTo'];
const ALWAYS = ['City', 'Region', 'PostalCode', 'Country'];
const PHONE_TYPES = ['DDI', 'DEFAULT', 'FAX', 'MOBILE'];

/**
 * - `list`: an unpaged list, which leaves out what is dear to compute
 * - `full`: paged, by id, or the answer to a write
 * - `summary`: with summaryOnly
 */
export type Detail = 'list' | 'full' | 'summary';

export function shownContact(contact: Contact, detail: Detail): Record<string, unknown> {
  const { _updatedMs, _invoices, Addresses, Phones, ContactPersons, MergedToContactID, ...rest } = contact;
  const shown: Record<string, unknown> = {
    ...rest,
    Addresses: (['STREET', 'POBOX'] as const).map((type) => {
      const held = Addresses.find((each) => each.AddressType === type);
      const address: Record<string, string> = { AddressType: type };
      for (const part of ADDRESS_PARTS) if (held?.[part] !== undefined) address[part] = held[part];
      for (const part of ALWAYS) address[part] = held?.[part] ?? '';
      return address;
    }),
    Phones: PHONE_TYPES.map((type) => {
      const held = Phones.find((each) => each.PhoneType === type);
      return held ?? { PhoneType: type, PhoneNumber: '', PhoneAreaCode: '', PhoneCountryCode: '' };
    }),
    UpdatedDateUTC: msDate(_updatedMs),
    IsSupplier: _invoices.some((invoice) => invoice.Type === 'ACCPAY'),
    IsCustomer: _invoices.some((invoice) => invoice.Type === 'ACCREC'),
    HasValidationErrors: false,
  };
  if (detail === 'summary') return shown;
  shown['BankAccountDetails'] ??= '';
  shown['ContactGroups'] = [];
  shown['HasAttachments'] = false;
  if (detail === 'list') return shown;
  shown['ContactPersons'] = ContactPersons;
  shown['SalesTrackingCategories'] = [];
  shown['PurchasesTrackingCategories'] = [];
  if (MergedToContactID !== undefined) shown['MergedToContactID'] = MergedToContactID;
  return shown;
}

export function shownInvoice(invoice: Invoice, contact: Contact): Record<string, unknown> {
  const { Date: issued, DueDate: due, ...rest } = invoice;
  return {
    ...rest,
    AmountPaid: invoice.Total - invoice.AmountDue,
    CurrencyCode: 'GBP',
    Contact: { ContactID: contact.ContactID, Name: contact.Name, ContactPersons: [], HasValidationErrors: false },
    Date: msDate(Date.parse(issued)),
    DateString: dateString(Date.parse(issued)),
    DueDate: msDate(Date.parse(due)),
    DueDateString: dateString(Date.parse(due)),
    UpdatedDateUTC: msDate(contact._updatedMs),
    HasAttachments: false,
    HasErrors: false,
  };
}
