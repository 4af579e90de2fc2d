/** One command of the CLI as a process of its own, watched while it runs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { peakOf, ROOT } from '../../local/program.ts';
import { WORKER_ENV, WORKER_FLAGS } from '../../local/worker-flags.ts';
import { cpuSeconds } from './cpu.ts';

/** How often the process is looked at. */
const LOOK_MS = 500;

export interface CliRun {
  stdout: string;
  /** Peak resident set in MB, as last seen; null where the system does not say. */
  peakMb: number | null;
  /** Seconds of processor time, as last seen. */
  cpuSeconds: number;
  /** Wall clock, start of the process included. */
  seconds: number;
}

/**
 * Runs `plumbline <args>` to its end, with the flags by which the image starts every command. `watching` is told now and then.
 * @throws Error with its stderr when it fails
 */
export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  watching: () => void = () => undefined,
): Promise<CliRun> {
  const started = performance.now();
  const child = spawn(process.execPath, [...WORKER_FLAGS, 'cli/main.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env, ...WORKER_ENV },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let peakMb: number | null = null;
  let cpu = 0;
  let looks = 0;
  const look = setInterval(() => {
    peakMb = peakOf(child.pid ?? 0) ?? peakMb;
    cpu = cpuSeconds(child.pid ?? 0) || cpu;
    looks += 1;
    if (looks % 20 === 0) watching();
  }, LOOK_MS);
  try {
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    if (child.exitCode !== 0)
      throw new Error(`plumbline ${args[0]} ended with ${child.exitCode}: ${stderr.slice(-1000)}`);
    return { stdout, peakMb, cpuSeconds: cpu, seconds: (performance.now() - started) / 1000 };
  } finally {
    clearInterval(look);
  }
}
