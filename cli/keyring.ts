/** The keys of an installation as an operator sees them: which are there, and what still needs them. Works where processes refuse to start. */
import { openDatabase } from '../app.ts';
import { codecKeys, mainKeys } from '../config/index.ts';
import type { Config } from '../config/index.ts';
import type { Db } from '../store/db.ts';
import { keyUse } from '../store/key-use.ts';
import type { KeyUse } from '../store/key-use.ts';
import { keyringFrom } from '../store/keyring.ts';
import type { Keyring } from '../store/keyring.ts';
import { connectClient } from '../temporal/client.ts';
import { NO_CODEC } from '../temporal/codec.ts';
import { sealedBy } from '../temporal/codec-use.ts';
import { print, printJson, table } from './ui/text.ts';

/** Database and keys, without the check that they fit together. */
export async function withKeyring(
  fn: (at: { db: Db; keyring: Keyring; config: Config }) => Promise<void>,
): Promise<void> {
  const { db, config } = await openDatabase('cli');
  try {
    await fn({ db, config, keyring: keyringFrom(await mainKeys(config)) });
  } finally {
    await db.destroy();
  }
}

type State = 'in use' | 'behind' | 'missing' | 'new';

interface Listed {
  main: (KeyUse & { state: State })[];
  codec: { id: string; state: State; payloads: number | null }[];
}

export async function listKeyring(options: { histories: boolean; json: boolean }): Promise<void> {
  await withKeyring(async ({ db, keyring, config }) => {
    const listed: Listed = {
      main: await mainList(db, keyring),
      codec: await codecList(config, options.histories),
    };
    if (options.json) printJson(listed);
    else show(listed);
  });
}

async function mainList(db: Db, keyring: Keyring): Promise<Listed['main']> {
  const used = new Map((await keyUse(db, keyring)).map((use) => [use.id, use]));
  const ids = new Set([...keyring.checks.map(({ id }) => id), ...used.keys()]);
  return [...ids].map((id) => ({
    ...(used.get(id) ?? { id, tombstones: 0, tickets: 0, tokens: 0, systems: [] }),
    state: stateOf(
      id,
      keyring.checks.map((check) => check.id),
      used.has(id),
    ),
  }));
}

async function codecList(config: Config, histories: boolean): Promise<Listed['codec']> {
  const known = (await codecKeys(config)).map(({ id }) => id);
  const payloads = histories ? await countPayloads() : null;
  const ids = new Set([...known, ...[...(payloads?.keys() ?? [])].filter((id) => id !== '')]);
  return [...ids].map((id) => ({
    id,
    state: stateOf(id, known, true),
    payloads: payloads === null ? null : (payloads.get(id) ?? 0),
  }));
}

async function countPayloads(): Promise<Map<string, number>> {
  const place = await connectClient(NO_CODEC);
  try {
    return await sealedBy(place.client, place.namespace);
  } finally {
    await place.close();
  }
}

function stateOf(id: string, configured: readonly string[], wasUsed: boolean): State {
  if (!configured.includes(id)) return 'missing';
  if (!wasUsed) return 'new';
  return configured[0] === id ? 'in use' : 'behind';
}

function show({ main, codec }: Listed): void {
  table(
    ['keys.main', 'state', 'erased', 'tickets', 'tokens', 'compare anew'],
    main.map((k) => [k.id, k.state, k.tombstones, k.tickets, k.tokens, k.systems.join(' ') || null]),
  );
  print();
  table(
    ['keys.codec', 'state', 'payloads in Temporal'],
    codec.map((k) => [k.id, k.state, k.payloads]),
  );
}
