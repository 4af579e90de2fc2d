/** An independent look: what a sandbox itself says it holds, past our own connectors, for the demonstration to compare with. */

/** What is compared, in words that fit all three vendors. */
export interface Held {
  present: boolean;
  givenName: string;
  familyName: string;
  email: string;
  /** Of the newsletter; `none` where the vendor keeps no consent. */
  newsletter: 'subscribed' | 'unsubscribed' | 'none';
}

const GONE: Held = { present: false, givenName: '', familyName: '', email: '', newsletter: 'none' };

interface HubSpotRecord {
  archived: boolean;
  properties: Record<string, string | null>;
  _subscriptions?: Record<string, string>;
}

interface MailchimpRecord {
  status: string;
  email_address: string;
  merge_fields: Record<string, string>;
}

interface XeroRecord {
  ContactStatus: string;
  FirstName?: string;
  LastName?: string;
  EmailAddress?: string;
}

const NEWSLETTER_TARGET = '1001';

function hubspot(record: HubSpotRecord): Held {
  const consent = record._subscriptions?.[NEWSLETTER_TARGET];
  return {
    present: !record.archived,
    givenName: record.properties['firstname'] ?? '',
    familyName: record.properties['lastname'] ?? '',
    email: record.properties['email'] ?? '',
    newsletter: consent === 'SUBSCRIBED' ? 'subscribed' : consent === 'UNSUBSCRIBED' ? 'unsubscribed' : 'none',
  };
}

function mailchimp(record: MailchimpRecord): Held {
  return {
    present: record.status !== 'archived',
    givenName: record.merge_fields['FNAME'] ?? '',
    familyName: record.merge_fields['LNAME'] ?? '',
    email: record.email_address,
    newsletter: record.status === 'subscribed' ? 'subscribed' : 'unsubscribed',
  };
}

function xero(record: XeroRecord): Held {
  return {
    present: record.ContactStatus === 'ACTIVE',
    givenName: record.FirstName ?? '',
    familyName: record.LastName ?? '',
    email: record.EmailAddress ?? '',
    newsletter: 'none',
  };
}

/** Asks a sandbox's control port for one record. */
export async function lookAt(vendor: 'hubspot' | 'mailchimp' | 'xero', control: string, id: string): Promise<Held> {
  const answer = await fetch(`${control}/records/${encodeURIComponent(id)}`);
  if (answer.status === 404) return GONE;
  if (!answer.ok) throw new Error(`the ${vendor} sandbox answered ${answer.status}`);
  const record: unknown = await answer.json();
  switch (vendor) {
    case 'hubspot':
      return hubspot(record as HubSpotRecord);
    case 'mailchimp':
      return mailchimp(record as MailchimpRecord);
    case 'xero':
      return xero(record as XeroRecord);
  }
}

/** Changes a record behind our back, as a person at the vendor would. */
export async function tamper(control: string, id: string, change: Record<string, unknown>): Promise<void> {
  const answer = await fetch(`${control}/records/${encodeURIComponent(id)}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(change),
  });
  if (!answer.ok) throw new Error(`the sandbox refused the change: ${answer.status}`);
}
