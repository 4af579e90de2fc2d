import { describe, expect, test } from 'vitest';
import { PlainError, portInUse, toPlainError } from '../../local/errors.ts';
import { sayTo } from '../../local/say.ts';
import { summarise } from '../rig/summary.ts';
import type { RanModule } from '../rig/summary.ts';

const failure = (code: string) => Object.assign(new Error(`${code}: raw`), { code });

describe('errors of the system as sentences', () => {
  const cases = [
    ['ENOSPC', 'The disk that holds /data is full. Free some space'],
    ['EDQUOT', 'The disk that holds /data is full. Free some space'],
    ['EACCES', 'No permission while writing: /data. It may belong to another user'],
    ['EPERM', 'No permission while writing: /data.'],
    ['EROFS', '/data is on a read-only file system (while writing). Choose a folder that can be written.'],
    ['EADDRINUSE', 'Port 8080, wanted for writing, is used by another program. Stop it, or set X to a free port.'],
    ['ENOENT', 'There is no such program.'],
  ] as const;
  test.each(cases)('%s', (code, sentence) => {
    const context = { doing: 'writing', path: '/data', port: { number: 8080, setting: 'X' } };
    const plain = toPlainError(failure(code), { ...context, ifMissing: 'There is no such program.' });
    expect(plain).toBeInstanceOf(PlainError);
    expect((plain as Error).message).toContain(sentence);
  });

  test('a defect keeps its stack, and a sentence stays the one it was', () => {
    const defect = new TypeError('x is undefined');
    expect(toPlainError(defect, { doing: 'writing' })).toBe(defect);
    expect(toPlainError(failure('ENOENT'), { doing: 'writing' })).not.toBeInstanceOf(PlainError);
    const plain = portInUse(1, 'a');
    expect(toPlainError(plain, { doing: 'writing' })).toBe(plain);
    expect(toPlainError('a text', { doing: 'writing' })).toBe('a text');
  });
});

describe('progress', () => {
  function stream(isTTY: boolean) {
    let text = '';
    return { isTTY, columns: 20, write: (part: string) => (text += part), text: () => text };
  }

  test('on a terminal it stays in its line, cut to the width, and the next line replaces it', () => {
    const out = stream(true);
    const say = sayTo(out);
    say('first');
    say('10 of 45 MB', 'progress');
    say('20 of 45 MB and a text that is too long', 'progress');
    say('done');
    expect(out.text()).toBe('first\n10 of 45 MB\r\x1b[K20 of 45 MB and a t\r\x1b[Kdone\n');
  });

  test('elsewhere one line every few seconds', () => {
    const out = stream(false);
    let now = 0;
    const say = sayTo(out, 3_000, () => now);
    for (const at of [0, 1_000, 2_900, 3_000, 5_000]) {
      now = at;
      say(`at ${at}`, 'progress');
    }
    say('done');
    expect(out.text()).toBe('at 0\nat 3000\ndone\n');
  });
});

describe('the last line of a test run', () => {
  type State = 'passed' | 'failed' | 'skipped' | 'pending';
  const ran = (states: State[], errors = 0, suiteErrors = 0): RanModule => ({
    moduleId: 'a.test.ts',
    errors: () => Array.from({ length: errors }),
    children: {
      allTests: () => states.map((state) => ({ result: () => ({ state }) })),
      allSuites: () => [{ errors: () => Array.from({ length: suiteErrors }) }],
    },
  });

  const cases: [string, Parameters<typeof summarise>, { passed: number; failed: number }][] = [
    ['checks and tests add up', [[true, true], [ran(['passed', 'passed'])], 0], { passed: 4, failed: 0 }],
    ['a failed check is a failure', [[true, false], [ran(['passed'])], 0], { passed: 2, failed: 1 }],
    ['skipped counts as neither', [[], [ran(['passed', 'skipped'])], 0], { passed: 1, failed: 0 }],
    ['a test that never ended is a failure', [[], [ran(['passed', 'pending'])], 0], { passed: 1, failed: 1 }],
    ['an unhandled error is a failure', [[], [ran(['passed'])], 2], { passed: 1, failed: 2 }],
    ['a file that does not load is a failure', [[], [ran([], 1)], 0], { passed: 0, failed: 1 }],
    ['a file without tests is a failure', [[], [ran([]), ran(['passed'])], 0], { passed: 1, failed: 1 }],
    ['a hook that fails is a failure', [[], [ran(['skipped'], 0, 1)], 0], { passed: 0, failed: 1 }],
    ['a run without tests is a failure', [[true], [], 0], { passed: 1, failed: 1 }],
  ];
  test.each(cases)('%s', (_name, args, expected) => {
    expect(summarise(...args)).toMatchObject(expected);
  });
});
