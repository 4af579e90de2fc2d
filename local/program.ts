/** Programs of ours as processes of their own, for measurements and fault campaigns: to be watched, and to be killed. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '..');

export interface Program {
  pid: number;
  /** The line that said it is ready. */
  ready: string;
  /** What it wrote on stdout until then. */
  said(): string;
  /** The most memory it has had resident so far, in MB (Linux); null where the system does not say. */
  peakMb(): number | null;
  kill9(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a program of ours and waits for a line that matches `ready`. Its output goes to `log`. */
export async function startProgram(options: {
  args: readonly string[];
  env?: Record<string, string>;
  nodeArgs?: readonly string[];
  ready: RegExp;
  log: string;
}): Promise<Program> {
  const child = spawn(process.execPath, [...(options.nodeArgs ?? []), ...options.args], {
    cwd: ROOT,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = createWriteStream(options.log, { flags: 'a' });
  child.stderr.pipe(log, { end: false });
  const exited = once(child, 'exit');
  let text = '';
  const ready = await new Promise<string>((found, failed) => {
    let isReady = false;
    child.stdout.on('data', (chunk: Buffer) => {
      log.write(chunk);
      if (isReady) return;
      text += chunk.toString('utf8');
      const line = text.split('\n').find((one) => options.ready.test(one));
      if (line === undefined) return;
      isReady = true;
      found(line);
    });
    void exited.then(() =>
      failed(new Error(`it ended while starting: ${readFileSync(options.log, 'utf8').slice(-2000)}`)),
    );
  });
  const pid = child.pid ?? 0;
  return {
    pid,
    ready,
    said: () => text,
    peakMb: () => peakOf(pid),
    kill9: () => end(child, exited, 'SIGKILL'),
    stop: () => end(child, exited, 'SIGTERM'),
  };
}

/** `VmHWM` of proc(5): the peak resident set. */
export function peakOf(pid: number): number | null {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return found === null ? null : Math.round(Number(found[1]) / 1024);
  } catch {
    return null;
  }
}

async function end(child: ChildProcess, exited: Promise<unknown>, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await exited;
}
