/** The calls of Xero's SDK that this connector makes, each through the gate, with time limit and without redirects. */
import { AccountingApi } from 'xero-node';
import type { Contact, Invoice } from 'xero-node';
import type { Outcome } from '../../domain/outcome.ts';
import { ConnectorStop } from '../kit/connector.ts';
import type { Gate } from '../kit/connector.ts';
import { ANSWER_BYTES_MAX } from '../kit/outbound.ts';
import type { Outbound } from '../kit/outbound.ts';
import { send } from '../kit/request.ts';
import type { Tokens } from '../kit/tokens.ts';
import { answerOf, faultOf } from './faults.ts';
import type { Effect, Fault } from './faults.ts';
import { limitReading, PAGE_SIZE } from './limits.ts';
import type { Headers } from './limits.ts';

const ORDER = 'ContactID ASC';

export interface ClientSetup {
  baseUrl: string;
  /** Empty for a custom connection. */
  tenantId: string;
  tokens: Tokens;
  timeoutMs: number;
  outbound: Outbound;
}

/** What came of a write: one contact for each element in order, refused ones with their `validationErrors`. */
export type Written =
  | { kind: 'answered'; contacts: Contact[] }
  | { kind: 'refused_whole' }
  | { kind: 'outcome'; outcome: Outcome };

export interface Client {
  /** Archived ones too. @throws ConnectorStop */
  contactsByIds(ids: string[], gate: Gate): Promise<Contact[]>;
  /** Archived ones too. @throws ConnectorStop */
  contactsWhere(where: string, gate: Gate): Promise<Contact[]>;
  /** A page of 1,000 of all contacts, or of those changed at or after `since`. @throws ConnectorStop */
  contactsPage(page: number, since: Date | undefined, gate: Gate): Promise<{ contacts: Contact[]; isLast: boolean }>;
  /** Null when there is none. @throws ConnectorStop */
  contact(id: string, gate: Gate): Promise<Contact | null>;
  /** Of these contacts, in these states (all when empty). @throws ConnectorStop */
  invoices(contactIds: string[], statuses: string[], gate: Gate): Promise<Invoice[]>;
  /** PUT: never touches an existing contact. */
  create(contacts: Contact[], idempotencyKey: string, gate: Gate): Promise<Written>;
  /** POST: only with elements that carry a ContactID. */
  update(contacts: Contact[], gate: Gate): Promise<Written>;
  /** Ids of the tenants that the token may use. @throws ConnectorStop */
  tenants(gate: Gate): Promise<string[]>;
  close(): void;
}

interface SdkAnswer<B> {
  response: { status: number; headers: unknown };
  body: B;
}

type Called<T> = { kind: 'ok'; value: T } | { kind: 'fault'; fault: Fault };

