#!/usr/bin/env node
// The `plumbline` command. Plain JavaScript, because the Node that starts it may be too old for the rest: then the Node
// that Plumbline brings as a package runs it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const needed = 24;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entry = join(root, 'cli', 'main.ts');

if (Number(process.versions.node.split('.')[0]) >= needed) {
  process.argv[1] = entry;
  await import(entry);
} else {
  const own = join(root, 'node_modules', '.bin', 'node');
  if (existsSync(own)) run(own);
  else {
    process.stderr.write(
      `Plumbline needs Node ${needed}, and this is Node ${process.versions.node}. It brings its own as an optional package, but ${own} is missing: run "npm ci" without --omit=optional in ${root}, or install Node ${needed}.\n`,
    );
    process.exitCode = 1;
  }
}

/** @param {string} node */
function run(node) {
  const child = spawn(node, [entry, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends SIGINT to both of us; the child decides how to end, and we end with it.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`Plumbline could not start ${node}: ${error.message}. Run "npm ci" in ${root}.\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? code : 128 + constants.signals[signal];
  });
}
