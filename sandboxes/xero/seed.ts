/** What the control API puts in: contacts in Xero's shape, past all rules, with invoices where a test needs them. */
import { randomUUID } from 'node:crypto';
import type { Books, Contact, Invoice } from './books.ts';
import { text } from './check.ts';
import { fresh, merged } from './write.ts';

const DAY_MS = 86_400_000;

/**
 * Besides Xero's fields: `_invoices` (an array of `{Status, Date, DueDate, …}`, the rest is filled in) and `_openInvoices`
 * (that many unpaid invoices due in 30 days). Gives the contact's id.
 */
export function putIn(books: Books, given: Record<string, unknown>, nowMs: number): string {
  const id = text(given['ContactID']).toLowerCase();
  const contact = changed(id === '' ? fresh() : { ...fresh(), ContactID: id }, given, nowMs);
  if (contact.Name === '') contact.Name = `Contact ${contact.ContactID}`;
  books.put(contact);
  return contact.ContactID;
}

/** A contact with the fields of `given` set, whatever the API would allow. */
export function changed(contact: Contact, given: Record<string, unknown>, nowMs: number): Contact {
  const next = merged(contact, given);
  next._updatedMs = nowMs;
  const status = given['ContactStatus'];
  if (status === 'ACTIVE' || status === 'ARCHIVED' || status === 'GDPRREQUEST') next.ContactStatus = status;
  if (typeof given['MergedToContactID'] === 'string') next.MergedToContactID = given['MergedToContactID'];
  const invoices = given['_invoices'];
  if (Array.isArray(invoices)) {
    next._invoices = invoices.map((each: Partial<Invoice>, index) => invoiceOf(each, index, nowMs));
  }
  if (typeof given['_openInvoices'] === 'number') {
    const paid = next._invoices.filter((each) => each.Status === 'PAID');
    const open = Array.from({ length: given['_openInvoices'] }, (_, index) =>
      invoiceOf({}, paid.length + index, nowMs),
    );
    next._invoices = [...paid, ...open];
  }
  return next;
}

function invoiceOf(given: Partial<Invoice>, index: number, nowMs: number): Invoice {
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
  const Status = given.Status ?? 'AUTHORISED';
  return {
    InvoiceID: randomUUID(),
    InvoiceNumber: `INV-${String(index + 1).padStart(4, '0')}`,
    Type: 'ACCREC',
    Date: day(nowMs),
    DueDate: day(nowMs + 30 * DAY_MS),
    Total: 100,
    AmountDue: Status === 'PAID' || Status === 'VOIDED' || Status === 'DELETED' ? 0 : 100,
    ...given,
    Status,
  };
}
