/** Judges one row of a CSV file: either data for the record and evidence of consent, or every reason why not. */
import { nameKey, parseEmail } from './address.ts';
import type { AttributeDeclarations } from './attributes.ts';
import { cleanText } from './clean-text.ts';
import type { ConsentKind, EvidenceFacts } from './consent.ts';
import { validateContactData, type DataWarning } from './contact-data.ts';
import type { ContactData } from './contact.ts';
import { sentenceFor, type DataFaultCode } from './data-faults.ts';
import { readDate } from './dates.ts';
import { isKnownPath } from './mapping.ts';
import { CLOCK_TOLERANCE_MS, parseMoment } from './time.ts';

/** Columns that say what an old system knows of one purpose's consent. */
export interface ConsentColumns {
  purpose: string;
  /** Column with `opted_in`, `opted_out`, `unknown` (further words: `CONSENT_WORDS`). */
  state: string;
  at?: string;
  channel?: string;
  statement?: string;
}

export interface RowOptions {
  /** Column → path in the record: `givenName`, `emails.0`, `attributes.vip`. Columns that are not named are left alone. */
  columns: Readonly<Record<string, string>>;
  consents: readonly ConsentColumns[];
  attributes: AttributeDeclarations;
  purposes: readonly string[];
  /** ISO 8601. */
  now: string;
  /** True where an empty cell empties the field; by default it says nothing, because few files hold every field. */
  emptyClears?: boolean;
}

/** The column names of an export as the shipped example has them. */
export const DEFAULT_COLUMNS: Readonly<Record<string, string>> = {
  external_ref: 'externalRef',
  given_name: 'givenName',
  family_name: 'familyName',
  email: 'emails.0',
  phone: 'phones.0',
  organisation: 'organisation',
  street: 'street',
  city: 'city',
  postcode: 'postcode',
  country: 'country',
  locale: 'locale',
  relationship: 'relationship',
  account_manager: 'accountManager',
  source: 'source',
  created_at: 'obtainedAt',
  last_transaction_at: 'lastTransactionAt',
  contract_until: 'contractEnd',
};
export const DEFAULT_CONSENT_COLUMNS: readonly ConsentColumns[] = [
  {
    purpose: 'newsletter',
    state: 'newsletter',
    at: 'consent_at',
    channel: 'consent_channel',
    statement: 'consent_statement',
  },
];

/** Words of old systems. What is none of them is a reject: a consent is never guessed. */
export const CONSENT_WORDS: Readonly<Record<string, ConsentKind | null>> = {
  opted_in: 'given',
  given: 'given',
  subscribed: 'given',
  opted_out: 'withdrawn',
  withdrawn: 'withdrawn',
  unsubscribed: 'withdrawn',
  refused: 'refused',
  unknown: null,
  none: null,
  '': null,
};

/** What old systems write where they do not know how a consent came about: no proof of anything. */
const NO_CHANNEL: ReadonlySet<string> = new Set(['unrecorded', 'unknown', 'none', 'n/a', '-', '?']);
const EVIDENCE_TEXT_LIMIT = 100;

/** How to find the person in the record: same reference, else same address key and name key. */
export interface RowIdentity {
  ref: string | null;
  addressKey: string | null;
  nameKey: string;
}

export interface RowReject {
  column: string;
  code: DataFaultCode;
  /** For people; never holds the value. */
  sentence: string;
}
export interface RowWarning {
  column: string;
  code:
    | DataWarning['code']
    /** A given consent without when, how or wording: kept as evidence, counts as unknown. */
    | 'no_proof_when'
    | 'no_proof_how'
    | 'no_proof_wording'
    | 'future_stated'
    /** The time of a consent cannot be read: the evidence is kept without it. */
    | 'consent_date_unreadable';
}

export type RowJudgement =
  | { ok: true; data: Partial<ContactData>; consents: EvidenceFacts[]; warnings: RowWarning[]; identity: RowIdentity }
  | {
      ok: false;
      rejects: RowReject[];
      identity: RowIdentity;
      /** Refusals and withdrawals of the row: a bad telephone number must not hide one from a person who is known already. */
      restrictions: EvidenceFacts[];
    };

/** Judges one row, as a CSV reader with a header gives it. Never throws, whatever the cells hold. */
export function judgeRow(record: Readonly<Record<string, string>>, options: RowOptions): RowJudgement {
  const { input, columnOf } = collect(record, options);
  const { data, errors, warnings } = validateContactData(input, options.attributes, options.now);
  const rejects: RowReject[] = errors.map((error) => ({
    column: columnOf.get(error.field) ?? error.field,
    code: error.code,
    sentence: error.sentence,
  }));
  const rowWarnings: RowWarning[] = warnings.map((warning) => ({
    column: columnOf.get(warning.field) ?? warning.field,
    code: warning.code,
  }));

  const consents: EvidenceFacts[] = [];
  for (const columns of options.consents) {
    const consent = readConsent(record, columns, options, rejects, rowWarnings);
    if (consent !== null) consents.push(consent);
  }

  const identity = rowIdentity(data);
  if (rejects.length === 0 && identity.ref === null && identity.addressKey === null) {
    rejects.push(reject('', 'no_identity'));
  }
  if (rejects.length === 0) return { ok: true, data, consents, warnings: rowWarnings, identity };
  return { ok: false, rejects, identity, restrictions: consents.filter((consent) => consent.kind !== 'given') };
}

