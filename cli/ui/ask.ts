/** What a person types: never on the command line, where other users of the machine and the shell's history see it. */
import { createInterface } from 'node:readline/promises';

/** One line from the terminal, or the first line of standard input where that is no terminal. */
export async function askLine(question: string): Promise<string> {
  const terminal = process.stdin.isTTY;
  const lines = createInterface({ input: process.stdin, ...(terminal ? { output: process.stderr } : {}) });
  try {
    if (terminal) return (await lines.question(question)).trim();
    for await (const line of lines) return line.trim();
    return '';
  } finally {
    lines.close();
  }
}
