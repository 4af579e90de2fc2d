/**
 * What a process counts of its own work, for Prometheus. Labels are names of systems, classes and codes: never an id, an address or a text
 * of a vendor. Names follow https://prometheus.io/docs/practices/naming/ (seconds, `_total` for counters).
 */
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';
import type { CallClass } from '../domain/call-class.ts';
import type { CALL_RESULTS, DrainEnd, Limit, Priority, Role } from './labels.ts';

/** What the engine tells of; activities know this and nothing of Prometheus. */
export interface Meter {
  /** A call to a vendor has ended. `isFailed`: it threw, or no answer came. */
  call(system: string, callClass: CallClass, seconds: number, isFailed: boolean): void;
  /** The vendor said that a limit was met (429, or 503 with a time to wait). */
  limited(system: string, reason: Limit): void;
  /** An attempt's outcome was recorded for so many contacts. */
  deliveries(system: string, outcome: string, count: number): void;
  /** A contact became due so long before it was read back. */
  verified(system: string, priority: Priority, seconds: number): void;
  /** A drain has ended, by itself or by a failure. */
  drain(system: string, ended: DrainEnd): void;
}

/** Buckets from the tens of milliseconds of a live edit to the hours of an import. */
const DUE_BUCKETS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 43_200];
const CALL_BUCKETS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** The registry of one process, with Node's own figures. */
export function createRegistry(role: Role): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ role });
  collectDefaultMetrics({ register: registry, prefix: 'plumbline_' });
  return registry;
}

/** The worker's counters, in `registry`. */
export function createMeter(registry: Registry): Meter {
  const registers = [registry];
  const calls = new Counter({
    name: 'plumbline_vendor_calls_total',
    help: 'Calls to a vendor that have ended, by system, class of urgency and result (answered, failed).',
    labelNames: ['system', 'class', 'result'],
    registers,
  });
  const callSeconds = new Histogram({
    name: 'plumbline_vendor_call_seconds',
    help: 'How long calls to a vendor took.',
    labelNames: ['system'],
    buckets: CALL_BUCKETS,
    registers,
  });
  const limited = new Counter({
    name: 'plumbline_vendor_limited_total',
    help: 'Answers of a vendor that said a limit was met, by system and limit.',
    labelNames: ['system', 'reason'],
    registers,
  });
  const deliveries = new Counter({
    name: 'plumbline_deliveries_total',
    help: 'Recorded attempts, a contact and system each, by outcome of the data.',
    labelNames: ['system', 'outcome'],
    registers,
  });
  const verified = new Histogram({
    name: 'plumbline_due_to_verified_seconds',
    help: 'From the moment a delivery became due until it was read back as wanted.',
    labelNames: ['system', 'priority'],
    buckets: DUE_BUCKETS,
    registers,
  });
  const drains = new Counter({
    name: 'plumbline_drains_total',
    help: 'Drains of a lane that have ended, by why; failed is a vendor or a part that lasts in not answering.',
    labelNames: ['system', 'ended'],
    registers,
  });
  return {
    call(system, callClass, seconds, isFailed) {
      const result: (typeof CALL_RESULTS)[number] = isFailed ? 'failed' : 'answered';
      calls.inc({ system, class: callClass, result });
      callSeconds.observe({ system }, seconds);
    },
    limited: (system, reason) => limited.inc({ system, reason }),
    deliveries: (system, outcome, count) => deliveries.inc({ system, outcome }, count),
    verified: (system, priority, seconds) => verified.observe({ system, priority }, seconds),
    drain: (system, ended) => drains.inc({ system, ended }),
  };
}

/** Counts the API's answers. `route` is the pattern, never the address asked for. */
export function answerMeter(
  registry: Registry,
): (method: string, route: string, status: number, seconds: number) => void {
  const seconds = new Histogram({
    name: 'plumbline_api_request_seconds',
    help: 'Answers of the HTTP API, by method, pattern of the route and status.',
    labelNames: ['method', 'route', 'status'],
    buckets: CALL_BUCKETS,
    registers: [registry],
  });
  return (method, route, status, took) => seconds.observe({ method, route, status }, took);
}

/** For commands that run to their end: nobody scrapes them. */
export const NO_METER: Meter = { call() {}, limited() {}, deliveries() {}, verified() {}, drain() {} };
