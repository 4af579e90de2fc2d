/** The few forms of Xero's `where` that are played: `Field=="text"`, joined by OR or by AND. */
import { folded, INDEXED } from './books.ts';
import type { Contact, Indexed } from './books.ts';

const FIELDS = [...INDEXED, 'ContactStatus'] as const;
type Field = (typeof FIELDS)[number];

const TERM = /^\s*(\w+)\s*==\s*"((?:[^"\\]|\\.)*)"\s*/;
const JOINT = /^(OR|\|\||AND|&&)\s+/i;

export interface Where {
  test: (contact: Contact) => boolean;
  /** Nobody else can pass the test; absent where all have to be looked at. */
  among?: readonly [Indexed, string][];
}

/** What a clause asks for, or a sentence on what is wrong with it. */
export function parseWhere(clause: string): Where | string {
  const wanted = new Map<Field, Set<string>>();
  let joint: 'or' | 'and' | undefined;
  let rest = clause;
  for (;;) {
    const term = TERM.exec(rest);
    if (term === null) return `Syntax error at position ${clause.length - rest.length}`;
    const field = FIELDS.find((each) => each === term[1]);
    if (field === undefined) return `No property or field '${term[1]}' exists in type 'Contact'`;
    const values = wanted.get(field) ?? new Set();
    values.add(folded(term[2]!.replaceAll(/\\(.)/g, '$1')));
    wanted.set(field, values);
    rest = rest.slice(term[0].length);
    if (rest === '') break;
    const next = JOINT.exec(rest);
    if (next === null) return `Syntax error at position ${clause.length - rest.length}`;
    const kind = /^(OR|\|\|)/i.test(next[1]!) ? 'or' : 'and';
    if (joint !== undefined && joint !== kind) return 'OR and AND in one clause are not played by this sandbox';
    joint = kind;
    rest = rest.slice(next[0].length);
  }
  const conditions = [...wanted];
  const holds = (contact: Contact, [field, values]: [Field, Set<string>]): boolean => {
    const value = contact[field];
    return value !== undefined && values.has(folded(value)) && (joint !== 'and' || values.size === 1);
  };
  if (joint === 'and') return { test: (contact) => conditions.every((condition) => holds(contact, condition)) };
  const test = (contact: Contact): boolean => conditions.some((condition) => holds(contact, condition));
  const among: [Indexed, string][] = [];
  for (const [field, values] of conditions) {
    const indexed = INDEXED.find((each) => each === field);
    if (indexed === undefined) return { test };
    for (const value of values) among.push([indexed, value]);
  }
  return { test, among };
}
