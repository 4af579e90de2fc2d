/** Opens the parts that a command needs and closes them again, whatever happens. */
import { userInfo } from 'node:os';
import type { App } from '../app.ts';
import { CommandProblem, EXIT } from './exit-codes.ts';

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

const ANSWER_WITHIN_MS = 8_000;

/** What is asked of Temporal, answered soon or not at all: its client would try for a minute. */
export async function asked<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new CommandProblem(
            'Temporal does not answer. What is in the database stands; try again when it is back.',
            EXIT.unavailable,
          ),
        ),
      ANSWER_WITHIN_MS,
    );
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
