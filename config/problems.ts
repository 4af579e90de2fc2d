/** Mistakes in the configuration: where, what was found, what was expected. */
import type { z } from 'zod';
import { nearest } from './nearest.ts';
import { knownKeys } from './known-keys.ts';
import type { Path, Position, Source } from './source.ts';

export interface Problem extends Position {
  file: string;
  /** `systems.hubspot-main.who`; empty for the whole file. */
  path: string;
  found: string;
  expected: string;
}

/** All mistakes of a file, thrown at once. */
export class ConfigProblem extends Error {
  readonly problems: Problem[];
  constructor(problems: Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'ConfigProblem';
    this.problems = problems;
  }
}

/** One line, as an editor can jump to: `plumbline.yaml:7:7 systems.x.who: found 'all', expected everybody, …`. */
export function formatProblem(problem: Problem): string {
  const path = problem.path === '' ? '' : ` ${problem.path}`;
  return `${problem.file}:${problem.line}:${problem.column}${path}: found ${problem.found}, expected ${problem.expected}`;
}

/** A mistake at a value. `found` is left to the value itself where it is not given. */
export function problemAt(source: Source, path: Path, expected: string, found?: string): Problem {
  const value = valueAt(source.value, path);
  return {
    file: source.file,
    ...source.positionOf(path),
    path: path.join('.'),
    found: found ?? describe(value, path),
    expected,
  };
}

/** A mistake at a key of the map at `path`. */
export function problemAtKey(source: Source, path: Path, key: string, expected: string, found?: string): Problem {
  return {
    file: source.file,
    ...source.positionOfKey(path, key),
    path: [...path, key].join('.'),
    found: found ?? `'${key}'`,
    expected,
  };
}

/** Turns what zod says of the value at `path` into problems of the file. */
export function problemsOf(
  source: Source,
  schema: z.ZodType,
  issues: readonly z.core.$ZodIssue[],
  path: Path,
): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const at = [...path, ...issue.path.map(asStep)];
    if (issue.code === 'unrecognized_keys') {
      const known = knownKeys(schema, issue.path.map(asStep));
      return issue.keys.map((key) =>
        problemAtKey(source, at, key, expectedKey(key, known), `the unknown key '${key}'`),
      );
    }
    if (issue.code === 'invalid_key') {
      const expected = issue.issues[0]?.message ?? 'another key';
      return [problemAtKey(source, at.slice(0, -1), String(at.at(-1)), expected)];
    }
    if (issue.code === 'invalid_union') {
      const branch = closestBranch(issue.errors);
      if (branch === null) return [problemAt(source, at, own(issue.message) ?? 'another value')];
      const inner = branch.map((nested) => ({ ...nested, path: [...issue.path, ...nested.path] }));
      return problemsOf(source, schema, inner, path);
    }
    return [problemAt(source, at, expectation(issue, valueAt(source.value, at)))];
  });
}

/** The alternative that was meant: its outermost shape fits, and nothing else comes as close. */
function closestBranch(branches: readonly z.core.$ZodIssue[][]): z.core.$ZodIssue[] | null {
  const fitting = branches
    .filter((issues) => !issues.some((issue) => issue.path.length === 0 && issue.code !== 'unrecognized_keys'))
    .toSorted((a, b) => a.length - b.length);
  const [first, second] = fitting;
  if (first === undefined) return null;
  return second !== undefined && second.length === first.length ? null : first;
}

function expectedKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  if (meant !== null) return `'${meant}' (did you mean that?)`;
  return known.length === 0 ? 'no such key' : `one of ${known.join(', ')}`;
}

const TYPE_WORDS: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map of keys',
  record: 'a map of keys',
  array: 'a list',
};

function expectation(issue: z.core.$ZodIssue, value: unknown): string {
  const said = own(issue.message);
  if (said !== null) return said;
  if (issue.code === 'invalid_type') {
    const words = TYPE_WORDS[issue.expected] ?? issue.expected;
    return issue.expected === 'string' && typeof value === 'number' ? `${words} (put it in quotes)` : words;
  }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String);
    const meant = typeof value === 'string' ? nearest(value, values) : null;
    return `${values.length > 1 ? 'one of ' : ''}${values.join(', ')}${meant === null ? '' : ` (did you mean '${meant}'?)`}`;
  }
  if (issue.code === 'too_small') return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`;
  if (issue.code === 'too_big') return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`;
  return issue.message;
}

/** A message that a schema gave itself; null for zod's own words. */
function own(message: string): string | null {
  return /^(Invalid|Too |Unrecognized)/.test(message) ? null : message;
}

function asStep(step: PropertyKey): string | number {
  return typeof step === 'number' ? step : String(step);
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

/** What stands there, short. A secret that somebody typed into the file is not repeated. */
function describe(value: unknown, path: Path): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'an empty value';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a map of keys';
  if (typeof value === 'string') {
    if (path.includes('credentials') || path[0] === 'keys') return `a text of ${value.length} characters`;
    const shown = value.replaceAll(/:\/\/[^/\s]*@/g, '://…@');
    return `'${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}'`;
  }
  return `the ${typeof value} ${JSON.stringify(value)}`;
}
