/** Ctrl-C at a measurement: every server that it started is ended. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..', '..');

/** Processes that a process started, and those that these started. */
function below(pid: number): number[] {
  const all = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const mine = all.filter(([, parent]) => parent === pid).map(([child]) => child!);
  return [...mine, ...mine.flatMap(below)];
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('servers, worker and sandboxes are gone when it has ended, and it says that it was interrupted', async () => {
  const args = ['bench/main.ts', '--only', 'bulk', '--contacts', '5000'];
  const bench = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] });
  bench.stderr.setEncoding('utf8');
  const atWork = Promise.withResolvers<void>();
  let said = '';
  bench.stderr.on('data', (text: string) => {
    said += text;
    if (said.includes('deliveries to go')) atWork.resolve();
  });
  const exited = once(bench, 'exit') as Promise<[number | null]>;
  await Promise.race([atWork.promise, exited]);
  const started = below(bench.pid!);
  // PostgreSQL, Temporal, three sandboxes, a worker.
  expect(started.length).toBeGreaterThanOrEqual(6);
  bench.kill('SIGINT');
  const [code] = await exited;
  expect(said).toContain('Stopping everything in order');
  expect(code).toBe(130);
  expect(started.filter(lives)).toEqual([]);
}, 120_000);
