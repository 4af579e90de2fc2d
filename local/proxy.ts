/**
 * A TCP proxy that spoils what passes through it: put it before a sandbox, PostgreSQL or Temporal, and set a fault. It
 * knows nothing of what is spoken, so it does to every protocol what a bad network does.
 */
import { EventEmitter } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { anyFreePort } from './tcp.ts';

/**
 * What goes wrong, on open connections as well as new ones, until it is set otherwise. Bytes of replies are counted for
 * each connection from the moment the fault is set.
 */
export type Fault =
  /** Every byte arrives that much later; bandwidth and order are kept. */
  | { kind: 'latency'; ms: number; direction?: Direction }
  /** Nobody listens any more (ECONNREFUSED); open connections stay. */
  | { kind: 'refuse' }
  /** Connections are made, and then nothing passes either way. What was held passes when the fault ends. */
  | { kind: 'blackHole' }
  /** Requests pass; replies stop after so many bytes. What was held passes when the fault ends. */
  | { kind: 'holdReply'; afterBytes: number }
  /** Requests pass; replies are thrown away. */
  | { kind: 'dropReply' }
  /** Requests pass; after so many bytes of reply both sides are reset (ECONNRESET). */
  | { kind: 'cutReply'; afterBytes: number };

/** From the client to the server, or back. */
export type Direction = 'request' | 'reply';

/** A running proxy. */
export interface FaultProxy {
  /** Where clients connect, on 127.0.0.1. */
  readonly port: number;
  /** Sets what goes wrong, or undefined for nothing. Resolves when it is in force. */
  setFault(fault: Fault | undefined): Promise<void>;
  /** Resets all open connections now and returns how many there were. */
  cut(): number;
  /** How many connections or chunks a fault of this kind has touched, so a test can tell that it happened at all. */
  fired(kind: Fault['kind'] | 'cut'): number;
  /** Connections open now. */
  connections(): number;
  stop(): Promise<void>;
}

interface Link {
  client: Socket;
  server: Socket;
  /** Bytes of reply passed on since the fault was set. */
  replyBytes: number;
}

/** What waits to be passed on; no bytes mean the end of the stream. */
interface Item {
  bytes: Buffer | undefined;
  arrivedAtMs: number;
}

