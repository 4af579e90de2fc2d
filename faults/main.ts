/** `npm run faults`: a campaign of faults drawn from a seed. Exit code 0 when nothing was broken. */
import { parseArgs } from 'node:util';
import { exitCodeOf } from '../local/interrupted.ts';
import { campaign } from './campaign.ts';
import { summaryOf, tableOf } from './summary.ts';

const USAGE = `usage: npm run faults -- [--count 300] [--seed 1] [--json]

  --count N   until N faults have fired
  --seed S    the same faults and changes are drawn again for the same seed`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '300' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [count, seed] = [Number(values.count), Number(values.seed)];
  if (values.help || ![count, seed].every((n) => Number.isInteger(n) && n > 0)) {
    process.stderr.write(`${USAGE}\n`);
    return values.help ? 0 : 2;
  }
  const outcome = await campaign({ count, seed, say: (line) => process.stderr.write(`${line}\n`) });
  process.stdout.write(values.json ? `${JSON.stringify(summaryOf(outcome))}\n` : `${tableOf(outcome)}\n`);
  return outcome.broken === null ? 0 : 1;
}

// Not by waiting for whatever a cut connection left open.
process.exit(await exitCodeOf(main));
