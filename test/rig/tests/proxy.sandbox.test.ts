import { createServer, connect } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startProxy } from '../../../local/proxy.ts';
import type { FaultProxy } from '../../../local/proxy.ts';

/** A server that remembers what it got and answers each chunk with `re:` before it. */
let server: Server;
let received: string;
let proxy: FaultProxy;
const clients: Socket[] = [];

beforeEach(async () => {
  received = '';
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString();
      socket.write(`re:${bytes.toString()}`);
    });
    socket.on('end', () => socket.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await startProxy((server.address() as AddressInfo).port);
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.stop();
  await new Promise((resolve) => server.close(resolve));
});

/** A connection through the proxy, with what it got and how it ended. */
async function open(): Promise<{ socket: Socket; got: () => string; error: () => string | undefined }> {
  const socket = connect({ host: '127.0.0.1', port: proxy.port });
  clients.push(socket);
  let text = '';
  let code: string | undefined;
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return { socket, got: () => text, error: () => code };
}

test('without a fault everything passes, and an end passes too', async () => {
  const { socket, got } = await open();
  socket.end('hello');
  await new Promise((resolve) => socket.once('close', resolve));
  expect(got()).toBe('re:hello');
  await expect.poll(() => proxy.connections()).toBe(0);
});

test('a large transfer passes whole and in order', async () => {
  const { socket, got } = await open();
  const text = Array.from({ length: 200_000 }, (_, index) => index).join(',');
  socket.end(text);
  await new Promise((resolve) => socket.once('close', resolve));
  expect(received).toBe(text);
  expect(got().replaceAll('re:', '')).toBe(text);
});

test('latency delays each way, or one way only', async () => {
  const { socket, got } = await open();
  await proxy.setFault({ kind: 'latency', ms: 150 });
  const startedAt = performance.now();
  socket.write('a');
  await expect.poll(got, { interval: 5 }).toBe('re:a');
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(295);
  expect(proxy.fired('latency')).toBe(2);

  await proxy.setFault({ kind: 'latency', ms: 150, direction: 'reply' });
  socket.write('b');
  await expect.poll(() => received, { interval: 5, timeout: 120 }).toBe('ab');
  expect(got()).toBe('re:a');
  await expect.poll(got).toBe('re:are:b');
});

test('latency is no narrow pipe: chunks sent together arrive together', async () => {
  const { socket, got } = await open();
  await proxy.setFault({ kind: 'latency', ms: 100, direction: 'request' });
  const startedAt = performance.now();
  for (let index = 0; index < 10; index += 1) {
    socket.write('x');
    await sleep(2);
  }
  await expect.poll(() => got().replaceAll('re:', ''), { interval: 5 }).toBe('x'.repeat(10));
  expect(performance.now() - startedAt).toBeLessThan(600);
});

test('refuse: new connections are refused, open ones go on, and it can be ended', async () => {
  const { socket, got } = await open();
  await proxy.setFault({ kind: 'refuse' });
  await expect(open()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  socket.write('a');
  await expect.poll(got).toBe('re:a');
  expect(proxy.fired('refuse')).toBe(1);
  await proxy.setFault(undefined);
  const again = await open();
  again.socket.write('b');
  await expect.poll(again.got).toBe('re:b');
});

test('black hole: a connection is made, nothing passes, and all of it passes afterwards', async () => {
  await proxy.setFault({ kind: 'blackHole' });
  const { socket, got } = await open();
  socket.write('a');
  await sleep(100);
  expect(received).toBe('');
  expect(proxy.fired('blackHole')).toBe(1);
  await proxy.setFault(undefined);
  await expect.poll(got).toBe('re:a');
});

test('hold reply: the server gets the request, the client so many bytes of the reply, and the rest afterwards', async () => {
  const { socket, got } = await open();
  socket.write('before');
  await expect.poll(got).toBe('re:before');
  await proxy.setFault({ kind: 'holdReply', afterBytes: 4 });
  socket.write('abc');
  await expect.poll(got).toBe('re:beforere:a');
  await sleep(60);
  expect(received).toBe('beforeabc');
  expect(got()).toBe('re:beforere:a');
  expect(proxy.fired('holdReply')).toBeGreaterThan(0);
  await proxy.setFault(undefined);
  await expect.poll(got).toBe('re:beforere:abc');
});

test('drop reply: the server gets the request, the client never the reply', async () => {
  const { socket, got } = await open();
  await proxy.setFault({ kind: 'dropReply' });
  socket.write('a');
  await expect.poll(() => proxy.fired('dropReply')).toBe(1);
  expect(received).toBe('a');
  await proxy.setFault(undefined);
  socket.write('b');
  await expect.poll(got).toBe('re:b');
});

test('cut reply: the server gets the request, the client some bytes and then a reset', async () => {
  const { socket, got, error } = await open();
  await proxy.setFault({ kind: 'cutReply', afterBytes: 3 });
  socket.write('abc');
  await expect.poll(error).toBe('ECONNRESET');
  expect(received).toBe('abc');
  expect(got()).toBe('re:');
  expect(proxy.fired('cutReply')).toBe(1);
});

test('cut reply after no byte at all resets before any answer', async () => {
  const { socket, got, error } = await open();
  await proxy.setFault({ kind: 'cutReply', afterBytes: 0 });
  socket.write('abc');
  await expect.poll(error).toBe('ECONNRESET');
  expect(received).toBe('abc');
  expect(got()).toBe('');
});

test('cut: open connections are reset now, new ones work', async () => {
  const first = await open();
  first.socket.write('a');
  await expect.poll(first.got).toBe('re:a');
  expect(proxy.cut()).toBe(1);
  await expect.poll(first.error).toBe('ECONNRESET');
  expect(proxy.fired('cut')).toBe(1);
  const second = await open();
  second.socket.write('b');
  await expect.poll(second.got).toBe('re:b');
});
