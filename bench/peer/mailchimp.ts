/**
 * Mailchimp by its SDK: one member a call, or rounds of ten batches of 500. There is no read of many members by their ids: a round
 * is verified by listing what changed since it began, in pages of 1,000, which is far cheaper than a call a member.
 */
import http from 'node:http';
import { createRequire } from 'node:module';
import { SANDBOX_CREDENTIALS } from '../../local/vendor-programs.ts';
import type { PeerContact } from './contacts.ts';
import { chunks, holds } from './delivery.ts';
import type { Delivery, Setup } from './delivery.ts';

const LIST = 'aud-main';
/** Mailchimp allows ten connections at a time. */
const LANES = 10;
const BATCH = 500;
const PAGE = 1_000;
const SDK = '@mailchimp/mailchimp_marketing/src/ApiClient.js';

interface Member {
  email_address: string;
  merge_fields: Record<string, unknown>;
}
/** The published types leave out the client's class and half of the options. */
interface Sdk {
  basePath: string;
  timeout: number;
  setConfig(config: { apiKey: string; server: string }): void;
  lists: {
    updateListMember(list: string, id: string, body: object, options: object): Promise<Member>;
    getListMember(list: string, id: string, options: object): Promise<Member>;
    batchListMembers(list: string, body: object, options: object): Promise<{ errors: { email_address: string }[] }>;
    getListMembersInfo(list: string, options: object): Promise<{ members: Member[]; total_items: number }>;
  };
}

export function createMailchimp({ url, mode, pace }: Setup): Delivery {
  const require = createRequire(import.meta.url);
  keepAlive(createRequire(require.resolve(SDK)));
  const sdk = new (require(SDK) as new () => Sdk)();
  sdk.setConfig({ apiKey: SANDBOX_CREDENTIALS.MAILCHIMP_API_KEY, server: 'us1' });
  sdk.basePath = `${url}/3.0`;
  sdk.timeout = 30_000;

  async function one(contact: PeerContact): Promise<Set<string>> {
    const id = contact.ids.mailchimp;
    const fields = fieldsOf(contact);
    const body = { email_address: contact.email, merge_fields: mergeOf(contact) };
    await pace(() => sdk.lists.updateListMember(LIST, id, body, {}));
    const read = await pace(() => sdk.lists.getListMember(LIST, id, { fields: ['email_address', 'merge_fields'] }));
    return new Set(holds(fields, flat(read)) ? [contact.ref] : []);
  }

  async function many(batch: readonly PeerContact[]): Promise<Set<string>> {
    // Whole seconds, and strictly later than what is asked for.
    const since = new Date(Math.floor(Date.now() / 1000) * 1000 - 1000).toISOString().replace('.000Z', '+00:00');
    await Promise.all(
      chunks(batch, BATCH).map((part) => {
        const members = part.map((contact) => ({ email_address: contact.email, merge_fields: mergeOf(contact) }));
        return pace(() => sdk.lists.batchListMembers(LIST, { members, update_existing: true }, {}));
      }),
    );
    const page = (offset: number): Promise<{ members: Member[]; total_items: number }> =>
      pace(() =>
        sdk.lists.getListMembersInfo(LIST, {
          sinceLastChanged: since,
          sortField: 'last_changed',
          count: PAGE,
          offset,
          fields: ['members.email_address', 'members.merge_fields', 'total_items'],
        }),
      );
    const first = await page(0);
    const rest = Array.from(
      { length: Math.max(0, Math.ceil(first.total_items / PAGE) - 1) },
      (_, at) => (at + 1) * PAGE,
    );
    const pages = [first];
    for (const offsets of chunks(rest, LANES)) pages.push(...(await Promise.all(offsets.map(page))));
    const read = new Map(pages.flatMap(({ members }) => members).map((member) => [member.email_address, member]));
    const held = batch.filter((contact) => holds(fieldsOf(contact), flat(read.get(contact.email))));
    return new Set(held.map(({ ref }) => ref));
  }

  return mode === 'one'
    ? { lanes: LANES, size: 1, deliver: ([contact]) => one(contact!) }
    : { lanes: 1, size: LANES * BATCH, deliver: many };
}

interface SuperagentRequest {
  _agent: unknown;
}

/** The SDK closes each connection; its superagent takes an agent only here. */
function keepAlive(require: NodeJS.Require): void {
  const agent = new http.Agent({ keepAlive: true, maxSockets: LANES });
  const { Request } = require('superagent') as {
    Request: { prototype: { request: (this: SuperagentRequest) => unknown } };
  };
  const makeRequest = Request.prototype.request;
  Request.prototype.request = function requestKeptAlive(this: SuperagentRequest): unknown {
    this._agent ||= agent;
    return makeRequest.call(this);
  };
}

function mergeOf(contact: PeerContact): Record<string, unknown> {
  const { street, city, postcode, country } = contact;
  return {
    FNAME: contact.givenName,
    LNAME: contact.familyName,
    PHONE: contact.phone,
    ADDRESS: { addr1: street, addr2: '', city, state: '', zip: postcode, country },
  };
}

function fieldsOf(contact: PeerContact): object {
  return flat({ email_address: contact.email, merge_fields: mergeOf(contact) });
}

function flat(member: Member | undefined): object {
  if (member === undefined) return {};
  const { ADDRESS, ...fields } = member.merge_fields;
  return { email: member.email_address, ...fields, ...(ADDRESS as object) };
}