export function createClient(setup: ClientSetup): Client {
  const { tenantId, tokens, outbound } = setup;

  /** One instance a call: its hook is the one place where the SDK lets a call have a signal and a time limit. */
  function apiFor(token: string, signal: AbortSignal): AccountingApi {
    const api = new AccountingApi(`${setup.baseUrl}/api.xro/2.0`);
    api.accessToken = token;
    api.setDefaultAuthentication({
      applyToRequest: (request) => {
        Object.assign(request, {
          signal,
          timeout: setup.timeoutMs,
          maxRedirects: 0,
          httpAgent: outbound.http,
          httpsAgent: outbound.https,
          // A proxy named by the environment would see to whom we talk, and the agent would refuse it.
          proxy: false,
          // Of what was compressed: the agent sees only what came over the line.
          maxContentLength: ANSWER_BYTES_MAX,
        });
      },
    });
    return api;
  }

  /** @param read what is asked of the body; undefined when it is not there (an HTML page, an empty or a cut answer) */
  async function call<B, T>(
    name: string,
    effect: Effect,
    gate: Gate,
    run: (api: AccountingApi) => Promise<SdkAnswer<B>>,
    read: (body: B) => T | undefined,
  ): Promise<Called<T>> {
    const token = await tokens.get();
    return gate.call(name, async (signal) => {
      let answer;
      let value: T | undefined;
      try {
        const { response, body } = await run(apiFor(token, signal));
        answer = { status: response.status, body: undefined, headers: response.headers as Headers };
        value = read(body);
      } catch (rejection) {
        answer = answerOf(rejection);
      }
      const reading = limitReading(answer.status, answer.headers);
      if (reading !== undefined) gate.observe(reading);
      if (value !== undefined) {
        tokens.accepted();
        return { kind: 'ok', value };
      }
      const fault = faultOf(answer, effect);
      return fault.kind === 'token_refused'
        ? { kind: 'fault', fault: { kind: 'outcome', outcome: tokens.refused(token) } }
        : { kind: 'fault', fault };
    });
  }

  async function reading<B, T>(
    name: string,
    gate: Gate,
    run: (api: AccountingApi) => Promise<SdkAnswer<B>>,
    read: (body: B) => T | undefined,
  ): Promise<T> {
    const called = await call(name, 'read', gate, run, read);
    if (called.kind === 'ok') return called.value;
    throw new ConnectorStop(outcomeOf(called.fault));
  }

  async function writing(
    name: string,
    count: number,
    gate: Gate,
    run: (api: AccountingApi) => Promise<SdkAnswer<{ contacts?: Contact[] }>>,
  ): Promise<Written> {
    const called = await call(name, 'write', gate, run, (body) => body.contacts).catch(stopped);
    if (called.kind === 'ok') {
      // Without one answer for each element, nobody knows whose is whose.
      return called.value.length === count
        ? { kind: 'answered', contacts: called.value }
        : { kind: 'outcome', outcome: { kind: 'unknown', code: 'unreadable_answer' } };
    }
    if (called.fault.kind === 'refused_whole') return { kind: 'refused_whole' };
    return { kind: 'outcome', outcome: outcomeOf(called.fault) };
  }

  return {
    contactsByIds: (ids, gate) =>
      reading(
        'contacts.by_ids',
        gate,
        (api) => api.getContacts(tenantId, undefined, undefined, ORDER, ids, 1, true, undefined, undefined, PAGE_SIZE),
        (body) => body.contacts,
      ),
    contactsWhere: (where, gate) =>
      reading(
        'contacts.where',
        gate,
        (api) =>
          api.getContacts(tenantId, undefined, where, ORDER, undefined, 1, true, undefined, undefined, PAGE_SIZE),
        (body) => body.contacts,
      ),
    contactsPage: (page, since, gate) =>
      reading(
        'contacts.page',
        gate,
        // By id: without an order, a contact that changes between two pages makes another one slip through.
        (api) =>
          api.getContacts(tenantId, since, undefined, ORDER, undefined, page, true, undefined, undefined, PAGE_SIZE),
        ({ contacts, pagination }) =>
          contacts === undefined
            ? undefined
            : { contacts, isLast: contacts.length === 0 || page >= (pagination?.pageCount ?? Infinity) },
      ),
    contact: async (id, gate) => {
      const called = await call(
        'contacts.get',
        'read',
        gate,
        (api) => api.getContact(tenantId, id),
        (body) => body.contacts?.[0],
      );
      if (called.kind === 'ok') return called.value;
      if (called.fault.kind === 'not_found') return null;
      throw new ConnectorStop(outcomeOf(called.fault));
    },
    invoices: async (contactIds, statuses, gate) => {
      const found: Invoice[] = [];
      for (let page = 1; ; page += 1) {
        const none = undefined;
        const states = statuses.length === 0 ? none : statuses;
        const invoices = await reading(
          'invoices.of_contacts',
          gate,
          (api) =>
            api.getInvoices(
              tenantId,
              none,
              none,
              none,
              none,
              none,
              contactIds,
              states,
              page,
              none,
              none,
              none,
              none,
              PAGE_SIZE,
            ),
          (body) => body.invoices,
        );
        found.push(...invoices);
        if (invoices.length < PAGE_SIZE) return found;
      }
    },
    create: (contacts, key, gate) =>
      writing('contacts.create', contacts.length, gate, (api) =>
        api.createContacts(tenantId, { contacts }, false, key),
      ),
    update: (contacts, gate) =>
      writing('contacts.update', contacts.length, gate, (api) =>
        api.updateOrCreateContacts(tenantId, { contacts }, false),
      ),
    tenants: async (gate) => {
      const token = await tokens.get();
      const response = await gate.call('identity.connections', (signal) =>
        send(outbound, `${setup.baseUrl}/connections`, {
          method: 'GET',
          headers: { authorization: `Bearer ${token}` },
          signal,
        })
          .then(async (answer) => ({ status: answer.status, body: (await answer.json()) as unknown }))
          .catch(() => ({ status: 0, body: undefined })),
      );
      if (response.status === 200 && Array.isArray(response.body)) {
        tokens.accepted();
        return response.body.map((each: { tenantId?: unknown }) => String(each.tenantId));
      }
      if (response.status === 401) throw new ConnectorStop(tokens.refused(token));
      throw new ConnectorStop(outcomeOf(faultOf({ ...response, headers: {} }, 'read')));
    },
    close: () => outbound.close(),
  };
}

/** No token could be had: the call was not made. */
function stopped(error: unknown): Called<never> {
  if (error instanceof ConnectorStop) return { kind: 'fault', fault: { kind: 'outcome', outcome: error.outcome } };
  throw error;
}

function outcomeOf(fault: Fault): Outcome {
  switch (fault.kind) {
    case 'outcome':
      return fault.outcome;
    case 'token_refused':
      return { kind: 'unauthorised', code: 'token_refused' };
    case 'refused_whole':
    case 'not_found':
      return { kind: 'unclassified', code: fault.kind };
  }
}
