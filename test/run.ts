/**
 * What `npm test` runs: types, lint and format, each counted as one check, then every test. Arguments are passed to vitest
 * as file filters. The last line on stdout is `N passed, N failed`; the exit code is 0 only when something passed and
 * nothing failed, went unhandled or was left undone.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startVitest } from 'vitest/node';
import type { TestModule } from 'vitest/node';
import { acceptedAdvisories, auditReport, judge } from './rig/advisories.ts';
import { summarise } from './rig/summary.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const checks = [
  { name: 'types', tool: 'tsc', args: ['-p', 'tsconfig.json'] },
  { name: 'lint', tool: 'oxlint', args: ['--deny-warnings'] },
  { name: 'format', tool: 'oxfmt', args: ['--check', '.'] },
] as const;

/** Runs a tool of node_modules and shows what it says when it fails. */
async function passes({ name, tool, args }: (typeof checks)[number]): Promise<boolean> {
  const startedAt = Date.now();
  const { code, output } = await new Promise<{ code: number | null; output: string }>((resolve) => {
    const child = spawn(`${root}node_modules/.bin/${tool}`, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.once('error', (error) => resolve({ code: null, output: error.message }));
    child.once('close', (exit) => resolve({ code: exit, output: text }));
  });
  const seconds = ((Date.now() - startedAt) / 1_000).toFixed(1);
  process.stdout.write(`${code === 0 ? '✓' : '✗'} ${name} (${seconds} s)\n${code === 0 ? '' : output}`);
  return code === 0;
}

const results: boolean[] = [];
for (const check of checks) results.push(await passes(check));

const advice = judge(await auditReport(root), acceptedAdvisories(root), new Date().toISOString().slice(0, 10));
if (advice.kind === 'unchecked')
  process.stdout.write(`- advisories: not checked, the registry does not tell (${advice.why})\n`);
else {
  for (const fault of advice.faults) process.stdout.write(`${fault}\n`);
  process.stdout.write(`${advice.faults.length === 0 ? '✓' : '✗'} advisories\n`);
  results.push(advice.faults.length === 0);
}

let modules: readonly TestModule[] = [];
let unhandled = 0;
try {
  const vitest = await startVitest(process.argv.slice(2), {
    root,
    run: true,
    watch: false,
    reporters: [
      'default',
      {
        onTestRunEnd(ran, errors) {
          modules = ran;
          unhandled = errors.length;
        },
      },
    ],
  });
  await vitest.close();
} catch (error) {
  process.stdout.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  unhandled += 1;
}

const { passed, failed, notes } = summarise(results, modules, unhandled);
for (const note of notes) process.stdout.write(`${note}\n`);
const ok = failed === 0 && passed > 0;
// The exit code alone would wait for whatever a test left open, and `process.exit` alone could cut the last line off.
process.stdout.write(`${passed} passed, ${failed} failed\n`, () => process.exit(ok ? 0 : 1));
