/** `npm run bench`: runs the parts one after the other and prints their figures, as a table or as one JSON object. */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createServers } from './kit/servers.ts';
import type { Figures, Part } from './kit/part.ts';
import { tableOf } from './kit/table.ts';
import { exitCodeOf, unlessInterrupted } from '../local/interrupted.ts';
import { PARTS } from './parts/index.ts';

const USAGE = `usage: npm run bench -- [--only ${PARTS.map((p) => p.name).join(',')}] [--contacts N] [--json]

${PARTS.map((p) => `  ${p.name.padEnd(12)} ${p.what}`).join('\n')}`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      contacts: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const wanted = values.only?.split(',') ?? PARTS.map((p) => p.name);
  const unknown = wanted.filter((name) => !PARTS.some((p) => p.name === name));
  const contacts = values.contacts === undefined ? null : Number(values.contacts);
  if (unknown.length > 0 || (contacts !== null && !(Number.isInteger(contacts) && contacts > 0))) {
    process.stderr.write(
      `${unknown.length > 0 ? `There is no part ${unknown.join(', ')}.` : '--contacts is a whole number.'}\n${USAGE}\n`,
    );
    return 2;
  }
  const figures: Figures = { machine: machine() };
  const servers = await createServers(say);
  try {
    for (const part of PARTS.filter((p) => wanted.includes(p.name))) {
      say(`${part.name}: ${part.what}`);
      merge(figures, await runPart(part, servers, contacts));
    }
  } finally {
    await servers.stop();
  }
  process.stdout.write(values.json ? `${JSON.stringify(figures)}\n` : `${tableOf(figures)}\n`);
  return 0;
}

async function runPart(
  part: Part,
  servers: Awaited<ReturnType<typeof createServers>>,
  contacts: number | null,
): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-bench-'));
  const ends: (() => Promise<void>)[] = [];
  try {
    return await unlessInterrupted(say, async () =>
      part.run({
        contacts,
        folder,
        say: (line) => say(`  ${line}`),
        database: () => servers.database(),
        postgresPid: () => servers.postgresPid(),
        namespace: () => servers.namespace(),
        after: (end) => void ends.push(end),
      }),
    );
  } finally {
    for (const end of ends.toReversed()) await end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Two parts may add to one object of figures. */
function merge(into: Figures, more: Figures): void {
  for (const [key, value] of Object.entries(more)) {
    const there = into[key];
    if (isObject(there) && isObject(value)) merge(there, value);
    else into[key] = value;
  }
}

function isObject(value: unknown): value is Figures {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function machine(): Figures {
  const [first] = cpus();
  return {
    cpus: cpus().length,
    model: first?.model ?? 'unknown',
    memory_gb: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

// Not by waiting for whatever a measurement left open.
process.exit(await exitCodeOf(main));
