/** The connectors there are. Adding a vendor is a folder, a line here, a mapping in the configuration and a sandbox. */
import type { ConnectorModule } from './kit/module.ts';

const modules: Record<string, () => Promise<ConnectorModule>> = {
  hubspot: () => import('./hubspot/index.ts'),
  mailchimp: () => import('./mailchimp/index.ts'),
  xero: () => import('./xero/index.ts'),
};

export const CONNECTOR_NAMES = Object.keys(modules);

/** Loads the module of one vendor. @throws Error naming the known ones when there is none of that name. */
export async function connectorModule(name: string): Promise<ConnectorModule> {
  const load = modules[name];
  if (load === undefined) throw new Error(`no connector '${name}'; there are: ${CONNECTOR_NAMES.join(', ')}`);
  return load();
}
