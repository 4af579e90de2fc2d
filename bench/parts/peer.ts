/** The peer by itself: bulk change with limits off, by single calls and by batches, and by single calls under the limits. */
import { rounded } from '../kit/figures.ts';
import type { Bench, Figures, Part } from '../kit/part.ts';
import { startVendors } from '../../local/vendor-programs.ts';
import { measureAlone } from '../peer/measure-alone.ts';
import { measurePeer } from '../peer/index.ts';
import type { PeerFigures } from '../peer/index.ts';

const ONE = 3_000;
const BATCH = 20_000;
const WINDOW_MS = 60_000;
/** More than any vendor takes in the window by single calls. */
const IN_WINDOW = 20_000;

/** Single calls take half an hour for 200,000, and their rate does not depend on how many there are. */
function atMost(bench: Bench, most: number): number {
  return Math.min(bench.contacts ?? most, most);
}

export const peer: Part = {
  name: 'peer',
  what: 'a bulk change by what a user would write instead: pg-boss and the SDKs',
  run,
};

async function run(bench: Bench): Promise<Figures> {
  const vendors = await startVendors(bench);
  const say = (name: string, figures: PeerFigures): void => bench.say(`${name}: ${JSON.stringify(figures)}`);
  const one = await measurePeer(bench, { contacts: atMost(bench, ONE), mode: 'one', limits: false, vendors });
  say('one call a job', one);
  const batch = await measurePeer(bench, { contacts: bench.contacts ?? BATCH, mode: 'batch', limits: false, vendors });
  say('vendor-sized batches', batch);
  const alone = await measureAlone(bench, vendors, bench.contacts ?? BATCH);
  bench.say(`the SDKs by themselves: ${JSON.stringify(alone)}`);
  const limited = await measurePeer(bench, {
    contacts: atMost(bench, IN_WINDOW),
    mode: 'one',
    limits: true,
    windowMs: WINDOW_MS,
    vendors,
  });
  say('one call a job, under limits', limited);
  const { hubspot, mailchimp, xero } = limited.perSecond;
  return {
    delivered_per_second: {
      peer: rounded(one.perSecondAll),
      peer_batching: rounded(batch.perSecondAll),
      sdks_alone: rounded(alone.perSecondAll),
    },
    sdks_alone_cpu_us_per_contact: { sdks: rounded(alone.cpuUs.sdks), sandboxes: rounded(alone.cpuUs.sandboxes) },
    under_limits_per_second: {
      hubspot: { peer: rounded(hubspot) },
      mailchimp: { peer: rounded(mailchimp) },
      xero: { peer: rounded(xero) },
    },
  };
}
