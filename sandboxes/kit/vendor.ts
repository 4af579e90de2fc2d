/**
 * What a vendor must provide to be played by the sandbox kit. A vendor is synchronous on its own state: one request is
 * handled to the end before the next, so every effect is atomic without locks.
 */

/** One request as the vendor sees it. */
export interface VendorRequest {
  method: string;
  /** Path without the query, still percent-encoded. */
  path: string;
  query: URLSearchParams;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** The raw text, for forms and signatures. */
  body: string;
  /** The parsed body; undefined when it is empty or not JSON. */
  json: unknown;
  /** Requests being worked on right now, this one included: for limits on concurrency. */
  inFlight: number;
  /** Where the caller reached us, e.g. `http://127.0.0.1:4101`: for answers that hold links. */
  baseUrl: string;
  /** Set by the fault `partial`: see `failsPartially`. */
  partial?: PartialFault;
}

/** `items`: how many of the first items of a batch fail, or the indexes that fail. Other params are the vendor's own. */
export interface PartialFault {
  items: number | number[];
  [key: string]: unknown;
}

/** What the vendor answers. */
export interface Answer {
  status: number;
  /** Names in lower case. */
  headers?: Record<string, string>;
  /** An object goes out as JSON, a string or bytes as they are (set `content-type` yourself). */
  body?: unknown;
  /** True when somebody's record, consent or token was changed by this request. */
  effect?: boolean;
  /** A few words for the journal, e.g. `100 inputs, 2 errors`. */
  summary?: string;
  /** Route for the counters, e.g. `/lists/{list}/members/{hash}`; guessed from the path when absent. */
  route?: string;
}

/** Settings of every sandbox; vendors add their own. Changed at run time by `PUT /settings`. */
export interface Settings {
  /** Each request waits this long before it is handled. */
  latencyMs: number;
  /** False switches rate, day and concurrency limits off. */
  limits: boolean;
  /** Searches see only what is older than this. */
  searchLagMs: number;
  /** Moves the vendor's clock forward: lets tokens expire and windows pass without waiting. */
  clockOffsetMs: number;
  [key: string]: unknown;
}

/** What the kit lends to a vendor. `settings` is live: read it at each request, never copy it. */
export interface Host {
  settings: Settings;
  /** The vendor's clock, milliseconds since 1970. */
  now(): number;
}

/** Errors that faults need in the vendor's own shape. */
export type ErrorKind = 'rate-limited' | 'server-error' | 'token-expired';

export interface Vendor {
  /** Rate limits only. Called at arrival and only while `settings.limits` is on; an answer refuses the request. */
  admit(request: VendorRequest): Answer | undefined;
  handle(request: VendorRequest): Answer;
  /** `params` are those of the fault (e.g. `policy: 'DAILY'`). The kit adds Retry-After itself where asked for. */
  errorAnswer(kind: ErrorKind, request: VendorRequest, params: Record<string, unknown>): Answer;
  /** True for requests that only read, whatever their method. */
  isRead(request: VendorRequest): boolean;

  /** The whole state as JSON-able data; may be the live object (the kit copies it when it needs a copy). */
  snapshot(): unknown;
  /** Takes over a state from `snapshot`, possibly after a JSON round trip. */
  restore(state: unknown): void;
  /** Back to the state of a new account. */
  reset(): void;

  count(): number;
  /** Everything held, deleted and archived records included, in a steady order. */
  records(offset: number, limit: number): unknown[];
  record(id: string): unknown;
  /** Puts records in, in the vendor's own shape, past limits and rules. Gives their ids. */
  seed(records: unknown[]): string[];
  /** A change behind the customer's back. Gives the record, or undefined if there is none. */
  patch(id: string, change: Record<string, unknown>): unknown;
  /** Takes the record out without trace. */
  remove(id: string): boolean;
  /** One line for the page. */
  describe(): string;
}

/** What `sandboxes/<vendor>/index.ts` exports. */
export interface VendorModule {
  name: string;
  defaultSettings: Record<string, unknown>;
  createVendor(host: Host): Vendor;
}

/** Whether the fault `partial` wants item `index` of this batch to fail. */
export function failsPartially(request: VendorRequest, index: number): boolean {
  const items = request.partial?.items;
  if (items === undefined) return false;
  return typeof items === 'number' ? index < items : items.includes(index);
}
