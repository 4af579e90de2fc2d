import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { choosePorts, portTable, rememberedPorts } from '../../local/ports.ts';
import type { PortName, Ports } from '../../local/ports.ts';
import { anyFreePort } from '../../local/tcp.ts';
import { unzipEntry } from '../../local/unzip.ts';
import { temporaryFolder } from './folder.ts';

async function freePorts(): Promise<Ports> {
  const ports: Partial<Ports> = {};
  for (const name of Object.keys(portTable) as PortName[]) {
    do ports[name] = await anyFreePort();
    while (Object.entries(ports).some(([other, port]) => other !== name && port === ports[name]));
  }
  return ports as Ports;
}

test('ports are remembered in the data folder, and an override goes before what is remembered', async () => {
  const dataDir = temporaryFolder();
  expect(rememberedPorts(dataDir)).toEqual({});
  const ports = await freePorts();
  expect(await choosePorts(dataDir, ports)).toEqual(ports);
  expect(rememberedPorts(dataDir)).toEqual(ports);
  expect(await choosePorts(dataDir)).toEqual(ports);
  const api = await anyFreePort();
  expect(await choosePorts(dataDir, { api })).toEqual({ ...ports, api });
  writeFileSync(join(dataDir, 'ports.json'), '{"api": "no number", "nonsense": 1');
  expect(rememberedPorts(dataDir)).toEqual({});
});

test('a port that is taken, or given twice, is a sentence with the setting that moves it', async () => {
  const dataDir = temporaryFolder();
  const ports = await freePorts();
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  await expect(choosePorts(dataDir, { ...ports, xero: port })).rejects.toThrow(
    `Port ${port}, wanted for the Xero sandbox, is used by another program. Stop it, or set ${portTable.xero.setting} to a free port.`,
  );
  await expect(choosePorts(dataDir, { ...ports, xero: ports.api })).rejects.toThrow(
    `Port ${ports.api}, wanted for the Xero sandbox, is used by the HTTP API.`,
  );
  expect(rememberedPorts(dataDir)).toEqual({});
  expect(await choosePorts(dataDir, { ...ports, xero: port }, ['xero'])).toEqual({ ...ports, xero: port });
});

/** A zip file with one entry behind another, as APPNOTE 6.3 lays it out. */
function zip(entries: { name: string; text: string; deflate: boolean }[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, text, deflate } of entries) {
    const raw = Buffer.from(text);
    const data = deflate ? deflateRawSync(raw) : raw;
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(deflate ? 8 : 0, 8);
    header.writeUInt16LE(name.length, 26);
    header.writeUInt16LE(5, 28);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(deflate ? 8 : 0, 10);
    central.writeUInt32LE(data.length, 20);
    central.writeUInt32LE(raw.length, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(at, 42);
    directory.push(central, Buffer.from(name));
    const local = Buffer.concat([header, Buffer.from(name), Buffer.from('extra'), data]);
    parts.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, central, end]);
}

test('one entry comes out of a zip file, stored or deflated; what is no zip is refused', async () => {
  const folder = temporaryFolder();
  const archive = join(folder, 'a.whl');
  const long = 'many words '.repeat(10_000);
  const entries = [
    { name: 'a/first', text: 'stored', deflate: false },
    { name: 'a/second', text: long, deflate: true },
  ];
  writeFileSync(archive, zip(entries));
  for (const { name, text } of entries) {
    await unzipEntry(archive, name, join(folder, 'out'));
    expect(readFileSync(join(folder, 'out'), 'utf8')).toBe(text);
  }
  await expect(unzipEntry(archive, 'a/third', join(folder, 'out'))).rejects.toThrow('has no entry a/third');
  writeFileSync(archive, 'an error page');
  await expect(unzipEntry(archive, 'a/first', join(folder, 'out'))).rejects.toThrow('is not a zip file');
});

const bin = new URL('../../bin/', import.meta.url).pathname;
/** Makes this Node call itself 20, as an old one would. */
const asOld = [
  '--import',
  'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.1.0",configurable:true})',
];

test('an old Node without ours is told so in one sentence', () => {
  const old = spawnSync(process.execPath, [...asOld, `${bin}check-node.js`], { encoding: 'utf8' });
  expect(old.status).toBe(1);
  expect(old.stderr).toMatch(/^Plumbline needs Node 24, and this is Node 20\.1\.0\..*npm ci.*\n$/);
  expect(spawnSync(process.execPath, [`${bin}check-node.js`]).status).toBe(0);
});

/** A project folder with the `plumbline` command and a `cli/main.ts` of the test's own. */
function project(main: string, withNode: boolean): string {
  const root = temporaryFolder();
  for (const folder of ['bin', 'cli', 'node_modules/.bin']) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
  copyFileSync(`${bin}plumbline.js`, join(root, 'bin', 'plumbline.js'));
  writeFileSync(join(root, 'cli', 'main.ts'), main);
  if (withNode) symlinkSync(process.execPath, join(root, 'node_modules', '.bin', 'node'));
  return join(root, 'bin', 'plumbline.js');
}

test('the command runs on a Node that is new enough, and by our own where it is not', () => {
  const main = 'const words: string[] = process.argv.slice(2); console.log(words.join("+")); process.exitCode = 5;';
  const command = project(main, true);
  for (const flags of [[], asOld]) {
    const result = spawnSync(process.execPath, [...flags, command, 'contact', 'find'], { encoding: 'utf8' });
    expect(result).toMatchObject({ status: 5, stdout: 'contact+find\n', stderr: '' });
  }
  const missing = spawnSync(process.execPath, [...asOld, project(main, false)], { encoding: 'utf8' });
  expect(missing.status).toBe(1);
  expect(missing.stderr).toMatch(
    /^Plumbline needs Node 24, and this is Node 20\.1\.0\..* is missing: run "npm ci".*\n$/,
  );
});

test('the command leaves Ctrl-C to the program it started, and passes SIGTERM on', async () => {
  const main = `process.on('SIGTERM', () => { console.log('asked to end'); process.exit(9); });
    setInterval(() => {}, 1000); console.log('up');`;
  const started = spawn(process.execPath, [...asOld, project(main, true)], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void started.kill('SIGKILL'));
  let output = '';
  started.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => started.once('exit', resolve));
  await expect.poll(() => output, { timeout: 10_000 }).toBe('up\n');
  started.kill('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(started.exitCode).toBeNull();
  started.kill('SIGTERM');
  expect(await exited).toBe(9);
  expect(output).toBe('up\nasked to end\n');
});
