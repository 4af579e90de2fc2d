/** Xero, through the AccountingApi of `xero-node`. */
import { leftOut } from '../kit/connector.ts';
import type { Capabilities, Connector, ConnectorSetup, Gate, Item, ItemResult } from '../kit/connector.ts';
import { FIELD_KINDS } from '../../domain/want.ts';
import { createOutbound, SDK_FIRST_MS } from '../kit/outbound.ts';
import { createClient } from './client.ts';
import { leave } from './leave.ts';
import { chunks } from './find.ts';
import { limits, WRITE_BATCH } from './limits.ts';
import { parseTarget } from './mapping.ts';
import { check, collect, readPage, verify } from './read.ts';
import { save } from './save.ts';
import { CreateKeys, RecentWrites, resultOf, stopOutcome } from './session.ts';
import type { Session } from './session.ts';
import { settingsSchema } from './settings.ts';
import { signIn } from './sign-in.ts';

const API = 'https://api.xero.com';
const ISSUER = 'https://identity.xero.com';

export { limits, settingsSchema };

export const secrets = ['clientId', 'clientSecret', 'refreshToken'] as const;

/** A custom connection has no refresh token. */
export function neededSecrets(settings: Record<string, unknown>): readonly string[] {
  return settings['grant'] === 'client_credentials' ? secrets.filter((name) => name !== 'refreshToken') : secrets;
}

export const capabilities: Capabilities = {
  // Four writes; they are read back by last change in one call (`read.ts`), so 50 contacts are two calls and a quarter instead of three.
  deliverBatch: 4 * WRITE_BATCH,
  verifyBatch: 500,
  addressIsKey: false,
  addressRequired: false,
  erase: 'scrub_and_archive',
  purge: 'scrub_and_archive',
  consents: false,
  changes: true,
};

export function create(setup: ConnectorSetup): Connector {
  const settings = settingsSchema.parse(setup.settings);
  const tenantId = settings.tenantId ?? '';
  const baseUrl = setup.baseUrl ?? API;
  const issuer = settings.issuer ?? setup.baseUrl ?? ISSUER;
  const outbound = createOutbound({
    urls: [baseUrl, issuer],
    privateAddresses: setup.privateAddresses ?? false,
    maxSockets: limits.concurrency,
    timeoutMs: setup.callTimeoutMs + SDK_FIRST_MS,
  });
  const tokens = signIn({
    account: `xero:${tenantId === '' ? setup.system : tenantId}`,
    store: setup.tokens,
    timeoutMs: setup.callTimeoutMs,
    issuer,
    grant: settings.grant,
    scope: settings.scope,
    secret: setup.secret,
    outbound,
  });
  const client = createClient({
    baseUrl,
    tenantId,
    tokens,
    timeoutMs: setup.callTimeoutMs,
    outbound,
  });
  const kinds = new Map(
    setup.fields.map(({ target, kind }) => [target, FIELD_KINDS.find((each) => each === kind) ?? 'text'] as const),
  );
  const session: Session = { client, settings, kinds, recent: new RecentWrites(), createKeys: new CreateKeys() };

  return {
    capabilities,
    deliver: (items, gate) => deliver(session, items, gate),
    verify: (items, gate) => verify(session, items, gate),
    scan: (cursor, gate) => readPage(session, cursor, undefined, gate),
    changedSince: (since, cursor, gate) => readPage(session, cursor, since, gate),
    collect: (externalId, gate) => collect(session, externalId, gate),
    check: (gate) => check(session, [...kinds.keys()], (target) => parseTarget(target) !== undefined, gate),
    close: () => client.close(),
  };
}

/** Those who leave first; one group's failure to read is not the other's. */
async function deliver(session: Session, items: Item[], gate: Gate): Promise<ItemResult[]> {
  const leaving: Item[] = [];
  const staying: Item[] = [];
  const results = new Map<Item, ItemResult>();
  for (const item of items) {
    if (!item.parts.data) {
      results.set(item, resultOf(item, { kind: 'unchanged' }));
      continue;
    }
    switch (item.want.presence) {
      case 'erased':
      case 'purged':
      case 'outside':
        leaving.push(item);
        break;
      case 'present':
      case 'if_there':
        staying.push(item);
        break;
      case 'carried':
        results.set(item, resultOf(item, { kind: 'carried', by: item.want.carriedBy ?? '' }));
        break;
    }
  }
  for (const [group, run] of [
    [leaving, leave],
    [staying, save],
  ] as const) {
    // A write's worth at a time: what is written is based on a reading of just before.
    for (const some of chunks(group, WRITE_BATCH)) {
      if (gate.isHurried) {
        for (const item of some) results.set(item, leftOut(item));
        continue;
      }
      const done = await run(session, some, gate).catch((error: unknown) => {
        const outcome = stopOutcome(error);
        return some.map((item) => resultOf(item, outcome));
      });
      for (const [index, item] of some.entries()) results.set(item, done[index]!);
    }
  }
  return items.map((item) => results.get(item)!);
}
