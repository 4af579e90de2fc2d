/**
 * The one way out. The vendors' SDKs bring three HTTP stacks; all of them, and the few requests that no SDK makes, go through the
 * agents of this file, which
 *  - connect to the hosts of the system and to no other;
 *  - look a name up once, refuse addresses inside networks, and connect to what was looked at (no second answer of DNS is asked for);
 *  - verify certificates, whatever the environment says, and speak without TLS inside a network only;
 *  - follow no redirect: the place to go is taken out of the answer before a stack sees it;
 *  - end a request at its time limit, and an answer that is larger than any true one.
 */
import { lookup } from 'node:dns/promises';
import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { isPlainlyPrivate, isPublic } from './addresses.ts';

/** An answer is held in memory whole; a page of 1,000 members is some 2 MB. */
export const ANSWER_BYTES_MAX = 50_000_000;

/** An SDK with a time limit of its own is given this much more, so that only one of the two speaks. */
export const SDK_FIRST_MS = 1_000;

export interface Address {
  address: string;
  family: 4 | 6;
}

export interface OutboundOptions {
  /** Where the system is: its base URL, and whatever else it talks to. */
  urls: readonly string[];
  /** Further hosts over TLS, where they are known by their form only. */
  isHost?: (host: string) => boolean;
  /** Addresses inside networks may be connected to. Those that `urls` give as numbers, and `localhost`, always may. */
  privateAddresses?: boolean;
  maxSockets: number;
  /** Of a whole request, from its begin to the end of its answer. */
  timeoutMs: number;
  maxAnswerBytes?: number;
  /** For tests. */
  resolve?: (host: string) => Promise<Address[]>;
  /** Trusted certificate authorities besides the usual ones, PEM. For tests. */
  ca?: string;
}

export interface Outbound {
  readonly http: http.Agent;
  readonly https: https.Agent;
  /** The agent for a URL. */
  agent(url: string): http.Agent;
  close(): void;
}

/** No connection was made. `code` is `PLUMBLINE_REFUSED`; the message names the rule and no address. */
export class ConnectionRefused extends Error {
  readonly code = 'PLUMBLINE_REFUSED';
  constructor(why: string) {
    super(`PLUMBLINE_REFUSED: ${why}`);
    this.name = 'ConnectionRefused';
  }
}

/** The call was ended, by its signal, its time limit or the size of its answer; the vendor may have done it. */
export class CallEnded extends Error {
  readonly code = 'ECONNABORTED';
  constructor(why = 'the call was ended') {
    super(why);
    this.name = 'CallEnded';
  }
}

type Options = http.ClientRequestArgs & { servername?: string; lookup?: LookupFunction };
type Callback = (error: Error | null, stream: Duplex) => void;

