/** Looking at TCP ports of this machine. */
import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';

/** True when 127.0.0.1:port can be listened on now. */
export async function portIsFree(port: number): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Below the ports that Linux (32768 on) and macOS (49152 on) give to outgoing connections and to whoever asks for any port. */
const FIRST = 20_000;
const COUNT = 12_000;

/**
 * A port that was free a moment ago. Nobody is given it by chance, so a server that is killed finds it free again; somebody else may still
 * choose it.
 */
export async function anyFreePort(): Promise<number> {
  for (;;) {
    const port = FIRST + randomInt(COUNT);
    if (await portIsFree(port)) return port;
  }
}

/** True when something accepts a connection on 127.0.0.1:port within the time. */
export async function accepts(port: number, withinMs = 1_000): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(withinMs, () => end(false));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
