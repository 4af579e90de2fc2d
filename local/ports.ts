/** The ports of one machine: what they are for, which ones are used, and how to move them. All on 127.0.0.1. */
import { join } from 'node:path';
import { portInUse } from './errors.ts';
import { readJsonFile, writeJsonFile } from './pid-files.ts';
import { portIsFree } from './tcp.ts';

/** Each port with its default, the environment variable that moves it, and its name in a sentence. */
export const portTable = {
  postgres: { port: 5455, setting: 'PLUMBLINE_PORT_POSTGRES', what: 'PostgreSQL' },
  temporal: { port: 7255, setting: 'PLUMBLINE_PORT_TEMPORAL', what: 'Temporal' },
  temporalUi: { port: 8255, setting: 'PLUMBLINE_PORT_TEMPORAL_UI', what: "Temporal's Web UI" },
  api: { port: 8080, setting: 'PLUMBLINE_PORT_API', what: 'the HTTP API' },
  workerMetrics: { port: 4301, setting: 'PLUMBLINE_PORT_WORKER_METRICS', what: "the worker's metrics" },
  apiMetrics: { port: 4302, setting: 'PLUMBLINE_PORT_API_METRICS', what: "the API's metrics" },
  hubspot: { port: 4101, setting: 'PLUMBLINE_PORT_HUBSPOT', what: 'the HubSpot sandbox' },
  mailchimp: { port: 4102, setting: 'PLUMBLINE_PORT_MAILCHIMP', what: 'the Mailchimp sandbox' },
  xero: { port: 4103, setting: 'PLUMBLINE_PORT_XERO', what: 'the Xero sandbox' },
  hubspotControl: { port: 4201, setting: 'PLUMBLINE_PORT_HUBSPOT_CONTROL', what: "the HubSpot sandbox's control" },
  mailchimpControl: {
    port: 4202,
    setting: 'PLUMBLINE_PORT_MAILCHIMP_CONTROL',
    what: "the Mailchimp sandbox's control",
  },
  xeroControl: { port: 4203, setting: 'PLUMBLINE_PORT_XERO_CONTROL', what: "the Xero sandbox's control" },
} as const;

/** The name of a port. */
export type PortName = keyof typeof portTable;

/** A number for each name. */
export type Ports = Record<PortName, number>;

const names = Object.keys(portTable) as PortName[];

/**
 * The ports to use: an override, else the one of the last start in this data folder, else the default. Throws a
 * `PlainError` naming port and setting when one is taken or two are the same. Call it when left-over processes of an
 * earlier start have been stopped, or their ports count as taken. Remembers the choice for `rememberedPorts`. `unused` are
 * not looked at: an outside server needs no port of ours.
 */
export async function choosePorts(
  dataDir: string,
  overrides: Partial<Ports> = {},
  unused: readonly PortName[] = [],
): Promise<Ports> {
  const remembered = rememberedPorts(dataDir);
  const ports = Object.fromEntries(
    names.map((name) => [name, overrides[name] ?? remembered[name] ?? portTable[name].port]),
  ) as Ports;
  const seen = new Map<number, PortName>();
  for (const name of names) {
    if (unused.includes(name)) continue;
    const port = ports[name];
    const other = seen.get(port);
    if (other !== undefined)
      throw portInUse(port, portTable[name].what, portTable[name].setting, portTable[other].what);
    seen.set(port, name);
    if (!(await portIsFree(port))) throw portInUse(port, portTable[name].what, portTable[name].setting);
  }
  writeJsonFile(portsFile(dataDir), ports);
  return ports;
}

/** The ports of the last start in this data folder, for commands that look for what runs there; empty before the first. */
export function rememberedPorts(dataDir: string): Partial<Ports> {
  const stored = readJsonFile(portsFile(dataDir));
  if (typeof stored !== 'object' || stored === null) return {};
  return Object.fromEntries(
    Object.entries(stored).filter(([name, port]) => name in portTable && Number.isInteger(port)),
  ) as Partial<Ports>;
}

function portsFile(dataDir: string): string {
  return join(dataDir, 'ports.json');
}