/** The keys by which the person of a row is looked up. */
export function rowIdentity(data: Partial<ContactData>): RowIdentity {
  const email = data.emails?.[0];
  const parsed = email === undefined ? null : parseEmail(email);
  return {
    ref: data.externalRef ?? null,
    addressKey: parsed !== null && parsed.ok ? parsed.key : null,
    nameKey: nameKey(data.givenName ?? null, data.familyName ?? null),
  };
}

/** True for a path that a column may write. */
export function isImportPath(path: string, attributeNames: readonly string[]): boolean {
  return path !== 'id' && path !== 'fullName' && isKnownPath(path, attributeNames);
}

/** Gathers the cells into the shape of the record, and remembers which column each value came from. */
function collect(record: Readonly<Record<string, string>>, options: RowOptions) {
  const input: Record<string, unknown> = {};
  const columnOf = new Map<string, string>();
  const lists = { emails: new Map<number, string>(), phones: new Map<number, string>() };
  const attributes: Record<string, unknown> = {};
  const seen = new Set<string>();

  for (const [column, path] of Object.entries(options.columns)) {
    const cell = cellOf(record, column);
    if (cell === null) continue;
    const isEmpty = cell.trim() === '';
    const dot = path.indexOf('.');
    const head = dot < 0 ? path : path.slice(0, dot);
    if (isEmpty && options.emptyClears !== true) continue;
    seen.add(head);
    if (head === 'emails' || head === 'phones') {
      if (!isEmpty) lists[head].set(Number(path.slice(dot + 1)), column);
    } else if (head === 'attributes') {
      attributes[path.slice(dot + 1)] = isEmpty ? null : cell;
      columnOf.set(path, column);
    } else {
      input[path] = isEmpty ? null : cell;
      columnOf.set(path, column);
    }
  }
  for (const head of ['emails', 'phones'] as const) {
    if (!seen.has(head)) continue;
    const columns = [...lists[head]].toSorted(([a], [b]) => a - b).map(([, column]) => column);
    input[head] = columns.map((column) => cellOf(record, column) ?? '');
    for (const [index, column] of columns.entries()) columnOf.set(`${head}.${index}`, column);
  }
  if (seen.has('attributes')) input['attributes'] = attributes;
  return { input, columnOf };
}

function readConsent(
  record: Readonly<Record<string, string>>,
  columns: ConsentColumns,
  options: RowOptions,
  rejects: RowReject[],
  warnings: RowWarning[],
): EvidenceFacts | null {
  const word = (cellOf(record, columns.state) ?? '').trim().toLowerCase();
  const kind = Object.hasOwn(CONSENT_WORDS, word) ? CONSENT_WORDS[word] : undefined;
  if (kind === undefined) {
    rejects.push(reject(columns.state, 'unknown_consent'));
    return null;
  }
  if (kind === null) return null;
  if (!options.purposes.includes(columns.purpose)) {
    rejects.push(reject(columns.state, 'unknown_purpose'));
    return null;
  }

  const happenedAt = readConsentDate(record, columns, options.now, warnings);
  const typedChannel = evidenceText(record, columns.channel);
  const channel = typedChannel === null || NO_CHANNEL.has(typedChannel.toLowerCase()) ? null : typedChannel;
  const statement = evidenceText(record, columns.statement);
  if (kind === 'given') {
    if (happenedAt === null) warnings.push({ column: columns.at ?? columns.state, code: 'no_proof_when' });
    if (channel === null) warnings.push({ column: columns.channel ?? columns.state, code: 'no_proof_how' });
    if (statement === null) warnings.push({ column: columns.statement ?? columns.state, code: 'no_proof_wording' });
  }
  return { purpose: columns.purpose, kind, happenedAt, channel, statement };
}

/** A time nobody can read must not cost a withdrawal its effect: the evidence stays, without the time. */
function readConsentDate(
  record: Readonly<Record<string, string>>,
  columns: ConsentColumns,
  now: string,
  warnings: RowWarning[],
): string | null {
  if (columns.at === undefined) return null;
  const cell = (cellOf(record, columns.at) ?? '').trim();
  if (cell === '') return null;
  const date = readDate(cell);
  if (!date.ok) {
    warnings.push({ column: columns.at, code: 'consent_date_unreadable' });
    return null;
  }
  const nowMs = parseMoment(now);
  if (nowMs !== null && date.ms > nowMs + CLOCK_TOLERANCE_MS)
    warnings.push({ column: columns.at, code: 'future_stated' });
  return date.stated;
}

/** Channel and wording as evidence; what is no clean text proves nothing. */
function evidenceText(record: Readonly<Record<string, string>>, column: string | undefined): string | null {
  const cell = column === undefined ? null : cellOf(record, column);
  const cleaned = cell === null ? null : cleanText(cell, { limit: EVIDENCE_TEXT_LIMIT });
  return cleaned !== null && cleaned.ok ? cleaned.text : null;
}

function cellOf(record: Readonly<Record<string, string>>, column: string): string | null {
  return Object.hasOwn(record, column) ? (record[column] ?? null) : null;
}

function reject(column: string, code: DataFaultCode): RowReject {
  return { column, code, sentence: sentenceFor(code) };
}
