/** Xero's limits of a tenant and the headers that tell of them (developer.xero.com, "OAuth 2.0 API limits"). */
import type { Answer, Host, VendorRequest } from '../kit/vendor.ts';
import { DayCounter, RollingWindow } from '../kit/window.ts';
import type { XeroSettings } from './settings.ts';

export type LimitProblem = 'minute' | 'day' | 'concurrent' | 'appminute';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

export class Limits {
  readonly #minute = new RollingWindow(MINUTE_MS);
  readonly #appMinute = new RollingWindow(MINUTE_MS);
  readonly #day = new DayCounter();
  readonly #host: Host;
  readonly #settings: XeroSettings;

  constructor(host: Host, settings: XeroSettings) {
    this.#host = host;
    this.#settings = settings;
  }

  /** Counts the request, or refuses it. */
  admit(request: VendorRequest): Answer | undefined {
    const now = this.#host.now();
    const { minuteLimit, dayLimit, concurrentLimit, appMinuteLimit } = this.#settings;
    if (request.inFlight > concurrentLimit) return this.refuse('concurrent');
    const minuteWaitMs = this.#minute.waitMs(now, minuteLimit);
    if (minuteWaitMs > 0) return this.refuse('minute', minuteWaitMs);
    const appWaitMs = this.#appMinute.waitMs(now, appMinuteLimit);
    if (appWaitMs > 0) return this.refuse('appminute', appWaitMs);
    if (!this.#day.take(now, dayLimit)) return this.refuse('day', DAY_MS - (now % DAY_MS));
    this.#minute.take(now, minuteLimit);
    this.#appMinute.take(now, appMinuteLimit);
    return undefined;
  }

  /** A 429; with Retry-After where the wait is known. */
  refuse(problem: LimitProblem, waitMs?: number): Answer {
    const headers: Record<string, string> = { ...this.headers(), 'x-rate-limit-problem': problem };
    if (waitMs !== undefined) headers['retry-after'] = String(Math.ceil(waitMs / 1000));
    return { status: 429, headers, body: '', summary: `limit: ${problem}` };
  }

  headers(): Record<string, string> {
    const now = this.#host.now();
    const left = (max: number, used: number): string => String(Math.max(0, max - used));
    return {
      'x-minlimit-remaining': left(this.#settings.minuteLimit, this.#minute.used(now)),
      'x-daylimit-remaining': left(this.#settings.dayLimit, this.#day.used(now)),
      'x-appminlimit-remaining': left(this.#settings.appMinuteLimit, this.#appMinute.used(now)),
    };
  }
}
