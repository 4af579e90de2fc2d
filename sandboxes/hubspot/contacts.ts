/** `/crm/v3/objects/contacts`: single records, list, merge, gdpr-delete. */
import type { Answer, VendorRequest } from '../kit/vendor.ts';
import type { Account } from './account.ts';
import { invalid, notFound, ok, refused } from './answers.ts';
import type { Contact } from './state.ts';

const PATH = '/crm/v3/objects/contacts';

export function list(account: Account, request: VendorRequest): Answer {
  const limit = Number(request.query.get('limit') ?? 10);
  if (limit > 100) return refused(invalid('limit cannot be larger than 100'));
  const archived = request.query.get('archived') === 'true';
  const found: Contact[] = [];
  for (const contact of account.state.after(Number(request.query.get('after') ?? 0))) {
    if ((contact.archivedAtMs !== null) !== archived) continue;
    found.push(contact);
    if (found.length > limit) break;
  }
  const page = found.slice(0, limit);
  const results = page.map((contact) => account.view(contact, names(request, 'properties')));
  const summary = `${results.length} results`;
  if (found.length <= limit) return ok({ results }, { summary });
  const after = page.at(-1)!.id;
  const link = `${request.baseUrl}${PATH}?limit=${limit}&after=${after}`;
  return ok({ results, paging: { next: { after, link } } }, { summary });
}

export function get(account: Account, request: VendorRequest, id: string): Answer {
  const archived = request.query.get('archived') === 'true';
  const contact = archived ? account.state.get(id) : account.find(id, idProperty(request));
  if (contact === undefined || (archived && contact.archivedAtMs === null)) return notFound();
  return ok(account.view(contact, names(request, 'properties'), names(request, 'propertiesWithHistory')));
}

export function create(account: Account, request: VendorRequest): Answer {
  const properties = propertiesOf(request.json);
  const problem = account.problem(properties, undefined, new Set());
  if (problem !== undefined) return refused(problem);
  const contact = account.create(properties);
  return { status: 201, body: account.view(contact, Object.keys(contact.properties)), effect: true };
}

export function patch(account: Account, request: VendorRequest, id: string): Answer {
  const contact = account.find(id, idProperty(request));
  if (contact === undefined) return notFound();
  const properties = propertiesOf(request.json);
  const problem = account.problem(properties, contact, new Set());
  if (problem !== undefined) return refused(problem);
  account.update(contact, properties);
  return ok(account.view(contact, Object.keys(properties)), { effect: true });
}

/** To the recycle bin, 90 days. An id that is not there is answered alike. */
export function archive(account: Account, id: string): Answer {
  const contact = account.find(id);
  if (contact !== undefined) account.archive(contact);
  return { status: 204, effect: contact !== undefined };
}

/** Deletes for good. An address that nobody holds is blocklisted all the same. */
export function gdprDelete(account: Account, request: VendorRequest): Answer {
  const { objectId, idProperty: property } = (request.json ?? {}) as { objectId?: string; idProperty?: string };
  if (typeof objectId !== 'string') return refused(invalid('objectId is required'));
  if (property === 'email') {
    const contact = account.state.byEmail(objectId);
    if (contact !== undefined) account.erase(contact);
    account.state.blocklist.add(objectId.trim().toLowerCase());
    const summary = contact === undefined ? 'unknown address blocklisted' : 'erased by address';
    return { status: 204, effect: true, summary };
  }
  const contact = account.state.get(objectId);
  if (contact === undefined) return account.state.erased.has(objectId) ? { status: 204, effect: false } : notFound();
  account.erase(contact);
  return { status: 204, effect: true, summary: 'erased' };
}

/**
 * The survivor keeps its values and takes what it lacks; the other's address becomes a further one. Older reports say that the
 * primary's id stays, newer ones that there is a new id: setting `mergeMakesNewId`.
 */
export function merge(account: Account, request: VendorRequest): Answer {
  const { primaryObjectId = '', objectIdToMerge = '' } = (request.json ?? {}) as Record<string, string>;
  const primary = account.find(primaryObjectId);
  const other = account.find(objectIdToMerge);
  if (primary === undefined || other === undefined) return notFound();
  if (primary === other) return refused(invalid('Cannot merge a contact with itself'));
  const survivor = mergeContacts(account, primary, other);
  return ok(account.view(survivor), { effect: true });
}

export function mergeContacts(account: Account, primary: Contact, other: Contact): Contact {
  const { state } = account;
  const emails = [primary, other].flatMap((contact) => [
    contact.properties['email'] ?? '',
    ...(contact.properties['hs_additional_emails'] ?? '').split(';'),
  ]);
  const email = emails.find((one) => one !== '') ?? '';
  const further = [...new Set(emails)].filter((one) => one !== '' && one !== email);
  const kept = Object.entries(primary.properties).filter(([, value]) => value !== '');
  const properties = { ...other.properties, ...Object.fromEntries(kept) };
  if (email !== '') properties['email'] = email;
  if (further.length > 0) properties['hs_additional_emails'] = further.join(';');
  const newId = account.host.settings['mergeMakesNewId'] === true;
  const goneIds = newId
    ? [primary.id, ...primary.mergedIds, other.id, ...other.mergedIds]
    : [...primary.mergedIds, other.id, ...other.mergedIds];

  state.delete(other);
  let survivor = primary;
  if (newId) {
    state.delete(primary);
    survivor = { ...primary, id: state.newId(), properties, mergedIds: goneIds, updatedAtMs: account.nowMs };
    state.insert(survivor);
  } else {
    account.change(primary, () => {
      primary.properties = properties;
      primary.mergedIds = goneIds;
    });
  }
  for (const id of goneIds) state.aliases.set(id, survivor.id);
  return survivor;
}

export function propertiesOf(json: unknown): Record<string, unknown> {
  const properties = (json as { properties?: unknown } | undefined)?.properties;
  return typeof properties === 'object' && properties !== null ? (properties as Record<string, unknown>) : {};
}

function idProperty(request: VendorRequest): string | undefined {
  return request.query.get('idProperty') ?? undefined;
}

function names(request: VendorRequest, key: string): string[] {
  return request.query.getAll(key).flatMap((value) => value.split(','));
}
