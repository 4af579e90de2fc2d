/** A headless Chromium, driven by the DevTools protocol (chromedevtools.github.io/devtools-protocol): opens pages and takes pictures of them. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const PATIENCE_MS = 30_000;
/** Fonts, icons and frames come a moment after the text. */
const SETTLE_MS = 2_500;

export interface Browser {
  /** From now on pages run this script before their own, and every request carries these headers. */
  prepare(script: string, headers: Record<string, string>): Promise<void>;
  /** Opens the address, waits until the page shows all of the texts, and gives a PNG of that size in pixels. */
  picture(url: string, texts: readonly string[], size: { width: number; height: number }): Promise<Buffer>;
  close(): Promise<void>;
}

/** Starts the Chromium of `CHROMIUM` or of a usual place. */
export async function openBrowser(
  program = process.env['CHROMIUM'] ?? PLACES.find((p) => existsSync(p)),
): Promise<Browser> {
  if (program === undefined) throw new Error('No Chromium found: install one, or name it in CHROMIUM.');
  const profile = mkdtempSync(join(tmpdir(), 'plumbline-chromium-'));
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const flags = ['--headless=new', '--hide-scrollbars', '--remote-debugging-port=0', `--user-data-dir=${profile}`];
  const child = spawn(program, [...flags, ...root, 'about:blank'], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  const port = await eventually(
    'Chromium listens',
    () => readFileSync(join(profile, 'DevToolsActivePort'), 'utf8').split('\n')[0],
  );
  const page = await eventually('a page is there', async () => {
    const list = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as Target[];
    return list.find((target) => target.type === 'page');
  });
  const session = await connect(page.webSocketDebuggerUrl);
  await session.send('Page.enable', {});
  return {
    async prepare(source, headers) {
      await session.send('Page.addScriptToEvaluateOnNewDocument', { source });
      await session.send('Network.enable', {});
      await session.send('Network.setExtraHTTPHeaders', { headers });
    },
    async picture(url, texts, { width, height }) {
      await session.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
      await session.send('Page.navigate', { url });
      const expression = `${JSON.stringify(texts)}.every((t) => document.body?.innerText.replaceAll('\\n', ' ').includes(t))`;
      await eventually(`${url} shows ${texts.join(', ')}`, async () => {
        const { result } = await session.send('Runtime.evaluate', { expression });
        return (result as { value?: boolean } | undefined)?.value === true;
      });
      await sleep(SETTLE_MS);
      const { data } = await session.send('Page.captureScreenshot', { format: 'png' });
      return Buffer.from(String(data), 'base64');
    },
    async close() {
      session.close();
      child.kill('SIGTERM');
      await exited;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

interface Target {
  type: string;
  webSocketDebuggerUrl: string;
}

interface Session {
  send(method: string, params: Record<string, unknown>): Promise<Record<string, unknown>>;
  close(): void;
}

async function connect(url: string): Promise<Session> {
  const socket = new WebSocket(url);
  await once(socket, 'open');
  let last = 0;
  const waiting = new Map<number, { done(result: Record<string, unknown>): void; failed(error: Error): void }>();
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as {
      id?: number;
      result?: Record<string, unknown>;
      error?: { message: string };
    };
    const asked = waiting.get(answer.id ?? 0);
    waiting.delete(answer.id ?? 0);
    if (answer.error === undefined) asked?.done(answer.result ?? {});
    else asked?.failed(new Error(answer.error.message));
  });
  return {
    send: (method, params) =>
      new Promise((done, failed) => {
        last += 1;
        waiting.set(last, { done, failed });
        socket.send(JSON.stringify({ id: last, method, params }));
      }),
    close: () => socket.close(),
  };
}

async function eventually<T>(what: string, ask: () => T | Promise<T>): Promise<NonNullable<T>> {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await Promise.resolve()
      .then(ask)
      .catch(() => undefined);
    if (found !== undefined && found !== null && found !== false && found !== '') return found;
    if (Date.now() > until) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
    await sleep(100);
  }
}
