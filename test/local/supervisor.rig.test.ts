import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startChild } from '../../local/child.ts';
import type { ChildOptions } from '../../local/child.ts';
import { lockDataDir } from '../../local/lock.ts';
import { recordedProcess } from '../../local/pid-files.ts';
import { startPostgres } from '../../local/postgres.ts';
import { startMark, stopProcess } from '../../local/processes.ts';
import type { RunningPart } from '../../local/processes.ts';
import { supervise } from '../../local/supervisor.ts';
import type { Supervisor } from '../../local/supervisor.ts';
import { anyFreePort, portIsFree } from '../../local/tcp.ts';
import { listen, temporaryFolder } from './folder.ts';

const runs = "console.log('ready'); setInterval(() => {}, 1000);";
/** Notes its end in a file when asked to end. */
const notes = (file: string, name: string) =>
  `process.on('SIGTERM', () => { require('fs').appendFileSync(${JSON.stringify(file)}, '${name} '); process.exit(0); }); ${runs}`;
const stubborn = `process.on('SIGTERM', () => {}); ${runs}`;

async function child(
  dataDir: string,
  name: string,
  code = runs,
  more: Partial<ChildOptions> = {},
): Promise<RunningPart> {
  const part = await startChild({ name, dataDir, args: ['-e', code], ready: { line: /^ready$/m }, ...more });
  onTestFinished(() => part.stopNow());
  return part;
}

async function superviseHere(dataDir: string, say = listen().say): Promise<Supervisor> {
  const supervisor = await supervise({ dataDir, say, restartAfterMs: 50 });
  onTestFinished(() => supervisor.stopNow());
  return supervisor;
}

test('parts stop in the reverse of their start, and the folder is free afterwards', async () => {
  const dataDir = temporaryFolder();
  const file = join(dataDir, 'order');
  const supervisor = await superviseHere(dataDir);
  for (const name of ['sandbox', 'api', 'worker']) {
    await supervisor.run(name, () => child(dataDir, name, notes(file, name)));
  }
  await Promise.all([supervisor.stop(), supervisor.stop()]);
  await supervisor.stopped;
  expect(readFileSync(file, 'utf8')).toBe('worker api sandbox ');
  await superviseHere(dataDir);
});

test('a part that dies is started again, with a line and a wait that doubles', async () => {
  const dataDir = temporaryFolder();
  const { say, said } = listen();
  const supervisor = await superviseHere(dataDir, say);
  const pids: number[] = [];
  const first = await supervisor.run('worker', async () => {
    const part = await child(dataDir, 'worker');
    pids.push(part.pid);
    return part;
  });
  process.kill(first.pid, 'SIGKILL');
  await expect.poll(() => pids.length, { timeout: 10_000 }).toBe(2);
  expect(said).toContain('worker ended by SIGKILL; starting it again in 0.05 s.');
  await expect.poll(() => said.includes('worker runs again.')).toBe(true);
  process.kill(pids[1] as number, 'SIGKILL');
  await expect.poll(() => said).toContain('worker ended by SIGKILL; starting it again in 0.1 s.');
  await expect.poll(() => pids.length, { timeout: 10_000 }).toBe(3);
  await supervisor.stop();
  for (const pid of pids) expect(startMark(pid)).toBeUndefined();
});

test('a restart that fails is tried again, and stopping ends the trying', async () => {
  const dataDir = temporaryFolder();
  const { say, said } = listen();
  const supervisor = await superviseHere(dataDir, say);
  let starts = 0;
  const part = await supervisor.run('api', async () => {
    starts += 1;
    return await child(dataDir, 'api', starts === 1 ? runs : 'process.exit(7)');
  });
  process.kill(part.pid, 'SIGKILL');
  await expect.poll(() => starts, { timeout: 10_000 }).toBeGreaterThanOrEqual(3);
  expect(said.join('\n')).toMatch(/api ended while starting, with exit code 7.*Trying again in 0\.1 s\./s);
  await supervisor.stop();
  const atStop = starts;
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(starts).toBe(atStop);
});

test('what is starting while the rig stops does not stay, and nothing starts later', async () => {
  const dataDir = temporaryFolder();
  const supervisor = await superviseHere(dataDir);
  const silent = "setInterval(() => {}, 1000); console.log('still coming up');";
  const coming = supervisor.run('worker', (stopping) => child(dataDir, 'worker', silent, { stopping }));
  const refused = expect(coming).rejects.toThrow('Plumbline is stopping');
  const pidFile = join(dataDir, 'run', 'worker.pid');
  await expect.poll(() => recordedProcess(pidFile)).toBeDefined();
  await supervisor.stop();
  await refused;
  expect(recordedProcess(pidFile)).toBeUndefined();
  await expect(supervisor.run('late', () => child(dataDir, 'late'))).rejects.toThrow('was not started');
});

test('stopping at once does not wait for the grace of a part that does not listen', async () => {
  const dataDir = temporaryFolder();
  const supervisor = await superviseHere(dataDir);
  await supervisor.run('worker', () => child(dataDir, 'worker', stubborn, { graceMs: 60_000 }));
  const startedAt = Date.now();
  const orderly = supervisor.stop();
  await supervisor.stopNow();
  await orderly;
  expect(Date.now() - startedAt).toBeLessThan(10_000);
});

test('a part that does not listen is killed when its grace is over', async () => {
  const dataDir = temporaryFolder();
  const part = await child(dataDir, 'worker', stubborn, { graceMs: 200 });
  await part.stop();
  expect(await part.exited).toEqual({ code: null, signal: 'SIGKILL' });
});