/** Starts a proxy before 127.0.0.1:`targetPort`, on a port of its own. */
export async function startProxy(targetPort: number): Promise<FaultProxy> {
  const links = new Set<Link>();
  const counts = new Map<string, number>();
  const changes = new EventEmitter().setMaxListeners(0);
  let fault: Fault | undefined;
  let listener: Server | undefined;

  const fire = (kind: string) => counts.set(kind, (counts.get(kind) ?? 0) + 1);

  function reset(link: Link): void {
    if (!links.delete(link)) return;
    link.client.resetAndDestroy();
    link.server.resetAndDestroy();
    changes.emit('change');
  }

  function accept(client: Socket): void {
    const server = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true });
    const link = { client, server, replyBytes: 0 };
    links.add(link);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      // A side that breaks takes the other with it, as without a proxy.
      socket.on('error', () => reset(link));
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) links.delete(link);
      });
    }
    void pump(link, 'request');
    void pump(link, 'reply');
  }

  /** Passes on one direction of a connection, in order, as the fault of the moment allows. */
  async function pump(link: Link, direction: Direction): Promise<void> {
    const from = direction === 'request' ? link.client : link.server;
    const queue: Item[] = [];
    const arrived = new EventEmitter();
    const push = (bytes: Buffer | undefined) => {
      queue.push({ bytes, arrivedAtMs: performance.now() });
      arrived.emit('item');
    };
    from.on('data', push);
    from.on('end', () => push(undefined));
    from.on('close', () => arrived.emit('item'));
    for (;;) {
      const item = queue[0];
      if (item === undefined) {
        if (from.destroyed || !links.has(link)) return;
        await happens(arrived, 'item');
        continue;
      }
      if (!(await mayPass(link, direction, item))) return;
      queue.shift();
    }
  }

  /** Passes the item on, perhaps later or in part or not at all; false when the connection is gone. */
  async function mayPass(link: Link, direction: Direction, item: Item): Promise<boolean> {
    const to = direction === 'request' ? link.server : link.client;
    let fired: Fault | undefined;
    while (links.has(link)) {
      const now = fault;
      if (now !== undefined && now !== fired && touches(now, direction, link, item)) {
        fire(now.kind);
        fired = now;
      }
      const verdict = judge(now, direction, link, item);
      switch (verdict.kind) {
        case 'wait':
          await happens(changes, 'change', verdict.ms);
          continue;
        case 'drop':
          return true;
        case 'cut':
          if (item.bytes !== undefined) to.write(item.bytes.subarray(0, verdict.passBytes));
          // Let what is to arrive leave first: a reset throws away what the other side has not read.
          await happens(changes, 'change', 20);
          reset(link);
          return false;
        case 'pass': {
          if (item.bytes === undefined) to.end();
          else if (verdict.bytes < item.bytes.length) {
            to.write(item.bytes.subarray(0, verdict.bytes));
            link.replyBytes += verdict.bytes;
            item.bytes = item.bytes.subarray(verdict.bytes);
            continue;
          } else {
            to.write(item.bytes);
            if (direction === 'reply') link.replyBytes += item.bytes.length;
          }
          return true;
        }
      }
    }
    return false;
  }

  async function listen(port: number): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, accept);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return server;
  }

  // One that is free again after a refusal, during which nobody listens.
  listener = await listen(await anyFreePort());
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const { port } = address;

  return {
    port,
    setFault: async (next) => {
      fault = next;
      for (const link of links) link.replyBytes = 0;
      if (next?.kind === 'refuse') {
        fire('refuse');
        listener?.close();
        listener = undefined;
      } else {
        listener ??= await listen(port);
      }
      changes.emit('change');
    },
    cut: () => {
      const open = [...links];
      for (const link of open) {
        fire('cut');
        reset(link);
      }
      return open.length;
    },
    fired: (kind) => counts.get(kind) ?? 0,
    connections: () => links.size,
    stop: async () => {
      for (const link of links) reset(link);
      const closing = listener;
      if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
    },
  };
}

type Verdict =
  | { kind: 'pass'; bytes: number }
  | { kind: 'wait'; ms?: number }
  | { kind: 'drop' }
  | { kind: 'cut'; passBytes: number };

/** What a fault does to an item now. */
function judge(fault: Fault | undefined, direction: Direction, link: Link, item: Item): Verdict {
  const length = item.bytes?.length ?? 0;
  const whole: Verdict = { kind: 'pass', bytes: length };
  if (fault === undefined) return whole;
  switch (fault.kind) {
    case 'refuse':
      return whole;
    case 'latency': {
      if (fault.direction !== undefined && fault.direction !== direction) return whole;
      const restMs = item.arrivedAtMs + fault.ms - performance.now();
      return restMs > 0 ? { kind: 'wait', ms: restMs } : whole;
    }
    case 'blackHole':
      return { kind: 'wait' };
    case 'dropReply':
      return direction === 'reply' && item.bytes !== undefined ? { kind: 'drop' } : whole;
    case 'holdReply': {
      if (direction === 'request') return whole;
      const left = fault.afterBytes - link.replyBytes;
      return left > 0 ? { kind: 'pass', bytes: Math.min(left, length) } : { kind: 'wait' };
    }
    case 'cutReply': {
      if (direction === 'request') return whole;
      const left = fault.afterBytes - link.replyBytes;
      return left >= length && length > 0 ? whole : { kind: 'cut', passBytes: Math.max(0, left) };
    }
  }
}

/** Whether a fault makes a difference to this item, for counting. */
function touches(fault: Fault, direction: Direction, link: Link, item: Item): boolean {
  const verdict = judge(fault, direction, link, item);
  return verdict.kind !== 'pass' || verdict.bytes < (item.bytes?.length ?? 0);
}

/** Resolves at the next such event, or after the time. */
async function happens(emitter: EventEmitter, event: string, withinMs?: number): Promise<void> {
  await new Promise<void>((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const done = () => {
      clearTimeout(timer);
      emitter.off(event, done);
      resolve();
    };
    emitter.on(event, done);
    if (withinMs !== undefined) timer = setTimeout(done, withinMs);
  });
}