/** Makes the agents of one system. */
export function createOutbound(options: OutboundOptions): Outbound {
  const rules = rulesOf(options);
  const shared = { keepAlive: true, maxSockets: options.maxSockets };
  const secure = guarded(https.Agent, 443, rules, {
    ...shared,
    rejectUnauthorized: true,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  }) as https.Agent;
  const plain = guarded(http.Agent, 80, rules, shared);
  return {
    http: plain,
    https: secure,
    agent: (url) => (url.startsWith('http:') ? plain : secure),
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

interface Rules {
  /** @throws ConnectionRefused */
  checkHost(host: string, port: number, isSecure: boolean): void;
  lookup: LookupFunction;
  timeoutMs: number;
  maxAnswerBytes: number;
}

function rulesOf(options: OutboundOptions): Rules {
  const places = new Set(options.urls.map(placeOf));
  const direct = new Set(
    options.urls.map((url) => new URL(url).hostname.replace(/^\[|\]$/g, '')).filter((host) => isPlainlyPrivate(host)),
  );
  const resolve = options.resolve ?? systemResolve;
  const mayConnect = (host: string, address: string): boolean =>
    options.privateAddresses === true || direct.has(host) || isPublic(address);

  async function addressesOf(host: string): Promise<Address[]> {
    const found = await resolve(host);
    const usable = found.filter(({ address }) => mayConnect(host, address));
    if (found.length > 0 && usable.length === 0) throw new ConnectionRefused('the name leads inside a network');
    return usable;
  }

  return {
    checkHost(host, port, isSecure) {
      const known = places.has(`${isSecure ? 'https:' : 'http:'}//${host}:${port}`);
      const ofForm = isSecure && port === 443 && options.isHost?.(host) === true;
      if (!known && !ofForm) throw new ConnectionRefused('the host is not one of this system');
      // Credentials and people would cross the internet in the clear.
      if (!isSecure && options.privateAddresses !== true && !direct.has(host)) {
        throw new ConnectionRefused('without TLS only inside a network');
      }
      if (isIP(host) !== 0 && !mayConnect(host, host)) {
        throw new ConnectionRefused('the address lies inside a network');
      }
    },
    lookup(host, { all, family }, callback) {
      addressesOf(host)
        .then((found) => {
          const usable = found.filter((one) => isOf(family, one));
          const [first] = usable;
          if (first === undefined) throw new ConnectionRefused('the name has no address of this kind');
          // After the promise: an error of the caller's is not one of the look-up.
          if (all === true) process.nextTick(callback, null, usable);
          else process.nextTick(callback, null, first.address, first.family);
        })
        .catch((error: NodeJS.ErrnoException) => process.nextTick(callback, error, '', 0));
    },
    timeoutMs: options.timeoutMs,
    maxAnswerBytes: options.maxAnswerBytes ?? ANSWER_BYTES_MAX,
  };
}

async function systemResolve(host: string): Promise<Address[]> {
  return (await lookup(host, { all: true })) as Address[];
}

function isOf(family: unknown, { family: found }: Address): boolean {
  return family === undefined || family === 0 || family === found || family === `IPv${found}`;
}

function placeOf(url: string): string {
  const { protocol, hostname, port } = new URL(url);
  const usual = protocol === 'https:' ? '443' : '80';
  return `${protocol}//${hostname.replace(/^\[|\]$/g, '')}:${port === '' ? usual : port}`;
}

/** An agent of Node's with the rules built in. */
function guarded(
  Base: typeof http.Agent,
  usualPort: number,
  rules: Rules,
  agentOptions: https.AgentOptions,
): http.Agent {
  const isSecure = usualPort === 443;
  class GuardedAgent extends Base {
    /** Node's own way of handing a request to its agent (lib/_http_client.js); the types do not show it. */
    addRequest(request: http.ClientRequest, options: Options): void {
      limit(request, rules);
      const parent = Base.prototype as unknown as { addRequest(request: http.ClientRequest, options: Options): void };
      parent.addRequest.call(this, request, options);
    }

    override createConnection(options: Options, callback?: Callback): Duplex | null | undefined {
      const host = (options.host ?? '').replace(/^\[|\]$/g, '');
      try {
        if (typeof options.socketPath === 'string') throw new ConnectionRefused('a socket of this machine');
        rules.checkHost(host, Number(options.port ?? usualPort), isSecure);
      } catch (error) {
        const refused = error as Error;
        process.nextTick(() => callback?.(refused, undefined as unknown as Duplex));
        return undefined;
      }
      const checked: Options = { ...options, lookup: rules.lookup };
      // Whoever is connected to must be who the URL names, not who a header does.
      if (isSecure) Object.assign(checked, { rejectUnauthorized: true, servername: isIP(host) === 0 ? host : '' });
      return super.createConnection(checked, callback);
    }
  }
  return new GuardedAgent(agentOptions);
}

/** Ends a request that takes too long and an answer that is too large, and takes out where a redirect leads. */
function limit(request: http.ClientRequest, { timeoutMs, maxAnswerBytes }: Rules): void {
  const late = setTimeout(() => {
    const ended = new CallEnded('the call took too long');
    request.destroy(ended);
    answer?.destroy(ended);
  }, timeoutMs);
  let answer: http.IncomingMessage | undefined;
  request.once('close', () => clearTimeout(late));
  // Before every listener of a stack.
  request.prependOnceListener('response', (response: http.IncomingMessage) => {
    answer = response;
    delete response.headers.location;
    const tooLarge = (): void => {
      response.destroy(new CallEnded('the answer is larger than any true one'));
    };
    let left = maxAnswerBytes;
    const push = response.push.bind(response);
    response.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
      left -= chunk?.length ?? 0;
      if (left >= 0) return push(chunk, encoding);
      tooLarge();
      return false;
    };
    if (Number(response.headers['content-length'] ?? 0) > maxAnswerBytes) process.nextTick(tooLarge);
  });
}

/** Codes of connections that were never made: nothing was sent. */
const UNREACHABLE = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];
/** OpenSSL's and Node's codes for a certificate that does not stand. */
const CERTIFICATE =
  /SELF_SIGNED_CERT|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID|CERT_REVOKED|CERT_UNTRUSTED|UNABLE_TO_(?:VERIFY|GET)|ERR_TLS_CERT_ALTNAME|INVALID_CA|self.signed certificate|unable to (?:verify|get)|certificate has expired|does not match certificate/i;

/**
 * Why nothing was sent, by an error's code or message; undefined where something may have been.
 * `unreachable`, `certificate_refused`, `address_refused`.
 */
export function neverSent(error: string): 'unreachable' | 'certificate_refused' | 'address_refused' | undefined {
  if (error.includes('PLUMBLINE_REFUSED')) return 'address_refused';
  if (CERTIFICATE.test(error)) return 'certificate_refused';
  return UNREACHABLE.some((code) => error.includes(code)) ? 'unreachable' : undefined;
}