test('a second start in one folder is a sentence; the lock of a process that is gone is taken over', async () => {
  const dataDir = temporaryFolder();
  const release = lockDataDir(dataDir);
  expect(() => lockDataDir(dataDir)).toThrow(`Plumbline is already running in ${dataDir} (process ${process.pid})`);
  release();
  writeFileSync(join(dataDir, 'lock'), JSON.stringify({ pid: process.pid, startMark: 'of an earlier life' }));
  lockDataDir(dataDir)();
  writeFileSync(join(dataDir, 'lock'), 'torn');
  lockDataDir(dataDir)();
});

test('children that a killed start left running are stopped, a stranger with such a pid is not', async () => {
  const dataDir = temporaryFolder();
  const worker = await child(dataDir, 'worker');
  const stranger = await child(temporaryFolder(), 'stranger');
  const file = join(dataDir, 'run', 'api.pid');
  writeFileSync(file, JSON.stringify({ pid: stranger.pid, startMark: 'of an earlier life' }));
  const { say, said } = listen();
  await superviseHere(dataDir, say);
  expect((await worker.exited).signal).toBe('SIGTERM');
  expect(said).toContain('Stopped what an earlier start had left running: worker.');
  expect(startMark(stranger.pid)).toBeDefined();
});

test('a PostgreSQL that a killed start left running gives its port back before ports are looked at', async () => {
  const dataDir = temporaryFolder();
  const port = await anyFreePort();
  const postgres = await startPostgres({ dataDir: join(dataDir, 'postgres'), port, say: () => {} });
  onTestFinished(() => postgres.stopNow());
  expect(await portIsFree(port)).toBe(false);
  const { say, said } = listen();
  await superviseHere(dataDir, say);
  expect(await portIsFree(port)).toBe(true);
  expect(said).toEqual(['Stopped what an earlier start had left running: PostgreSQL.']);
});

test('a child is ready when its URL answers, and one that ends is a sentence with its last lines', async () => {
  const server = createServer((_request, response) => response.end('ok'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`;
  const dataDir = temporaryFolder();
  const part = await child(dataDir, 'api', 'setInterval(() => {}, 1000)', { ready: { url } });
  expect(startMark(part.pid)).toBeDefined();
  await expect(child(dataDir, 'worker', "console.log('no key'); process.exit(3)")).rejects.toThrow(
    /worker ended while starting, with exit code 3\. Its last lines were:\nno key\nThe whole log is .*worker\.log/,
  );
  const slow = { readyWithinMs: 200 };
  await expect(child(dataDir, 'worker', 'setInterval(() => {}, 1000)', slow)).rejects.toThrow('was not ready within');
});

/** A rig in a process of its own, as `npm start` is one. */
function rig(dataDir: string, code: string) {
  const local = new URL('../../local/', import.meta.url).href;
  const script = `
    const { supervise, stopOnSignals } = await import('${local}supervisor.ts');
    const { startChild } = await import('${local}child.ts');
    const say = (line) => console.log(line);
    const supervisor = await supervise({ dataDir: ${JSON.stringify(dataDir)}, say });
    stopOnSignals(supervisor, say);
    await supervisor.run('worker', () => startChild({ name: 'worker', dataDir: ${JSON.stringify(dataDir)},
      args: ['-e', ${JSON.stringify(code)}], ready: { line: /ready/ }, graceMs: 60000 }));
    console.log('rig up');
    await supervisor.stopped;
    process.exit(0);`;
  const process_ = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  process_.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => process_.once('exit', (code_) => resolve(code_)));
  onTestFinished(() => void process_.kill('SIGKILL'));
  return { process: process_, output: () => output, exited };
}

test('one Ctrl-C, heard twice under npm, stops in order', async () => {
  const dataDir = temporaryFolder();
  const file = join(dataDir, 'order');
  const { process: started, output, exited } = rig(dataDir, notes(file, 'worker'));
  await expect.poll(output, { timeout: 20_000 }).toContain('rig up');
  started.kill('SIGINT');
  started.kill('SIGINT');
  expect(await exited).toBe(0);
  expect(readFileSync(file, 'utf8')).toBe('worker ');
  expect(output()).not.toContain('at once.');
});

test('a second Ctrl-C a moment later stops at once', async () => {
  const dataDir = temporaryFolder();
  const { process: started, output, exited } = rig(dataDir, stubborn);
  await expect.poll(output, { timeout: 20_000 }).toContain('rig up');
  started.kill('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 900));
  started.kill('SIGINT');
  expect(await exited).toBe(0);
  expect(output()).toContain('Stopping at once.');
  expect(recordedProcess(join(dataDir, 'run', 'worker.pid'))).toBeUndefined();
});

test('after kill -9 of the rig its child lives, and the next start stops it and takes the folder', async () => {
  const dataDir = temporaryFolder();
  const { process: started, output, exited } = rig(dataDir, runs);
  await expect.poll(output, { timeout: 20_000 }).toContain('rig up');
  started.kill('SIGKILL');
  await exited;
  const left = recordedProcess(join(dataDir, 'run', 'worker.pid'));
  if (left === undefined) throw new Error('the child has died with its rig');
  onTestFinished(() => stopProcess(left.pid, left.startMark, []));
  const { say, said } = listen();
  await superviseHere(dataDir, say);
  expect(said).toContain('Stopped what an earlier start had left running: worker.');
  expect(startMark(left.pid)).toBeUndefined();
});
