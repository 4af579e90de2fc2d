/** `POST /crm/v3/objects/contacts/search`: lags behind writes, ends at 10,000 results. */
import type { Answer, VendorRequest } from '../kit/vendor.ts';
import { iso } from './account.ts';
import type { Account } from './account.ts';
import { invalid, ok, refused } from './answers.ts';
import type { Contact } from './state.ts';

const PAGE_MAX = 200;
const RESULTS_MAX = 10_000;

interface Filter {
  propertyName: string;
  operator: string;
  value?: string;
  values?: string[];
  highValue?: string;
}

interface Body {
  filterGroups?: { filters: Filter[] }[];
  query?: string;
  sorts?: (string | { propertyName: string; direction?: string })[];
  properties?: string[];
  limit?: number;
  after?: string;
}

export function search(account: Account, request: VendorRequest): Answer {
  const { filterGroups = [], query, sorts = [], properties, limit = 10, after } = (request.json ?? {}) as Body;
  const offset = Number(after ?? 0);
  if (limit > PAGE_MAX) return refused(invalid(`limit must be at most ${PAGE_MAX}`));
  if (offset + limit > RESULTS_MAX) return refused(invalid('Paging past 10000 results is not supported'));
  const unknown = filterGroups
    .flatMap(({ filters }) => filters)
    .find(({ propertyName }) => !account.property(propertyName));
  if (unknown !== undefined) {
    return refused(invalid(`There was a problem with the request: property "${unknown.propertyName}" does not exist`));
  }

  const found: Contact[] = [];
  for (const contact of account.state.after(0)) {
    const seen = asIndexed(account, contact);
    if (seen === undefined) continue;
    const text = Object.values(seen.properties).join('\n').toLowerCase();
    if (query !== undefined && !text.includes(query.toLowerCase())) continue;
    const matches =
      filterGroups.length === 0 || filterGroups.some(({ filters }) => filters.every((f) => holds(account, seen, f)));
    if (matches) found.push(seen);
  }
  const [sort] = sorts;
  if (sort !== undefined) {
    const { propertyName: name, direction = 'ASCENDING' } = typeof sort === 'string' ? { propertyName: sort } : sort;
    const sign = direction === 'DESCENDING' ? -1 : 1;
    found.sort((a, b) => sign * compare(account.value(a, name) ?? '', account.value(b, name) ?? ''));
  }
  const page = found.slice(offset, offset + limit);
  const next = offset + limit < found.length ? { paging: { next: { after: String(offset + limit) } } } : {};
  const results = page.map((contact) => account.view(contact, properties));
  return ok({ total: found.length, results, ...next }, { summary: `${results.length} of ${found.length}` });
}

/** The contact as the index has it: without what is younger than the lag. */
function asIndexed(account: Account, contact: Contact): Contact | undefined {
  const { before } = contact;
  if (before !== undefined && before.sinceMs > account.nowMs - account.host.settings.searchLagMs) {
    return before.properties === null ? undefined : { ...contact, properties: before.properties, archivedAtMs: null };
  }
  return contact.archivedAtMs === null ? contact : undefined;
}

function holds(account: Account, contact: Contact, filter: Filter): boolean {
  const { propertyName: name, operator } = filter;
  const value = account.value(contact, name) ?? '';
  const mine = name === 'email' ? [value, ...(contact.properties['hs_additional_emails'] ?? '').split(';')] : [value];
  const wanted = (filter.value ?? '').toLowerCase();
  const is = (other: string): boolean => mine.some((one) => one !== '' && one.toLowerCase() === other.toLowerCase());
  const order = compare(value, moment(name, filter.value ?? ''));
  switch (operator) {
    case 'EQ':
      return is(wanted);
    case 'NEQ':
      return !is(wanted);
    case 'IN':
      return (filter.values ?? []).some(is);
    case 'NOT_IN':
      return !(filter.values ?? []).some(is);
    case 'HAS_PROPERTY':
      return value !== '';
    case 'NOT_HAS_PROPERTY':
      return value === '';
    case 'CONTAINS_TOKEN':
      return mine.some((one) => one.toLowerCase().includes(wanted.replaceAll('*', '')));
    case 'GT':
      return value !== '' && order > 0;
    case 'GTE':
      return value !== '' && order >= 0;
    case 'LT':
      return value !== '' && order < 0;
    case 'LTE':
      return value !== '' && order <= 0;
    case 'BETWEEN':
      return value !== '' && order >= 0 && compare(value, moment(name, filter.highValue ?? '')) <= 0;
    default:
      return false;
  }
}

/** Dates are asked for in milliseconds or ISO 8601. */
function moment(name: string, value: string): string {
  const isDate = name === 'createdate' || name === 'lastmodifieddate';
  return isDate && /^\d+$/.test(value) ? iso(Number(value)) : value;
}

function compare(a: string, b: string): number {
  if (/^\d+$/.test(a) && /^\d+$/.test(b)) return Number(a) - Number(b);
  return a < b ? -1 : a > b ? 1 : 0;
}
