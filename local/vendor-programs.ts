/** The three sandboxes, each a process of its own, as the vendors are. */
import { join } from 'node:path';
import { startProgram } from './program.ts';
import type { Program } from './program.ts';

export const VENDORS = ['hubspot', 'mailchimp', 'xero'] as const;
export type Vendor = (typeof VENDORS)[number];

/** The system of the shipped configuration that each sandbox plays. */
export const SYSTEM: Record<Vendor, string> = { hubspot: 'hubspot-main', mailchimp: 'mailchimp-main', xero: 'xero-uk' };

/** What the sandboxes accept, under the names that the shipped configuration reads. */
export const SANDBOX_CREDENTIALS = {
  HUBSPOT_TOKEN: 'sandbox-hubspot-token',
  MAILCHIMP_API_KEY: 'sandbox-mailchimp-key-us1',
  XERO_CLIENT_ID: 'sandbox-xero-client',
  XERO_CLIENT_SECRET: 'sandbox-xero-secret',
  XERO_REFRESH_TOKEN: 'sandbox-xero-refresh-0',
} as const;

export interface Counters {
  total: number;
  effects: number;
  effectsOf: Record<string, number>;
  limited: number;
  /** Sum of the time that calls were under way. */
  busyMs: number;
  maxInFlight: number;
  calls: Record<string, number>;
}

/** Who starts programs: where their logs go, and who ends them. */
export interface Starter {
  folder: string;
  after(end: () => Promise<void>): void;
}

export interface VendorProcess {
  url: string;
  controlUrl: string;
  program: Program;
  control<T = unknown>(method: string, path: string, body?: unknown): Promise<T>;
  counters(): Promise<Counters>;
}

export async function startVendor(
  starter: Starter,
  vendor: Vendor,
  settings: Record<string, unknown>,
): Promise<VendorProcess> {
  const program = await startProgram({
    // A million records are one to two GB, and on a small machine Node's own bound lies below.
    nodeArgs: ['--max-old-space-size=8192'],
    args: ['sandboxes/main.ts', vendor],
    ready: /control http/,
    log: join(starter.folder, `${vendor}.log`),
  });
  starter.after(() => program.kill9());
  const [, url = '', controlUrl = ''] = /API (\S+), control (\S+)/.exec(program.ready) ?? [];
  const control = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await fetch(`${controlUrl}${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${vendor} control ${method} ${path}: ${answer.status}`);
    return (await answer.json()) as T;
  };
  await control('PUT', '/settings', { searchLagMs: 0, ...settings });
  return { url, controlUrl, program, control, counters: () => control<Counters>('GET', '/counters') };
}

export async function startVendors(
  starter: Starter,
  settings: Record<string, unknown> = { latencyMs: 20, limits: false },
): Promise<Record<Vendor, VendorProcess>> {
  const [hubspot, mailchimp, xero] = await Promise.all(VENDORS.map((vendor) => startVendor(starter, vendor, settings)));
  return { hubspot: hubspot!, mailchimp: mailchimp!, xero: xero! };
}
