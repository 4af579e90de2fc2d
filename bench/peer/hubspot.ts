/** HubSpot by its SDK: one contact a call, or 100 by the batch endpoints. */
import http from 'node:http';
import { Client } from '@hubspot/api-client';
import { SANDBOX_CREDENTIALS } from '../../local/vendor-programs.ts';
import type { PeerContact } from './contacts.ts';
import { holds } from './delivery.ts';
import type { Delivery, Setup } from './delivery.ts';

const LANES = 8;

export function createHubSpot({ url, mode, pace }: Setup): Delivery {
  const httpAgent = new http.Agent({ keepAlive: true, maxSockets: LANES, timeout: 30_000 });
  const { contacts } = new Client({ accessToken: SANDBOX_CREDENTIALS.HUBSPOT_TOKEN, basePath: url, httpAgent }).crm;

  async function one(contact: PeerContact): Promise<Set<string>> {
    const id = contact.ids.hubspot;
    const properties = propertiesOf(contact);
    await pace(() => contacts.basicApi.update(id, { properties }));
    const read = await pace(() => contacts.basicApi.getById(id, Object.keys(properties)));
    return new Set(holds(properties, read.properties) ? [contact.ref] : []);
  }

  async function many(batch: readonly PeerContact[]): Promise<Set<string>> {
    const inputs = batch.map((contact) => ({ id: contact.ids.hubspot, properties: propertiesOf(contact) }));
    await pace(() => contacts.batchApi.update({ inputs }));
    const { results } = await pace(() =>
      contacts.batchApi.read({
        inputs: inputs.map(({ id }) => ({ id })),
        properties: Object.keys(inputs[0]!.properties),
        propertiesWithHistory: [],
      }),
    );
    const read = new Map(results.map((each) => [each.id, each.properties]));
    const held = batch.filter((_, at) => holds(inputs[at]!.properties, read.get(inputs[at]!.id)));
    return new Set(held.map(({ ref }) => ref));
  }

  return mode === 'one'
    ? { lanes: LANES, size: 1, deliver: ([contact]) => one(contact!) }
    : { lanes: LANES, size: 100, deliver: many };
}

function propertiesOf(contact: PeerContact): Record<string, string> {
  return {
    email: contact.email,
    firstname: contact.givenName,
    lastname: contact.familyName,
    phone: contact.phone,
    company: contact.organisation,
    address: contact.street,
    city: contact.city,
    zip: contact.postcode,
    country: contact.country,
  };
}
