/** What comes in from outside: install scripts, advisories, the bill of materials. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { ROOT } from '../../local/program.ts';
import { judge } from '../rig/advisories.ts';

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  allowScripts: Record<string, boolean>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};
const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, { hasInstallScript?: boolean; integrity?: string; link?: boolean }>;
};

test('only packages that are named may run a script when they are installed', () => {
  const scripted = Object.entries(lock.packages)
    .filter(([, one]) => one.hasInstallScript === true)
    .map(([path]) => path.split('node_modules/').at(-1) ?? '');
  expect(scripted.length).toBeGreaterThan(0);
  for (const name of scripted) expect(Object.keys(manifest.allowScripts), name).toContain(name);
});

test('every version is pinned, and every package has its hash', () => {
  const wanted = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
  for (const [name, version] of Object.entries(wanted)) expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
  for (const [path, { integrity, link }] of Object.entries(lock.packages))
    if (path !== '' && link !== true) expect(integrity, path).toMatch(/^sha512-/);
});

test('a serious advisory fails without a reason, with one that ran out, and not with one that stands', () => {
  const report = {
    vulnerabilities: {
      parser: {
        severity: 'high',
        via: [{ url: 'https://github.com/advisories/GHSA-aaaa', severity: 'high', title: 'Slow expression' }],
      },
      user: { severity: 'high', via: ['parser'] },
      logger: { severity: 'low', via: [{ url: 'https://github.com/advisories/GHSA-bbbb', severity: 'low' }] },
    },
  };
  const today = '2026-11-25';
  expect(judge(report, {}, today)).toEqual({
    kind: 'checked',
    faults: ['parser: high GHSA-aaaa, Slow expression'],
  });
  const until = (day: string) => ({ 'GHSA-aaaa': { reason: 'not reached with text from outside', until: day } });
  expect(judge(report, until('2026-11-24'), today)).toMatchObject({
    faults: ['parser: GHSA-aaaa was accepted until 2026-11-24'],
  });
  expect(judge(report, until('2026-12-31'), today)).toMatchObject({ faults: [] });
  expect(judge({ 'GHSA-aaaa': 1, message: '405 Method Not Allowed - POST' } as never, {}, today)).toEqual({
    kind: 'unchecked',
    why: '405 Method Not Allowed',
  });
});

test('one command gives the bill of materials', () => {
  const text = execFileSync('npm', ['run', '-s', 'sbom'], { cwd: ROOT, maxBuffer: 50_000_000, encoding: 'utf8' });
  const bill = JSON.parse(text) as { bomFormat: string; components: { name: string; group?: string }[] };
  expect(bill.bomFormat).toBe('CycloneDX');
  const names = new Set(bill.components.map((c) => (c.group === undefined ? c.name : `${c.group}/${c.name}`)));
  for (const name of Object.keys(manifest.dependencies)) expect(names, name).toContain(name);
});
