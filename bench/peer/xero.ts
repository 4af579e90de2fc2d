/** Xero by its SDK: one contact a call, or 50 by one POST and one GET by ids (more ids do not fit the query). */
import http from 'node:http';
import { createRequire } from 'node:module';
import { AccountingApi } from 'xero-node';
import type { Contact } from 'xero-node';
import { SANDBOX_CREDENTIALS } from '../../local/vendor-programs.ts';
import type { PeerContact } from './contacts.ts';
import type { Delivery, Setup } from './delivery.ts';
import { holds } from './delivery.ts';

/** Xero allows five calls at a time. */
const LANES = 5;
const BATCH = 50;
const STREET = 'STREET';

export async function createXero({ url, mode, pace }: Setup): Promise<Delivery> {
  const require = createRequire(import.meta.url);
  // The SDK's axios is its own, not the one that an import here would give.
  const axios = createRequire(require.resolve('xero-node'))('axios') as {
    defaults: { httpAgent: http.Agent; timeout: number };
  };
  axios.defaults.httpAgent = new http.Agent({ keepAlive: true, maxSockets: LANES });
  axios.defaults.timeout = 30_000;
  const api = new AccountingApi(`${url}/api.xro/2.0`);
  // Half an hour, longer than any measurement.
  api.accessToken = await tokenOf(url);
  const tenant = '';

  async function deliver(batch: readonly PeerContact[]): Promise<Set<string>> {
    const contacts = batch.map(contactOf);
    await pace(() => api.updateOrCreateContacts(tenant, { contacts }, false));
    const read = new Map((await readBack(batch)).map((each) => [each.contactID, flat(each)]));
    const held = batch.filter((each, at) => holds(flat(contacts[at]!), read.get(each.ids.xero)));
    return new Set(held.map(({ ref }) => ref));
  }

  async function readBack(batch: readonly PeerContact[]): Promise<Contact[]> {
    const ids = batch.map((contact) => contact.ids.xero);
    const { body } = await pace(() =>
      ids.length === 1
        ? api.getContact(tenant, ids[0]!)
        : api.getContacts(tenant, undefined, undefined, 'ContactID ASC', ids, 1, true, undefined, undefined, 100),
    );
    return body.contacts ?? [];
  }

  return { lanes: LANES, size: mode === 'one' ? 1 : BATCH, deliver };
}

async function tokenOf(url: string): Promise<string> {
  const answer = await fetch(`${url}/connect/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${SANDBOX_CREDENTIALS.XERO_CLIENT_ID}:${SANDBOX_CREDENTIALS.XERO_CLIENT_SECRET}`).toString('base64')}`,
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'accounting.contacts' }),
  });
  if (!answer.ok) throw new Error(`Xero gives no token: ${answer.status}`);
  return ((await answer.json()) as { access_token: string }).access_token;
}

function contactOf(contact: PeerContact): Contact {
  return {
    contactID: contact.ids.xero,
    contactNumber: contact.ref,
    name: `${contact.givenName} ${contact.familyName}`,
    firstName: contact.givenName,
    lastName: contact.familyName,
    emailAddress: contact.email,
    phones: [{ phoneType: 'DEFAULT' as never, phoneNumber: contact.phone }],
    addresses: [
      {
        addressType: STREET as never,
        addressLine1: contact.street,
        city: contact.city,
        postalCode: contact.postcode,
        country: contact.country,
      },
    ],
  };
}

function flat(contact: Contact): Record<string, unknown> {
  const street = contact.addresses?.find(({ addressType }) => String(addressType) === STREET);
  const phone = contact.phones?.find(({ phoneType }) => String(phoneType) === 'DEFAULT');
  const { contactID, contactNumber, name, firstName, lastName, emailAddress } = contact;
  return {
    contactID,
    contactNumber,
    name,
    firstName,
    lastName,
    emailAddress,
    phone: phone?.phoneNumber,
    street: street?.addressLine1,
    city: street?.city,
    postcode: street?.postalCode,
    country: street?.country,
  };
}
