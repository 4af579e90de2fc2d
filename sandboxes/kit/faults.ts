/** Scripted faults: which requests they hit, how often, and when they are used up. What each one does is in `play.ts`. */

export const FAULT_NAMES = [
  '429-retry-after', // 429 in the vendor's shape with Retry-After: params.seconds (default 1)
  '429', // the same without Retry-After
  '500-before', // 500, nothing happened (params.status for 502, 503)
  '500-after', // it happened, yet 500
  'hang', // params.effect 'before' | 'none' (default); answers after params.ms, never if absent
  'cut-before', // connection cut, nothing happened
  'cut-after', // it happened, then the connection was cut
  'ignore', // answered as if done, nothing happened
  'stale-reads', // for params.ms, reads are answered from the state at the time the fault was set
  'partial', // params.items of a batch fail, see PartialFault
  'bare-403', // 403 without body or Content-Type, nothing happened
  'html', // 200 with an HTML page; params.effect as above
  'truncate', // it happened, the JSON stops half-way
  'token-expired', // 401 in the vendor's shape
  'delay', // params.ms later, then as usual
  'redirect', // 302 to params.location (default another host)
] as const;
export type FaultName = (typeof FAULT_NAMES)[number];

export interface FaultSpec {
  name: FaultName;
  /** `path`: source of a regular expression over path and query. */
  match?: { method?: string; path?: string };
  /** Lets this many matching requests pass first. */
  skip?: number;
  /** How many times it fires; default 1. Ignored by `stale-reads`, which lasts params.ms. */
  count?: number;
  params?: Record<string, unknown>;
}

export interface Fault extends FaultSpec {
  id: string;
  fired: number;
  params: Record<string, unknown>;
}

interface Armed extends Fault {
  pattern: RegExp | undefined;
  toSkip: number;
  /** stale-reads only. */
  stale?: { state: unknown; untilMs: number };
}

export class FaultScript {
  #faults: Armed[] = [];
  #nextId = 1;

  /** @param copyState called for `stale-reads` only: the state that reads will be answered from. */
  add(spec: FaultSpec, copyState: () => unknown): Fault {
    const params = spec.params ?? {};
    const armed: Armed = {
      ...spec,
      id: String(this.#nextId++),
      fired: 0,
      params,
      pattern: spec.match?.path === undefined ? undefined : new RegExp(spec.match.path),
      toSkip: spec.skip ?? 0,
    };
    if (spec.name === 'stale-reads') {
      armed.stale = { state: copyState(), untilMs: Date.now() + Number(params['ms'] ?? 1000) };
    }
    this.#faults.push(armed);
    return visible(armed);
  }

  list(): Fault[] {
    return this.#faults.map(visible);
  }

  remove(id: string): boolean {
    const before = this.#faults.length;
    this.#faults = this.#faults.filter((fault) => fault.id !== id);
    return this.#faults.length < before;
  }

  clear(): void {
    this.#faults = [];
  }

  /** The first armed fault that hits this request; it counts as fired. */
  take(method: string, pathAndQuery: string, isRead: boolean): (Fault & { staleState?: unknown }) | undefined {
    for (const fault of this.#faults) {
      if (fault.match?.method !== undefined && fault.match.method.toUpperCase() !== method) continue;
      if (fault.pattern !== undefined && !fault.pattern.test(pathAndQuery)) continue;
      if (fault.stale !== undefined) {
        if (!isRead || Date.now() > fault.stale.untilMs) continue;
        fault.fired += 1;
        return { ...visible(fault), staleState: fault.stale.state };
      }
      if (fault.fired >= (fault.count ?? 1)) continue;
      if (fault.toSkip > 0) {
        fault.toSkip -= 1;
        continue;
      }
      fault.fired += 1;
      return visible(fault);
    }
    return undefined;
  }
}

function visible(fault: Armed): Fault {
  const { pattern: _pattern, toSkip: _toSkip, stale: _stale, ...rest } = fault;
  return rest;
}

/** Reads a fault from the control API; a sentence when it makes no sense. */
export function parseFault(value: unknown): FaultSpec | string {
  if (typeof value !== 'object' || value === null) return 'a fault is an object {name, match?, skip?, count?, params?}';
  const spec = value as FaultSpec;
  if (!FAULT_NAMES.includes(spec.name)) return `unknown fault; known: ${FAULT_NAMES.join(', ')}`;
  try {
    if (spec.match?.path !== undefined) new RegExp(spec.match.path);
  } catch {
    return 'match.path is not a regular expression';
  }
  return spec;
}
