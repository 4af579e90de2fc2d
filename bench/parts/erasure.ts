/** Ten thousand erasures at once under the limits of HubSpot and Mailchimp, until the last was read back as gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { rows } from '../../store/db.ts';
import { keyringFrom } from '../../store/keyring.ts';
import { rounded } from '../kit/figures.ts';
import { install, settled } from '../kit/installation.ts';
import { SYSTEM } from '../../local/vendor-programs.ts';
import type { Installation } from '../kit/installation.ts';
import type { Bench, Figures, Part } from '../kit/part.ts';
import { addCustomers, erase } from '../kit/people.ts';
import { limitShare, readUse } from '../kit/share.ts';

const CONTACTS = 10_000;
const AT = ['hubspot', 'mailchimp'] as const;
/** Contacts that one transaction empties. */
const TOGETHER = 200;

export const massErasure: Part = {
  name: 'erasure',
  what: 'everybody erased at once under the limits of HubSpot and Mailchimp: until the last was read back as gone',
  run,
};

async function run(bench: Bench): Promise<Figures> {
  const count = bench.contacts ?? CONTACTS;
  const installation = await install(bench, { vendors: AT });
  const { db, vendors } = installation;
  await installation.startWorker({ limits: false });
  await addCustomers(db, count);
  await settled(db, (left) => bench.say(`setting up: ${left} deliveries to go`), 2_000);
  await installation.startWorker({ limits: true });

  const before = await readUse(vendors);
  const startedAt = Date.now();
  await eraseAll(installation);
  const windows = await Promise.all(
    AT.map(async (vendor) => {
      await gone(bench, installation, vendor);
      const ms = Date.now() - startedAt;
      return { vendor, ms, use: (await readUse({ [vendor]: vendors[vendor] }))[vendor]! };
    }),
  );
  for (const vendor of AT) {
    const { total } = await vendors[vendor].control<{ total: number }>('GET', '/records?limit=1');
    if (total !== 0) throw new Error(`${vendor} still holds ${total} of ${count}`);
  }
  return {
    mass_erasure: {
      limit_share: Object.fromEntries(
        windows.map((w) => [w.vendor, rounded(limitShare(w.vendor, before[w.vendor]!, w.use, w.ms))]),
      ),
      seconds_to_verified: rounded(Math.max(...windows.map((w) => w.ms)) / 1000),
      seconds: Object.fromEntries(windows.map((w) => [w.vendor, rounded(w.ms / 1000)])),
      contacts: count,
      caused_429: windows.reduce((sum, w) => sum + w.use.limited - before[w.vendor]!.limited, 0),
    },
  };
}

/** The transactions that cases run once they were approved. */
async function eraseAll({ db, env }: Installation): Promise<void> {
  const keyring = keyringFrom(Buffer.from(env['PLUMBLINE_KEY'] ?? '', 'base64'));
  const people = await rows<{ id: string }>(db, 'select id from contacts order by id');
  for (let at = 0; at < people.length; at += TOGETHER) {
    await erase(
      db,
      keyring,
      people.slice(at, at + TOGETHER).map(({ id }) => id),
    );
  }
}

async function gone(bench: Bench, { db }: Installation, vendor: (typeof AT)[number]): Promise<void> {
  for (let looks = 0; ; looks += 1) {
    const [open] = await rows<{ n: number }>(
      db,
      `select count(*)::integer as n from deliveries where system = ? and (wanted > settled or presence is distinct from 'gone')`,
      [SYSTEM[vendor]],
    );
    if (open?.n === 0) return;
    if (looks % 20 === 0) bench.say(`${vendor}: ${open?.n} still to be read back as gone`);
    await sleep(500);
  }
}
