/** The control API: everything a test, a benchmark or a person needs and the vendor would never offer. */
import http from 'node:http';
import { parseFault } from './faults.ts';
import type { FaultScript } from './faults.ts';
import { parseJson, readBody, send } from './http.ts';
import type { Journal } from './journal.ts';
import { page } from './page.ts';
import type { Settings, Vendor } from './vendor.ts';

export interface Controlled {
  name: string;
  vendor: Vendor;
  journal: Journal;
  faults: FaultScript;
  settings: Settings;
  /** The state changed. */
  touch(): void;
}

interface Reply {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

const RECORDS_MAX = 10_000;

export function controlServer(sandbox: Controlled): http.Server {
  return http.createServer((message, response) => {
    void readBody(message)
      .then((text) => {
        const url = new URL(message.url ?? '/', 'http://control');
        const reply = route(sandbox, message.method ?? 'GET', url, parseJson(text));
        send(response, reply.status, reply.body, reply.headers);
      })
      .catch((error: unknown) => {
        if (!response.headersSent) send(response, 400, { error: error instanceof Error ? error.message : 'bad' });
      });
  });
}

function route(sandbox: Controlled, method: string, url: URL, json: unknown): Reply {
  const { vendor, journal, faults, settings } = sandbox;
  const [head = '', id] = url.pathname.slice(1).split('/').map(decodeURIComponent);
  const number = (name: string, fallback: number): number => Number(url.searchParams.get(name) ?? fallback);
  switch (`${method} /${head}${id === undefined ? '' : '/:id'}`) {
    case 'GET /':
      return { status: 200, body: page(sandbox), headers: { 'content-type': 'text/html; charset=utf-8' } };
    case 'GET /health':
      return ok({ vendor: sandbox.name, records: vendor.count() });
    case 'GET /journal':
      return ok({ lastSeq: journal.lastSeq, entries: journal.since(number('since', 0), number('limit', 1000)) });
    case 'POST /journal/:id':
      if (id !== 'clear') break;
      journal.clear();
      return ok({ lastSeq: journal.lastSeq });
    case 'GET /counters':
      return ok(journal.counters);
    case 'GET /faults':
      return ok({ faults: faults.list() });
    case 'POST /faults': {
      const spec = parseFault(json);
      if (typeof spec === 'string') return bad(spec);
      return { status: 201, body: faults.add(spec, () => structuredClone(vendor.snapshot())) };
    }
    case 'DELETE /faults':
      faults.clear();
      return ok({});
    case 'DELETE /faults/:id':
      return faults.remove(id!) ? ok({}) : missing();
    case 'GET /settings':
      return ok(settings);
    case 'PUT /settings':
      if (!isObject(json)) return bad('settings are an object; only the keys given are changed');
      Object.assign(settings, json);
      sandbox.touch();
      return ok(settings);
    case 'GET /records': {
      const offset = number('offset', 0);
      const limit = Math.min(RECORDS_MAX, number('limit', 100));
      return ok({ total: vendor.count(), offset, records: vendor.records(offset, limit) });
    }
    case 'POST /records': {
      if (!Array.isArray(json)) return bad('an array of records in the shape of the vendor');
      const ids = vendor.seed(json);
      sandbox.touch();
      return { status: 201, body: { ids } };
    }
    case 'GET /records/:id':
      return found(vendor.record(id!));
    case 'PATCH /records/:id': {
      if (!isObject(json)) return bad('a change is an object');
      const record = vendor.patch(id!, json);
      sandbox.touch();
      return found(record);
    }
    case 'DELETE /records/:id': {
      const gone = vendor.remove(id!);
      sandbox.touch();
      return gone ? ok({}) : missing();
    }
    case 'POST /reset':
      // Settings stay: they describe the account, not what happened in it.
      vendor.reset();
      journal.clear();
      faults.clear();
      sandbox.touch();
      return ok({});
    default:
  }
  return missing();
}

function ok(body: unknown): Reply {
  return { status: 200, body };
}
function bad(error: string): Reply {
  return { status: 400, body: { error } };
}
function missing(): Reply {
  return { status: 404, body: { error: 'not found' } };
}
function found(record: unknown): Reply {
  return record === undefined ? missing() : ok(record);
}
function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
