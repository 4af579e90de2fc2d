/** Plays one Xero organisation: routes, authentication, limits, idempotency. */
import type { Answer, ErrorKind, Host, Vendor, VendorRequest } from '../kit/vendor.ts';
import { apiError, notFound, problem } from './answers.ts';
import { Books } from './books.ts';
import type { State } from './books.ts';
import { authenticate, connections, expired, issueToken, mayUseTenant } from './identity.ts';
import { Limits } from './limits.ts';
import type { LimitProblem } from './limits.ts';
import { getContact, listContacts, listInvoices, tooLong } from './read.ts';
import { changed, putIn } from './seed.ts';
import type { XeroSettings } from './settings.ts';
import { writeContacts } from './write.ts';

const API = '/api.xro/2.0';
const BODY_BYTES_MAX = 3_500_000;
const KEY_CHARS_MAX = 128;

export function createVendor(host: Host): Vendor {
  return new Xero(host);
}

class Xero implements Vendor {
  readonly #host: Host;
  readonly #settings: XeroSettings;
  readonly #limits: Limits;
  readonly #books: Books;

  constructor(host: Host) {
    this.#host = host;
    this.#settings = host.settings as XeroSettings;
    this.#limits = new Limits(host, this.#settings);
    this.#books = new Books(this.#fresh());
  }

  #fresh(): State {
    return {
      contacts: {},
      refreshTokens: [{ token: this.#settings.refreshToken, issuedMs: this.#host.now(), usedMs: null }],
      accessTokens: [],
      tokensIssued: 0,
      remembered: [],
    };
  }

  admit(request: VendorRequest): Answer | undefined {
    return request.path.startsWith(`${API}/`) ? this.#limits.admit(request) : undefined;
  }

  handle(request: VendorRequest): Answer {
    const { method, path } = request;
    if (method === 'POST' && path === '/connect/token') {
      return issueToken(request, this.#books, this.#host, this.#settings);
    }
    const token = authenticate(request, this.#books, this.#host);
    if ('status' in token) return token;
    if (method === 'GET' && path.toLowerCase() === '/connections') return connections(this.#host, this.#settings);
    if (!path.startsWith(`${API}/`)) return notFound();
    const answer = mayUseTenant(token, request, this.#settings)
      ? this.#accounting(request)
      : problem(403, 'Forbidden', 'AuthenticationUnsuccessful');
    return { ...answer, headers: { ...this.#limits.headers(), ...answer.headers } };
  }

  #accounting(request: VendorRequest): Answer {
    if (tooLong(request)) return notFound();
    const [resource = '', id] = request.path
      .slice(API.length + 1)
      .split('/')
      .map(decodeURIComponent);
    const route = `${API}/${resource}${id === undefined ? '' : '/{id}'}`;
    switch (`${request.method} ${resource}${id === undefined ? '' : '/id'}`) {
      case 'GET Contacts':
        return { ...listContacts(request, this.#books, this.#host), route };
      case 'GET Contacts/id':
        return { ...getContact(id!, this.#books, this.#host), route };
      case 'GET Invoices':
        return { ...listInvoices(request, this.#books, this.#host), route };
      case 'PUT Contacts':
      case 'POST Contacts':
        return { ...this.#write(request), route };
      case 'POST Contacts/id': {
        const contact = this.#books.get(id!) ?? this.#books.numbered(id!);
        return contact === undefined ? notFound() : { ...this.#write(request, contact.ContactID), route };
      }
      default:
        return notFound();
    }
  }

  /** The same key with the same request gets the stored answer, without effect; with another one it is refused. */
  #write(request: VendorRequest, id?: string): Answer {
    if (Buffer.byteLength(request.body) > BODY_BYTES_MAX) {
      return apiError(413, 0, 'RequestTooLarge', 'Request exceeds the maximum size of 3.5 MB');
    }
    const key = request.headers['idempotency-key'] ?? '';
    if (key.length > KEY_CHARS_MAX) {
      return problem(400, 'Bad Request', `The idempotency key exceeds ${KEY_CHARS_MAX} characters`);
    }
    const { state } = this.#books;
    const now = this.#host.now();
    const text = `${request.method} ${request.path}?${request.query.toString()}\n${request.body}`;
    if (key !== '') {
      state.remembered = state.remembered.filter((each) => now - each.atMs < this.#settings.idempotencyMs);
      const known = state.remembered.find((each) => each.key === key);
      if (known !== undefined && known.request !== text) {
        return problem(400, 'Bad Request', 'The idempotency key was used for another request');
      }
      if (known !== undefined) return { status: known.status, body: known.body, summary: 'answered as before' };
    }
    const answer = writeContacts(request, this.#books, this.#host, this.#settings, id);
    if (key !== '') {
      state.remembered.push({ key, request: text, atMs: now, status: answer.status, body: answer.body });
    }
    return answer;
  }

  errorAnswer(kind: ErrorKind, _request: VendorRequest, params: Record<string, unknown>): Answer {
    switch (kind) {
      case 'rate-limited':
        return this.#limits.refuse((params['problem'] as LimitProblem | undefined) ?? 'minute');
      case 'server-error':
        return problem(500, 'An error occurred', 'An error occurred in Xero. Check the API Status page.');
      case 'token-expired':
        return expired(this.#host.now());
    }
  }

  isRead(request: VendorRequest): boolean {
    return request.method === 'GET';
  }

  snapshot(): State {
    return this.#books.state;
  }
  restore(state: unknown): void {
    // Whoever reads old contacts (fault `stale-reads`) still has the token of today.
    const known = this.#books.state.accessTokens;
    const restored = state as State;
    const added = known.filter(({ token }) => restored.accessTokens.every((each) => each.token !== token));
    this.#books.replace({ ...restored, accessTokens: [...restored.accessTokens, ...added] });
  }
  reset(): void {
    // An empty organisation; whoever is connected stays so, and the first refresh token works again.
    const { accessTokens, refreshTokens, tokensIssued } = this.#books.state;
    const fresh = this.#fresh();
    const others = refreshTokens.filter(({ token }) => token !== this.#settings.refreshToken);
    this.#books.replace({ ...fresh, accessTokens, refreshTokens: [...fresh.refreshTokens, ...others], tokensIssued });
  }

  count(): number {
    return Object.keys(this.#books.state.contacts).length;
  }
  records(offset: number, limit: number): unknown[] {
    return Object.values(this.#books.state.contacts).slice(offset, offset + limit);
  }
  record(id: string): unknown {
    return this.#books.get(id);
  }
  seed(records: unknown[]): string[] {
    return records.map((record) => putIn(this.#books, record as Record<string, unknown>, this.#host.now()));
  }
  patch(id: string, change: Record<string, unknown>): unknown {
    const contact = this.#books.get(id);
    if (contact === undefined) return undefined;
    const next = changed(contact, change, this.#host.now());
    this.#books.put(next);
    return next;
  }
  remove(id: string): boolean {
    return this.#books.remove(id);
  }
  describe(): string {
    const { tenantId, clientId } = this.#settings;
    return `Plays the accounting API of Xero for one organisation: tenant ${tenantId}, client ${clientId}.`;
  }
}
