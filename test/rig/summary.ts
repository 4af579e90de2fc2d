/** Counting a test run so that nothing that went wrong can look like success. */

/** What is read of vitest's TestModule. */
export interface RanModule {
  moduleId: string;
  errors(): readonly unknown[];
  children: {
    allTests(): Iterable<{ result(): { state: 'passed' | 'failed' | 'skipped' | 'pending' } }>;
    allSuites(): Iterable<{ errors(): readonly unknown[] }>;
  };
}

/** The numbers of the last line, and sentences on what they do not show. */
export interface Summary {
  passed: number;
  failed: number;
  notes: string[];
}

/**
 * Adds up the static checks and the tests. A file that could not be loaded, a suite whose hook failed, an unhandled error,
 * a test that never ended, a file without tests and a run without tests each count as failed.
 */
export function summarise(checks: readonly boolean[], modules: readonly RanModule[], unhandled: number): Summary {
  const count = { passed: 0, failed: 0, skipped: 0, pending: 0 };
  const notes: string[] = [];
  let broken = 0;
  for (const module of modules) {
    let tests = 0;
    for (const test of module.children.allTests()) {
      count[test.result().state] += 1;
      tests += 1;
    }
    broken += module.errors().length;
    for (const suite of module.children.allSuites()) broken += suite.errors().length;
    if (tests === 0 && module.errors().length === 0) {
      broken += 1;
      notes.push(`No tests in ${module.moduleId}.`);
    }
  }
  const tests = count.passed + count.failed + count.skipped + count.pending;
  if (modules.length === 0 && unhandled === 0) {
    broken += 1;
    notes.push('No tests were run.');
  }
  if (count.skipped > 0) notes.push(`${count.skipped} of ${tests} tests skipped.`);
  if (count.pending > 0) notes.push(`${count.pending} tests did not end.`);
  if (unhandled > 0) notes.push(`${unhandled} unhandled errors.`);
  const failedChecks = checks.filter((ok) => !ok).length;
  return {
    passed: count.passed + checks.length - failedChecks,
    failed: count.failed + count.pending + broken + unhandled + failedChecks,
    notes,
  };
}
