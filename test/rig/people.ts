/** Made-up people, and what the three sandboxes hold of them. Reserved domains only. */
import { randomBytes } from 'node:crypto';
import { rows } from '../../store/db.ts';
import { control, SYSTEM } from './world.ts';
import type { Vendor, World } from './world.ts';

export interface Person {
  id: string;
  givenName: string;
  familyName: string;
  email: string;
}

/** Fields of a customer with a given newsletter, who belongs in all three systems. */
export function customer(given: string, family: string, email?: string): Record<string, unknown> {
  const tag = randomBytes(4).toString('hex');
  return {
    givenName: given,
    familyName: family,
    emails: [email ?? `${given}.${family}.${tag}@example.com`.toLowerCase()],
    relationship: 'customer',
    organisation: 'Sample Ltd',
    source: 'website',
    obtainedAt: '2026-10-01',
  };
}

export const GIVEN = {
  purpose: 'newsletter',
  kind: 'given',
  happenedAt: '2026-10-02T10:00:00Z',
  channel: 'web_form',
  statement: 'newsletter-2025-1',
  byPerson: true,
} as const;

/** Makes a customer through the API, with a given newsletter unless told otherwise, and waits for the reading back. */
export async function addPerson(
  world: World,
  given: string,
  family: string,
  options: { email?: string; newsletter?: boolean; wait?: boolean } = {},
): Promise<Person> {
  const fields = customer(given, family, options.email);
  const made = await world.call('POST', '/v1/contacts', fields);
  if (made.status !== 201) throw new Error(`creating answered ${made.status}: ${JSON.stringify(made.body)}`);
  const id = String((made.body['contact'] as Record<string, unknown> | undefined)?.['id'] ?? made.body['id']);
  const wait = options.wait === false ? '' : '?wait=verified&timeoutMs=30000';
  if (options.newsletter !== false) {
    const recorded = await world.call('POST', `/v1/contacts/${id}/consents${wait}`, { events: [GIVEN] });
    if (recorded.status !== 201)
      throw new Error(`consent answered ${recorded.status}: ${JSON.stringify(recorded.body)}`);
  }
  return { id, givenName: given, familyName: family, email: String((fields['emails'] as string[])[0]) };
}

/** Current external ids of a contact in one system. */
export async function externalIds(world: World, contactId: string, vendor: Vendor): Promise<string[]> {
  const found = await rows<{ external_id: string }>(
    world.db,
    'select external_id from external_ids where contact_id = ? and system = ? and not former order by since desc',
    [contactId, SYSTEM[vendor]],
  );
  return found.map((f) => f.external_id);
}

export interface HubSpotRecord {
  id: string;
  archived: boolean;
  properties: Record<string, string | null>;
  _subscriptions?: Record<string, string>;
}
export interface MailchimpRecord {
  id: string;
  contact_id: string;
  email_address: string;
  status: string;
  last_changed: string;
  merge_fields: Record<string, string>;
}
export interface XeroRecord {
  ContactID: string;
  ContactStatus: string;
  Name: string;
  FirstName?: string;
  LastName?: string;
  EmailAddress?: string;
}

export interface Records {
  hubspot: HubSpotRecord;
  mailchimp: MailchimpRecord;
  xero: XeroRecord;
}

/** A record as the vendor itself holds it; null when there is none. */
export async function held<V extends Vendor>(world: World, vendor: V, id: string): Promise<Records[V] | null> {
  return (await control(world.sandboxes[vendor], 'GET', `/records/${encodeURIComponent(id)}`)) as Records[V] | null;
}

/** Everything a vendor holds. */
export async function allHeld<V extends Vendor>(world: World, vendor: V): Promise<Records[V][]> {
  const page = (await control(world.sandboxes[vendor], 'GET', '/records?offset=0&limit=10000')) as {
    records: Records[V][];
  };
  return page.records;
}

/** What the vendors hold of people whom the record does not know, as text to compare. */
export async function othersHeld(world: World): Promise<string> {
  const [hubspot, mailchimp, xero] = await Promise.all([
    allHeld(world, 'hubspot'),
    allHeld(world, 'mailchimp'),
    allHeld(world, 'xero'),
  ]);
  const filled = (fields: Record<string, unknown>): [string, unknown][] =>
    // A property that was made for everybody shows up empty on these too.
    Object.entries(fields).filter(([, value]) => value !== '' && value !== null);
  return JSON.stringify([
    hubspot
      .filter((r) => r.properties['firstname'] === 'Other')
      .map((r) => [r.id, r.archived, r._subscriptions, filled(r.properties)]),
    mailchimp
      .filter((r) => r.merge_fields['FNAME'] === 'Other')
      .map((r) => [r.id, r.status, r.last_changed, filled(r.merge_fields)]),
    xero.filter((r) => r.Name.startsWith('Other ')),
  ]);
}
