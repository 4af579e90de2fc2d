/**
 * Follows docs/operations.md on the running demonstration, command by command in the page's own words, and takes its pictures of Temporal's
 * Web UI into docs/tour. It ends at the first command that fails. Needs a fresh `npm start` and a Chromium: node test/tour/take.ts
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { openApp } from '../../app.ts';
import { EXIT } from '../../cli/exit-codes.ts';
import { adoptLocalEnvironment, variable } from '../../config/environment.ts';
import { ROOT } from '../../local/program.ts';
import { causeId, erasureId, laneId, statusQuery } from '../../workflows/contracts/index.ts';
import { openBrowser } from './browser.ts';
import type { Browser } from './browser.ts';

const PAGE = join(ROOT, 'docs/operations.md');
const PICTURES = join(ROOT, 'docs/tour');
const PICTURE_BYTES = 150_000;
const ADDRESS = 'rhiannon.chaudhury@letters.test\n';
const ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/u;
/** Placeholder of the page → the command whose output has it. */
const PLACEHOLDERS: Record<string, { after: string; find: RegExp }> = {
  cause: { after: 'causes', find: ID },
  contact: { after: 'contact find', find: ID },
  case: { after: 'erasure request', find: ID },
  record: { after: 'curl -s "http', find: /(?<="id":")\d+/u },
};
/** A worker that comes back, and what a vendor is asked, take a moment that a reader needs to read on. */
const READING_MS = 5_000;

/** Commands of the page in their order, without comments. */
function commandsOf(page: string): string[] {
  return [...page.matchAll(/^```\n(.*?)^```$/gmsu)]
    .flatMap(([, block = '']) => block.trim().split('\n'))
    .map((line) => line.replace(/\s+#.*$/u, '').replace(' --watch', ''));
}

function run(command: string): Promise<string> {
  return new Promise((done, failed) => {
    const child = execFile('sh', ['-c', command], { cwd: ROOT, timeout: 120_000 }, (error, out, err) => {
      // `causes` and `doctor` end so when there is something to do.
      if (error === null || (error.code === EXIT.problem && err === '')) done(out);
      else failed(new Error(`${command}\n${out}${err}`));
    });
    child.stdin?.end(ADDRESS);
  });
}

/** Takes `<name>.png` of a tab of a workflow, or of the list of all when no workflow is named, once it shows the texts. */
type Take = (name: string, workflowId: string, tab: string, texts: readonly string[], height: number) => Promise<void>;

function taker(browser: Browser, client: Client): Take {
  const workflows = `${variable('PLUMBLINE_TEMPORAL_UI')}/namespaces/${client.options.namespace}/workflows`;
  return async (name, workflowId, tab, texts, height) => {
    const found = workflowId === '' ? undefined : await client.workflow.getHandle(workflowId).describe();
    const url =
      found === undefined ? workflows : `${workflows}/${encodeURIComponent(workflowId)}/${found.runId}/${tab}`;
    const picture = await browser.picture(url, texts, { width: 1280, height });
    if (picture.length > PICTURE_BYTES) throw new Error(`${name}.png has ${picture.length} bytes`);
    writeFileSync(join(PICTURES, `${name}.png`), picture);
  };
}

/** Waits until the workflow says the texts of itself; its details are in a frame of the page, where they cannot be looked for. */
async function says(client: Client, workflowId: string, texts: readonly string[]): Promise<void> {
  for (const until = Date.now() + 60_000; ; await sleep(500)) {
    const status = await client.workflow.getHandle(workflowId).query(statusQuery);
    if (texts.every((text) => status.includes(text))) return;
    if (Date.now() > until) throw new Error(`${workflowId} does not say ${texts.join(', ')}:\n${status}`);
  }
}

async function follow(client: Client, take: Take): Promise<void> {
  const known = new Map<string, string>();
  const id = (placeholder: string): string => known.get(placeholder) ?? '';
  for (const line of commandsOf(readFileSync(PAGE, 'utf8'))) {
    const command = line.replaceAll(/<(\w+)>/gu, (_all, name: string) => {
      const value = known.get(name);
      if (value === undefined) throw new Error(`nothing before it printed <${name}>: ${line}`);
      return value;
    });
    process.stdout.write(`\n$ ${command}\n`);
    const out = await run(command);
    process.stdout.write(out.length > 2_000 ? `${out.slice(0, 2_000)} …\n` : out);
    for (const [name, { after, find }] of Object.entries(PLACEHOLDERS)) {
      const value = line.includes(after) ? find.exec(out)?.[0] : undefined;
      if (value !== undefined) known.set(name, value);
    }
    await sleep(READING_MS);
    if (line.includes('import ')) {
      await says(client, laneId('xero-uk'), ['paused', 'due: 3']);
      await take('lane', laneId('xero-uk'), 'user-metadata', ['Current Details'], 760);
    }
    if (line.includes('cause retry')) {
      await says(client, causeId(id('cause')), ['stops: 3', 'accounts-team']);
      await take('cause', causeId(id('cause')), 'user-metadata', ['Current Details'], 790);
    }
    if (line.includes('erasure show')) {
      await take('erasure', erasureId(id('case')), 'timeline', ['closeCase', 'watchErasure'], 900);
      await take('workflows', '', '', ['lane/hubspot-main', 'erasure/'], 700);
    }
  }
}

/** Step 0 of the page: the Web UI's own settings of the codec endpoint (its local storage), and the key of the demonstration. */
async function readHistories(browser: Browser): Promise<void> {
  const key = readFileSync(join(ROOT, '.plumbline/demo-api.key'), 'utf8').trim();
  const settings = {
    endpoint: `http://127.0.0.1:${variable('PLUMBLINE_PORT_API')}/v1/codec`,
    overrideRemoteCodecConfiguration: true,
  };
  const script = `for (const [k, v] of Object.entries(${JSON.stringify(settings)})) localStorage.setItem(k, JSON.stringify(v));`;
  await browser.prepare(script, { authorization: `Bearer ${key}` });
}

adoptLocalEnvironment();
const app = await openApp('tour');
const browser = await openBrowser();
try {
  await readHistories(browser);
  await follow(app.temporal.client, taker(browser, app.temporal.client));
} finally {
  await browser.close();
  await app.close();
}
