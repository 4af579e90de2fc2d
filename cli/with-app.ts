/** Opens the parts that a command needs and closes them again, whatever happens. */
import { userInfo } from 'node:os';
import type { App } from '../app.ts';

export async function withApp<T>(fn: (app: App) => Promise<T>): Promise<T> {
  const { openApp } = await import('../app.ts');
  const app = await openApp('cli');
  try {
    return await fn(app);
  } finally {
    await app.close();
  }
}

/** Who acts: the account of the machine, never a person's address. */
export function actor(): string {
  return `cli:${userInfo().username}`;
}
