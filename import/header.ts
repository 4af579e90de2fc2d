/** What each column of a file means, decided before the first row: a file that is not understood as a whole is not imported in part. */
import { DEFAULT_COLUMNS, DEFAULT_CONSENT_COLUMNS, isImportPath } from '../domain/csv-row.ts';
import type { ConsentColumns } from '../domain/csv-row.ts';
import { FileProblem } from './read-csv.ts';

export interface ColumnMapping {
  /** Column → path in the record, besides and before the usual names (`DEFAULT_COLUMNS`). */
  columns?: Readonly<Record<string, string>>;
  /** Columns of consents; the usual ones (`DEFAULT_CONSENT_COLUMNS`) where left out. */
  consents?: readonly ConsentColumns[];
  /** Columns to leave alone. */
  ignore?: readonly string[];
}

export interface ReadHeader {
  /** Column names as in the file, trimmed. */
  names: string[];
  columns: Record<string, string>;
  consents: ConsentColumns[];
}

/** Columns that a file of rejects has in front: it can be corrected and imported as it is. */
export const REJECT_COLUMNS = ['rejected_line', 'rejected_column', 'rejected_code', 'rejected_reason'] as const;

/** @throws FileProblem naming every column that is missing, unknown, there twice, or mapped to what does not exist */
export function readHeader(
  cells: readonly string[],
  mapping: ColumnMapping,
  attributeNames: readonly string[],
): ReadHeader {
  const names = cells.map((cell) => cell.trim());
  const given = mapping.columns ?? {};
  const wanted = mapping.consents ?? DEFAULT_CONSENT_COLUMNS;
  const ignored = new Set<string>([...(mapping.ignore ?? []), ...REJECT_COLUMNS]);
  const ofConsents = new Set(
    wanted.flatMap((one) => [one.state, one.at, one.channel, one.statement]).filter((name) => name !== undefined),
  );

  const columns: Record<string, string> = {};
  const unknown: string[] = [];
  for (const name of new Set(names)) {
    if (ignored.has(name)) continue;
    const path = own(given, name) ?? own(DEFAULT_COLUMNS, name);
    if (path !== undefined) columns[name] = path;
    else if (!ofConsents.has(name)) unknown.push(name === '' ? '(a column without a name)' : name);
  }
  const consents = wanted.filter(
    (one) => mapping.consents !== undefined || columnsOf(one).some((name) => names.includes(name)),
  );
  const missing = [...Object.keys(given), ...consents.flatMap(columnsOf)].filter((name) => !names.includes(name));
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  const clashing = Object.entries(columns).filter(([name, path]) =>
    Object.entries(columns).some(([other, otherPath]) => other !== name && otherPath === path),
  );
  const badPaths = Object.entries(columns).filter(([, path]) => !isImportPath(path, attributeNames));

  if (Object.keys(columns).length === 0) {
    // Perhaps there is no header and the first line is a person: nothing of it is repeated.
    throw new FileProblem('The first line holds no column name that is known or mapped. Is it a header?');
  }
  const problems: string[] = [];
  if (unknown.length > 0) problems.push(`unknown: ${unknown.join(', ')} (map or ignore them)`);
  if (missing.length > 0) problems.push(`missing: ${[...new Set(missing)].join(', ')}`);
  if (twice.length > 0) problems.push(`there twice: ${[...new Set(twice)].join(', ')}`);
  if (clashing.length > 0) {
    problems.push(`mapped to the same field: ${clashing.map(([name, path]) => `${name} (${path})`).join(', ')}`);
  }
  if (badPaths.length > 0) {
    problems.push(`mapped to no field of a contact: ${badPaths.map(([name, path]) => `${name} (${path})`).join(', ')}`);
  }
  if (!Object.values(columns).some((path) => path === 'externalRef' || path === 'emails.0')) {
    problems.push('missing: a column by which people are known (external_ref or email)');
  }
  if (problems.length > 0) throw new FileProblem(`The header does not fit. Columns ${problems.join('; ')}.`);
  return { names, columns, consents };
}

/** State, time, channel and wording are wanted together: leaving one out would take the proof from every consent unnoticed. */
function columnsOf(one: ConsentColumns): string[] {
  return [one.state, one.at, one.channel, one.statement].filter((name) => name !== undefined);
}

function own(map: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
