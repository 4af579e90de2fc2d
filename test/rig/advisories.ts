/** The dependency check: a known advisory of high or critical severity fails, unless somebody wrote down why it does not matter here. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** `docs/advisories.json`: advisory (its GHSA id) → why it may stay, and until which day. */
export type Accepted = Readonly<Record<string, { reason: string; until: string }>>;

interface Vulnerability {
  severity: string;
  /** Names of packages where it comes from them, else the advisories themselves. */
  via: (string | { url?: string; title?: string; severity?: string })[];
}

/** What `npm audit --json` prints; without `vulnerabilities` it could not ask. */
export interface AuditReport {
  vulnerabilities?: Record<string, Vulnerability>;
  message?: string;
}

export type Verdict = { kind: 'unchecked'; why: string } | { kind: 'checked'; faults: string[] };

const SERIOUS = new Set(['high', 'critical']);

/** @param today `YYYY-MM-DD` */
export function judge(report: AuditReport, accepted: Accepted, today: string): Verdict {
  if (report.vulnerabilities === undefined)
    return { kind: 'unchecked', why: report.message?.split(' - ')[0] ?? 'no answer' };
  const faults = new Set<string>();
  for (const [name, { via }] of Object.entries(report.vulnerabilities)) {
    for (const one of via) {
      if (typeof one === 'string' || !SERIOUS.has(one.severity ?? '')) continue;
      const id = one.url?.split('/').at(-1) ?? 'unnamed';
      const known = accepted[id];
      if (known === undefined || known.reason.trim() === '')
        faults.add(`${name}: ${one.severity} ${id}, ${one.title ?? ''}`);
      else if (known.until < today) faults.add(`${name}: ${id} was accepted until ${known.until}`);
    }
  }
  return { kind: 'checked', faults: [...faults].toSorted() };
}

/** Asks the registry that npm is set to. */
export async function auditReport(root: string): Promise<AuditReport> {
  const { stdout } = await promisify(execFile)('npm', ['audit', '--json'], { cwd: root, timeout: 60_000 }).catch(
    // It ends with 1 where it found something, and prints the same.
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }),
  );
  try {
    return JSON.parse(stdout) as AuditReport;
  } catch {
    return { message: 'no answer' };
  }
}

export function acceptedAdvisories(root: string): Accepted {
  return JSON.parse(readFileSync(join(root, 'docs/advisories.json'), 'utf8')) as Accepted;
}
