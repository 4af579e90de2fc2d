/** The control API's view of a contact: everything held, and changes past all rules. */
import type { Account } from './account.ts';
import { stored } from './properties.ts';
import { emailsOf } from './state.ts';
import type { Contact, StatusState } from './state.ts';

/** What `POST /records` and `PATCH /records/:id` take. Properties may also stand at the top level of a seed. */
interface Given {
  id?: string;
  properties?: Record<string, unknown>;
  createdAt?: string;
  updatedAt?: string;
  archived?: boolean;
  mergedIds?: string[];
  /** Subscription id → state, for the primary address. */
  _subscriptions?: Record<string, StatusState>;
  _optedOutOfAll?: boolean;
  /** The person did it: cannot be undone by API. */
  self?: boolean;
}

/** All properties, computed ones included, and the consent of its primary address. */
export function full(account: Account, contact: Contact): Record<string, unknown> {
  const computed = ['hs_merged_object_ids', 'hs_email_optout'];
  const held = account.state.preferences.get(emailsOf(contact)[0] ?? '');
  const subscriptions = [...(held?.subscriptions ?? [])].map(([id, one]) => [id, one.status]);
  return {
    ...account.view(contact, [...Object.keys(contact.properties), ...computed]),
    _subscriptions: Object.fromEntries(subscriptions),
    _optedOutOfAll: held?.optedOutOfAll ?? false,
  };
}

export function seed(account: Account, record: unknown): string {
  const given = record as Given;
  const createdAtMs = given.createdAt === undefined ? account.nowMs : Date.parse(given.createdAt);
  const contact: Contact = {
    id: given.id ?? account.state.newId(),
    properties: values(given.properties ?? {}),
    createdAtMs,
    updatedAtMs: given.updatedAt === undefined ? createdAtMs : Date.parse(given.updatedAt),
    archivedAtMs: given.archived === true ? account.nowMs : null,
    mergedIds: given.mergedIds ?? [],
  };
  account.state.insert(contact);
  for (const id of contact.mergedIds) account.state.aliases.set(id, contact.id);
  setConsent(account, contact, given);
  return contact.id;
}

export function patch(account: Account, id: string, change: Record<string, unknown>): unknown {
  const contact = account.state.get(id);
  if (contact === undefined) return undefined;
  const given = change as Given;
  // A change of consent alone does not touch the contact: HubSpot keeps it with the address.
  if (given.properties !== undefined || given.archived !== undefined) {
    account.change(contact, () => {
      Object.assign(contact.properties, values(given.properties ?? {}));
      if (given.archived !== undefined) contact.archivedAtMs = given.archived ? account.nowMs : null;
    });
  }
  setConsent(account, contact, given);
  return full(account, contact);
}

function setConsent(account: Account, contact: Contact, given: Given): void {
  const [email] = emailsOf(contact);
  if (email === undefined || (given._subscriptions === undefined && given._optedOutOfAll === undefined)) return;
  const held = account.state.preferencesOf(email);
  if (given._optedOutOfAll !== undefined) held.optedOutOfAll = given._optedOutOfAll;
  for (const [subscription, status] of Object.entries(given._subscriptions ?? {})) {
    held.subscriptions.set(subscription, { status, atMs: account.nowMs, self: given.self ?? false });
  }
}

function values(given: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, stored(name, value)]));
}
