/** Starts a sandbox: the vendor on one port, its control API on another. */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlServer } from './control.ts';
import { openDataFile } from './datafile.ts';
import type { DataFile } from './datafile.ts';
import { FaultScript } from './faults.ts';
import { listen, parseJson, readBody, send, stop } from './http.ts';
import { Journal, routeOf } from './journal.ts';
import type { Counters } from './journal.ts';
import { play } from './play.ts';
import type { Answer, Settings, Vendor, VendorModule, VendorRequest } from './vendor.ts';

export interface SandboxOptions {
  module: VendorModule;
  /** 0 takes a free port. */
  port: number;
  controlPort: number;
  /** State survives restarts in this file. */
  dataFile?: string;
  /** Over the defaults of kit and vendor; what the data file holds goes first. */
  settings?: Partial<Settings>;
}

export interface Sandbox {
  port: number;
  controlPort: number;
  url: string;
  controlUrl: string;
  /** Live; a test in the same process may change it. */
  settings: Settings;
  vendor: Vendor;
  /** Writes the data file and drops all connections. */
  close(): Promise<void>;
}

interface Saved {
  state: unknown;
  settings: Record<string, unknown>;
  lastSeq: number;
  counters: Counters;
}

/** Rejects with the system's error (e.g. EADDRINUSE) when a port cannot be had. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { module } = options;
  const settings: Settings = {
    latencyMs: 20,
    limits: true,
    searchLagMs: 0,
    clockOffsetMs: 0,
    ...structuredClone(module.defaultSettings),
    ...options.settings,
  };
  const vendor = module.createVendor({ settings, now: () => Date.now() + settings.clockOffsetMs });
  const journal = new Journal();
  const faults = new FaultScript();

  let dataFile: DataFile | undefined;
  if (options.dataFile !== undefined) {
    const current = (): Saved => ({
      state: vendor.snapshot(),
      settings,
      lastSeq: journal.lastSeq,
      counters: journal.counters,
    });
    dataFile = openDataFile(options.dataFile, current);
    const saved = dataFile.load() as Saved | undefined;
    if (saved !== undefined) {
      vendor.restore(saved.state);
      Object.assign(settings, saved.settings);
      journal.resume(saved.lastSeq, saved.counters);
    }
  }
  const touch = (): void => dataFile?.touch();

  const server = vendorServer(vendor, journal, faults, settings, touch);
  const control = controlServer({ name: module.name, vendor, journal, faults, settings, touch });
  const port = await listen(server, options.port);
  let controlPort: number;
  try {
    controlPort = await listen(control, options.controlPort);
  } catch (error) {
    await stop(server);
    throw error;
  }

  return {
    port,
    controlPort,
    url: `http://127.0.0.1:${port}`,
    controlUrl: `http://127.0.0.1:${controlPort}`,
    settings,
    vendor,
    close: async () => {
      await Promise.all([stop(server), stop(control)]);
      dataFile?.flush();
    },
  };
}

function vendorServer(
  vendor: Vendor,
  journal: Journal,
  faults: FaultScript,
  settings: Settings,
  touch: () => void,
): http.Server {
  let inFlight = 0;

  async function serve(message: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const request = await readRequest(message, inFlight);
    const path = message.url ?? '/';
    const note = (answer: Partial<Answer>, fault?: string, limited = false): void => {
      const entry = {
        method: request.method,
        path,
        status: answer.status ?? 0,
        effect: answer.effect === true,
        summary: answer.summary ?? '',
        inFlight: request.inFlight,
        ...(fault === undefined ? {} : { fault }),
      };
      journal.add(entry, answer.route ?? routeOf(request.path), limited);
      if (!vendor.isRead(request)) touch();
    };

    // Limits and faults are decided at arrival, in the order of arrival; the effect comes after the latency.
    const refusal = settings.limits ? vendor.admit(request) : undefined;
    const fault = refusal === undefined ? faults.take(request.method, path, vendor.isRead(request)) : undefined;
    const waitMs = settings.latencyMs + (fault?.name === 'delay' ? Number(fault.params['ms'] ?? 1000) : 0);
    if (waitMs > 0) await sleep(waitMs);
    if (refusal !== undefined) {
      note(refusal, undefined, true);
      send(response, refusal.status, refusal.body, refusal.headers);
      return;
    }

    const played = play(vendor, request, fault);
    if (played.kind !== 'answer') {
      note({ effect: played.effect }, fault?.name);
      if (played.kind === 'cut') message.socket.destroy();
      else await new Promise((resolve) => message.socket.once('close', resolve));
      return;
    }
    const { answer } = played;
    note(answer, fault?.name);
    if (played.afterMs > 0) await sleep(played.afterMs);
    send(response, answer.status, answer.body, answer.headers);
  }

  return http.createServer((message, response) => {
    inFlight += 1;
    const arrivedAt = performance.now();
    serve(message, response)
      .catch((error: unknown) => {
        // A fault of the sandbox itself must be seen as such and not be taken for one of the vendor's 500s.
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        if (!response.headersSent && !response.destroyed) send(response, 599, `sandbox error: ${text}`);
      })
      .finally(() => {
        inFlight -= 1;
        journal.counters.busyMs += performance.now() - arrivedAt;
      });
  });
}

async function readRequest(message: http.IncomingMessage, inFlight: number): Promise<VendorRequest> {
  const body = await readBody(message);
  const host = message.headers.host ?? '127.0.0.1';
  const url = new URL(message.url ?? '/', `http://${host}`);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) headers[name] = String(value);
  return {
    method: message.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers,
    body,
    json: parseJson(body),
    inFlight,
    baseUrl: `http://${host}`,
  };
}
