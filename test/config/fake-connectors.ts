/** Connectors for tests of the configuration: facts and schemas only, no vendor behind them. */
import { z } from 'zod';
import type { ConnectorModule } from '../../connectors/kit/module.ts';
import type { ConnectorSource } from '../../config/systems.ts';

const module = (
  facts: Pick<ConnectorModule, 'settingsSchema' | 'secrets' | 'limits'>,
  addressIsKey: boolean,
  consents = true,
): ConnectorModule => ({
  ...facts,
  capabilities: {
    deliverBatch: 10,
    verifyBatch: 10,
    addressIsKey,
    addressRequired: false,
    erase: 'privacy_delete',
    purge: 'archive',
    consents,
    changes: false,
  },
  create: () => {
    throw new Error('tests of the configuration call no vendor');
  },
});

const modules: Record<string, ConnectorModule> = {
  crm: module(
    {
      settingsSchema: z.strictObject({}),
      secrets: ['token'],
      limits: { calls: 190, windowMs: 10_000, concurrency: 10 },
    },
    false,
  ),
  mail: module(
    {
      settingsSchema: z.strictObject({ list: z.string(), server: z.string().default('us1') }),
      secrets: ['apiKey'],
      limits: { perDay: 1000, concurrency: 5 },
    },
    true,
  ),
  ledger: module({ settingsSchema: z.strictObject({}), secrets: [], limits: { concurrency: 5 } }, false, false),
};

export const fakeConnectors: ConnectorSource = {
  names: Object.keys(modules),
  load: (name) => {
    const found = modules[name];
    return found === undefined ? Promise.reject(new Error(`no connector ${name}`)) : Promise.resolve(found);
  },
};
