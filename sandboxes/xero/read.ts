/** GET of contacts and invoices: filters, order, pages. */
import type { Answer, Host, VendorRequest } from '../kit/vendor.ts';
import { apiError, envelope, notFound } from './answers.ts';
import type { Books, Contact } from './books.ts';
import { shownContact, shownInvoice } from './show.ts';
import type { Detail } from './show.ts';
import { parseWhere } from './where.ts';
import type { Where } from './where.ts';

const PAGE_SIZE = 100;
const PAGE_SIZE_MAX = 1000;

/** Longer query strings are not found: with 36 characters an id, that is the reported end at some 55 ids. */
const QUERY_CHARS_MAX = 2048;

/** The orders there are. No two contacts are equal in any. */
export const COMPARE: Record<string, (a: Contact, b: Contact) => number> = {
  NAME: (a, b) => compareText(a.Name.toLowerCase(), b.Name.toLowerCase()) || compareText(a.ContactID, b.ContactID),
  CONTACTID: (a, b) => compareText(a.ContactID, b.ContactID),
  EMAILADDRESS: (a, b) =>
    compareText(a.EmailAddress ?? '', b.EmailAddress ?? '') || compareText(a.ContactID, b.ContactID),
  // The order without `order`: a contact that changes between two pages moves to the end, and another is missed.
  UPDATEDDATEUTC: (a, b) => a._updatedMs - b._updatedMs || compareText(a.ContactID, b.ContactID),
};

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function tooLong(request: VendorRequest): boolean {
  return request.query.toString().replaceAll('%2C', ',').length > QUERY_CHARS_MAX;
}

export function listContacts(request: VendorRequest, books: Books, host: Host): Answer {
  const { query, headers } = request;
  const tests: ((contact: Contact) => boolean)[] = [];
  let among: Where['among'];

  if (query.get('includeArchived') !== 'true') tests.push((contact) => contact.ContactStatus === 'ACTIVE');
  const where = query.get('where');
  if (where !== null && where !== '') {
    const parsed = parseWhere(where);
    if (typeof parsed === 'string') return apiError(400, 16, 'QueryParseException', parsed);
    tests.push(parsed.test);
    among = parsed.among;
  }
  const since = headers['if-modified-since'];
  if (since !== undefined && since !== '') {
    // Xero keeps whole seconds of this header.
    const sinceMs = Math.floor(Date.parse(since) / 1000) * 1000;
    if (Number.isNaN(sinceMs)) return apiError(400, 17, 'QueryParseException', 'If-Modified-Since is not a date');
    tests.push((contact) => contact._updatedMs >= sinceMs);
  }
  const term = query.get('searchTerm')?.toLowerCase();
  if (term !== undefined && term !== '') {
    const seenUntilMs = host.now() - host.settings.searchLagMs;
    tests.push((contact) => contact._updatedMs <= seenUntilMs && searched(contact).includes(term));
  }

  const [by = 'UpdatedDateUTC', direction = 'ASC'] = (query.get('order') ?? '').split(/\s+/).filter(Boolean);
  const compare = COMPARE[by.toUpperCase()];
  if (compare === undefined) {
    return apiError(400, 16, 'QueryParseException', `No property or field '${by}' exists in type 'Contact'`);
  }
  const ids = idsOf(query.get('IDs'));
  const few =
    ids?.flatMap((id) => books.get(id) ?? []) ??
    (among === undefined ? undefined : [...new Set(among.flatMap(([field, value]) => books.having(field, value)))]);
  const select = (): Contact[] => {
    const pool = few === undefined ? books.sorted(by.toUpperCase(), compare) : few.toSorted(compare);
    const ordered = direction.toUpperCase() === 'DESC' ? pool.toReversed() : pool;
    return tests.length === 0 ? ordered : ordered.filter((contact) => tests.every((test) => test(contact)));
  };
  // What a search sees changes with time alone, and a short list is quickly made.
  const shared = few === undefined && (term === undefined || term === '');
  const key = JSON.stringify([by.toUpperCase(), direction.toUpperCase(), query.get('includeArchived'), where, since]);
  const found = shared ? books.selected(key, select) : select();
  return page(request, host, 'Contacts', found, (contact) => shownContact(contact, detailOf(query)));
}

function detailOf(query: URLSearchParams): Detail {
  if (query.get('summaryOnly') === 'true') return 'summary';
  return query.has('page') ? 'full' : 'list';
}

function searched(contact: Contact): string {
  const { Name, FirstName, LastName, ContactNumber, EmailAddress } = contact;
  return [Name, FirstName, LastName, ContactNumber, EmailAddress].join('\n').toLowerCase();
}

/** By ContactID or by ContactNumber. */
export function getContact(key: string, books: Books, host: Host): Answer {
  const contact = books.get(key) ?? books.numbered(key);
  if (contact === undefined) return notFound();
  return { status: 200, body: envelope(host.now(), { Contacts: [shownContact(contact, 'full')] }) };
}

export function listInvoices(request: VendorRequest, books: Books, host: Host): Answer {
  const { query } = request;
  const contactIds = idsOf(query.get('ContactIDs'));
  const statuses = query.get('Statuses')?.split(',').filter(Boolean) ?? [];
  const contacts =
    contactIds === undefined ? Object.values(books.state.contacts) : contactIds.flatMap((id) => books.get(id) ?? []);
  const found = contacts.flatMap((contact) =>
    contact._invoices
      .filter((invoice) => statuses.length === 0 || statuses.includes(invoice.Status))
      .map((invoice) => shownInvoice(invoice, contact)),
  );
  return page(request, host, 'Invoices', found, (invoice) => invoice);
}

function idsOf(text: string | null): string[] | undefined {
  return text === null || text === '' ? undefined : [...new Set(text.toLowerCase().split(','))];
}

/** Without `page` everything comes at once and without `pagination`. */
function page<T>(
  { query }: VendorRequest,
  host: Host,
  name: string,
  all: T[],
  show: (each: T) => Record<string, unknown>,
): Answer {
  if (!query.has('page')) {
    return { status: 200, body: envelope(host.now(), { [name]: all.map(show) }), summary: `${all.length} found` };
  }
  const number = Number(query.get('page'));
  const size = Number(query.get('pageSize') ?? PAGE_SIZE);
  if (!Number.isInteger(number) || number < 1 || !Number.isInteger(size) || size < 1 || size > PAGE_SIZE_MAX) {
    return apiError(400, 17, 'QueryParseException', `page must be 1 or more, pageSize 1 to ${PAGE_SIZE_MAX}`);
  }
  const shown = all.slice((number - 1) * size, number * size).map(show);
  const pagination = { page: number, pageSize: size, pageCount: Math.ceil(all.length / size), itemCount: all.length };
  const summary = `${shown.length} of ${all.length} found`;
  return { status: 200, body: envelope(host.now(), { pagination, [name]: shown }), summary };
}
