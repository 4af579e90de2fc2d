/** Mailchimp, through the official Marketing SDK. */
import { leftOut } from '../kit/connector.ts';
import type { Capabilities, Connector, ConnectorSetup, Gate, Item, ItemResult } from '../kit/connector.ts';
import { partition, saveMany } from './bulk.ts';
import { check } from './check.ts';
import { createClient } from './client.ts';
import { leaveOne } from './leave.ts';
import { BULK_MAX, limits } from './limits.ts';
import { splitTargets } from './permissions.ts';
import { collect, verify } from './read.ts';
import { saveOne } from './save.ts';
import { readPage } from './scan.ts';
import { bothParts, fanOut, RecentWrites, wishOf } from './session.ts';
import type { Session } from './session.ts';
import { settingsSchema } from './settings.ts';

export { limits, settingsSchema };

export const secrets = ['apiKey'] as const;

export const capabilities: Capabilities = {
  deliverBatch: BULK_MAX,
  verifyBatch: BULK_MAX,
  addressIsKey: true,
  addressRequired: true,
  erase: 'privacy_delete',
  // Merge fields and tags are emptied besides; the address stays, it is the key of an archived member.
  purge: 'archive',
  consents: true,
  changes: true,
};

export function create(setup: ConnectorSetup): Connector {
  const settings = settingsSchema.parse(setup.settings);
  const targets = splitTargets(setup.consentTargets);
  const client = createClient({
    basePath: setup.baseUrl === undefined ? undefined : `${setup.baseUrl}/3.0`,
    server: settings.server,
    list: settings.list,
    apiKey: () => setup.secret('apiKey'),
    timeoutMs: setup.callTimeoutMs,
    privateAddresses: setup.privateAddresses ?? false,
    concurrency: limits.concurrency,
    skipMergeValidation: settings.skipMergeValidation,
  });
  const session: Session = {
    client,
    mapped: {
      targets: setup.fields.map(({ target }) => target),
      consentTargets: targets.status,
      permissions: targets.permissions,
      referenceTag: settings.reference,
    },
    recent: new RecentWrites(),
  };

  return {
    capabilities,
    deliver: (items, gate) => deliver(session, items, gate),
    verify: (items, gate) => verify(session, items, gate),
    scan: (cursor, gate) => readPage(session, cursor, undefined, gate),
    changedSince: (since, cursor, gate) => readPage(session, cursor, since, gate),
    collect: (externalId, gate) => collect(session, externalId, gate),
    check: (gate) => check(session, settings, gate),
    close: () => client.close(),
  };
}

/** Those who leave and those who withdrew first, then the bulk calls, then the others one by one. */
async function deliver(session: Session, items: Item[], gate: Gate): Promise<ItemResult[]> {
  const results = new Map<Item, ItemResult>();
  const alone = (item: Item, run: typeof saveOne) => async (): Promise<void> => {
    results.set(item, gate.isHurried ? leftOut(item) : await run(session, item, gate));
  };
  const first: (() => Promise<void>)[] = [];
  const staying: Item[] = [];
  for (const item of items) {
    switch (item.want.presence) {
      case 'erased':
      case 'purged':
      case 'outside':
        first.push(alone(item, leaveOne));
        break;
      case 'carried':
        results.set(item, bothParts(session, item, { kind: 'carried', by: item.want.carriedBy ?? '' }));
        break;
      case 'present':
      case 'if_there':
        staying.push(item);
        break;
    }
  }
  const { chunks, single } = partition(session, staying);
  const isUrgent = (item: Item): boolean => wishOf(item, session.mapped.consentTargets) === 'unsubscribed';
  const refused: Item[] = [];
  const many = chunks.map((chunk) => async (): Promise<void> => {
    if (gate.isHurried) {
      for (const item of chunk.items) results.set(item, leftOut(item));
      return;
    }
    const answers = await saveMany(session, chunk, gate);
    for (const [index, item] of chunk.items.entries()) {
      const answer = answers[index] ?? null;
      if (answer === null) refused.push(item);
      else results.set(item, answer);
    }
  });
  const tasks = [
    ...first,
    ...single.filter(isUrgent).map((item) => alone(item, saveOne)),
    ...many,
    ...single.filter((item) => !isUrgent(item)).map((item) => alone(item, saveOne)),
  ];
  await fanOut(tasks, gate.concurrency);
  await fanOut(
    refused.map((item) => alone(item, saveOne)),
    gate.concurrency,
  );
  return items.map((item) => results.get(item)!);
}
