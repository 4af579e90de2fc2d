/** Runs one vendor's sandbox: `node sandboxes/main.ts hubspot --port 4101 --control-port 4201 --data hubspot.json`. */
import { parseArgs } from 'node:util';
import { startSandbox } from './kit/server.ts';
import type { Sandbox } from './kit/server.ts';
import type { VendorModule } from './kit/vendor.ts';

export const SANDBOX_VENDORS = ['hubspot', 'mailchimp', 'xero'] as const;

export interface RunOptions {
  /** 0 takes a free port. */
  port: number;
  controlPort: number;
  dataFile?: string;
}

/** The module of a vendor, or undefined when there is no sandbox of that name. */
export async function loadVendor(vendor: string): Promise<VendorModule | undefined> {
  if (!(SANDBOX_VENDORS as readonly string[]).includes(vendor)) return undefined;
  return (await import(`./${vendor}/index.ts`)) as VendorModule;
}

/**
 * Runs a sandbox until SIGTERM or SIGINT, then writes its state and ends the process. Throws an Error with a sentence
 * for a person when the vendor is unknown or a port is in use.
 */
export async function runSandbox(vendor: string, options: RunOptions): Promise<Sandbox> {
  const module = await loadVendor(vendor);
  if (module === undefined) {
    throw new Error(`There is no sandbox for "${vendor}". There are: ${SANDBOX_VENDORS.join(', ')}.`);
  }
  const sandbox = await startSandbox({ module, ...options }).catch(
    (error: NodeJS.ErrnoException & { port?: number }) => {
      if (error.code !== 'EADDRINUSE') throw error;
      throw new Error(`Port ${error.port} is in use. Choose other ports with --port and --control-port.`);
    },
  );
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      void sandbox.close().then(() => process.exit(0));
    });
  }
  return sandbox;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      port: { type: 'string', default: '0' },
      'control-port': { type: 'string', default: '0' },
      data: { type: 'string' },
    },
  });
  const vendor = positionals[0] ?? '';
  const sandbox = await runSandbox(vendor, {
    port: Number(values.port),
    controlPort: Number(values['control-port']),
    ...(values.data === undefined ? {} : { dataFile: values.data }),
  });
  console.log(`${vendor} sandbox: API ${sandbox.url}, control ${sandbox.controlUrl}`);
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  });
}
