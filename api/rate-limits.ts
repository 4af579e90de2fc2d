/**
 * How often the doors let somebody in: requests by API key, failed keys by address. Counted in fixed windows in the memory of one process; several
 * processes count each for themselves. Told by the fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), refused by 429
 * with `Retry-After` (RFC 6585 section 4).
 */
import { createHmac, randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiConfig } from './deps.ts';
import { Problem } from './errors.ts';

/** The longest that a count lasts. */
const WINDOW_MS = 60_000;
/** Counted at once; the one that was new longest ago makes room. */
const REMEMBERED = 10_000;

export interface Count {
  /** How many more the window lets in. */
  left: number;
  /** Seconds until the window ends, at least 1. */
  endsInSeconds: number;
}

/** Counts by name, each in a window that begins with its first one. */
export class Windows {
  readonly limit: number;
  readonly #nowMs: () => number;
  readonly #counts = new Map<string, { n: number; endsMs: number }>();

  constructor(limit: number, nowMs: () => number = Date.now) {
    this.limit = limit;
    this.#nowMs = nowMs;
  }

  /** Counts one more. `left` is negative when it was one too many. */
  take(name: string): Count {
    const now = this.#nowMs();
    let count = this.#counts.get(name);
    if (count === undefined || count.endsMs <= now) {
      this.#counts.delete(name);
      if (this.#counts.size >= REMEMBERED) this.#counts.delete(this.#counts.keys().next().value ?? '');
      count = { n: 0, endsMs: now + WINDOW_MS };
      this.#counts.set(name, count);
    }
    count.n += 1;
    return this.#told(count, now);
  }

  /** What is counted, without counting. */
  look(name: string): Count {
    const now = this.#nowMs();
    const count = this.#counts.get(name);
    return this.#told(count === undefined || count.endsMs <= now ? { n: 0, endsMs: now + WINDOW_MS } : count, now);
  }

  #told(count: { n: number; endsMs: number }, now: number): Count {
    return { left: this.limit - count.n, endsInSeconds: Math.max(1, Math.ceil((count.endsMs - now) / 1000)) };
  }
}

/** The limits of one server. */
export class RateLimits {
  readonly #requests: Windows;
  readonly #failures: Windows;
  /** Addresses are counted under a hash that no other process could make: memory holds none. */
  readonly #secret = randomBytes(32);

  constructor(limits: ApiConfig['api']['limits']) {
    this.#requests = new Windows(limits.requestsPerMinute);
    this.#failures = new Windows(limits.failedKeysPerMinute);
  }

  /** Counts a request of a key, and says so in the answer. @throws Problem too_many_requests */
  countRequest(reply: FastifyReply, keyId: string): void {
    const count = this.#requests.take(keyId);
    tell(reply, 'key', this.#requests.limit, count);
    if (count.left < 0) throw tooMany('The key has made as many requests as it may in this minute.', count);
  }

  /** Counts a request without a key that is good. */
  countFailure(request: FastifyRequest): void {
    this.#failures.take(this.#nameOf(request.ip));
  }

  /** @throws Problem too_many_requests where the address has failed too often: nothing more is looked up for it */
  refuseFailing(request: FastifyRequest, reply: FastifyReply): void {
    const count = this.#failures.look(this.#nameOf(request.ip));
    if (count.left > 0) return;
    tell(reply, 'failed-keys', this.#failures.limit, count);
    throw tooMany('Too many requests without a good key came from this address.', count);
  }

  #nameOf(address: string): string {
    return createHmac('sha256', this.#secret).update(networkOf(address)).digest('base64');
  }
}

function tell(reply: FastifyReply, policy: string, limit: number, { left, endsInSeconds }: Count): void {
  void reply.headers({
    'ratelimit-policy': `"${policy}";q=${limit};w=${WINDOW_MS / 1000}`,
    ratelimit: `"${policy}";r=${Math.max(0, left)};t=${endsInSeconds}`,
  });
}

function tooMany(detail: string, { endsInSeconds }: Count): Problem {
  return new Problem('too_many_requests', detail, { retryAfterSeconds: endsInSeconds });
}

/** What one party has for itself: an IPv4 address, or the first 64 bits of an IPv6 one (RFC 4291 section 2.5.4). */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').toLowerCase().split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  const groups = [...before, ...zeros, ...after].slice(0, 4);
  return groups.map((group) => group.replace(/^0+(?=.)/, '')).join(':');
}
