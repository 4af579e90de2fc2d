/** HubSpot, through the official SDK. */
import type { Capabilities, Connector, ConnectorSetup, Gate, Item, ItemResult } from '../kit/connector.ts';
import { createOutbound } from '../kit/outbound.ts';
import { check } from './check.ts';
import { createHubSpot } from './client.ts';
import { leaveAll } from './leave.ts';
import { BATCH, limits } from './limits.ts';
import { collect, scan, verify } from './read.ts';
import type { Session } from './records.ts';
import { saveAll } from './save.ts';
import { settingsSchema } from './settings.ts';
import { signIn } from './sign-in.ts';

const OWN = 'https://api.hubapi.com';

export { limits, settingsSchema };

export const secrets = ['token', 'clientId', 'clientSecret', 'refreshToken'] as const;

export function neededSecrets(settings: Record<string, unknown>): readonly string[] {
  return secrets.filter((name) => (name === 'token') === (settings['grant'] !== 'refresh_token'));
}

export const capabilities: Capabilities = {
  deliverBatch: BATCH,
  verifyBatch: BATCH,
  addressIsKey: true,
  addressRequired: false,
  erase: 'privacy_delete',
  purge: 'archive',
  consents: true,
  changes: false,
};

export function create(setup: ConnectorSetup): Connector {
  const settings = settingsSchema.parse(setup.settings);
  const baseUrl = setup.baseUrl ?? OWN;
  const outbound = createOutbound({
    urls: [baseUrl],
    privateAddresses: setup.privateAddresses ?? false,
    maxSockets: limits.concurrency,
    timeoutMs: setup.callTimeoutMs,
  });
  const tokens = signIn({
    grant: settings.grant,
    account: `hubspot:${setup.system}`,
    store: setup.tokens,
    timeoutMs: setup.callTimeoutMs,
    baseUrl,
    secret: setup.secret,
    outbound,
  });
  const session: Session = {
    hubspot: createHubSpot({ baseUrl, tokens, outbound }),
    mapped: {
      targets: setup.fields.map((f) => f.target),
      consentTargets: setup.consentTargets,
      reference: settings.reference,
      legalBasis: settings.legalBasis,
    },
  };
  return {
    capabilities,
    deliver: (items, gate) => deliver(session, items, gate),
    verify: (items, gate) => verify(session, items, gate),
    scan: (cursor, gate) => scan(session, cursor, gate),
    collect: (id, gate) => collect(session, id, gate),
    check: (gate) => check(session, gate),
    close: () => session.hubspot.close(),
  };
}

async function deliver(session: Session, items: Item[], gate: Gate): Promise<ItemResult[]> {
  const leaving = items.filter((i) => ['erased', 'purged', 'outside'].includes(i.want.presence));
  const staying = items.filter((i) => ['present', 'if_there'].includes(i.want.presence));
  const results = new Map<Item, ItemResult>();
  const put = (some: Item[], answers: ItemResult[]): void => {
    for (const [at, item] of some.entries()) {
      const answer = answers[at];
      if (answer !== undefined) results.set(item, answer);
    }
  };
  if (leaving.length > 0) put(leaving, await leaveAll(session, leaving, gate));
  if (staying.length > 0) put(staying, await saveAll(session, staying, gate));
  return items.map(
    (item) =>
      results.get(item) ?? {
        data: { kind: 'carried', by: item.want.carriedBy ?? '' },
        consent: { kind: 'carried', by: item.want.carriedBy ?? '' },
        externalIds: [],
      },
  );
}
