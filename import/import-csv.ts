/** Imports a CSV file into the record: each row ends in the record as the person it is, or among the rejects with the reason. */
import { judgeRow } from '../domain/csv-row.ts';
import type { RowOptions } from '../domain/csv-row.ts';
import type { AttributeDeclarations } from '../domain/attributes.ts';
import { asWriter } from '../store/db.ts';
import type { Db } from '../store/db.ts';
import { FirstSpeakers } from '../store/first-speakers.ts';
import type { Keyring } from '../store/keyring.ts';
import { rehearse } from '../store/upsert-rehearsal.ts';
import { hashesAhead, UPSERT_BATCH, upsertContacts } from '../store/upsert.ts';
import type { UpsertResult, UpsertRow, UpsertRun } from '../store/upsert.ts';
import { readHeader } from './header.ts';
import type { ColumnMapping, ReadHeader } from './header.ts';
import { FileProblem, readCsv } from './read-csv.ts';
import type { CsvRecord } from './read-csv.ts';
import { rejectsWriter } from './rejects.ts';
import type { Reject, RejectsWriter } from './rejects.ts';

export { FileProblem } from './read-csv.ts';
export type { ColumnMapping } from './header.ts';

export interface ImportOptions {
  db: Db;
  keyring: Keyring;
  /** The file's bytes, e.g. `createReadStream(path)`. */
  input: AsyncIterable<Uint8Array | string>;
  mapping?: ColumnMapping;
  attributes: AttributeDeclarations;
  /** Names of the configured purposes. */
  purposes: readonly string[];
  /** True where an empty cell empties the field. */
  emptyClears?: boolean;
  /** Says what would come of it and writes nothing but the rejects. */
  dryRun?: boolean;
  /** Where rejected rows go; null keeps none. */
  rejectsPath: string | null;
  /** Who imports: an opaque name. */
  actor: string;
  /** Free text, kept with each version. */
  reason?: string;
  /** Told after each batch. */
  onProgress?: (summary: ImportSummary) => void;
  /** Ends the import between two batches; what was committed stays, and importing again goes on from there. */
  signal?: AbortSignal;
}

/** `read` is `created + updated + unchanged + rejected + suppressed`. */
export interface ImportSummary {
  read: number;
  created: number;
  updated: number;
  unchanged: number;
  rejected: number;
  suppressed: number;
  /** Evidence that was new, that of rejected rows included. */
  consentEvents: number;
  /** Rows whose reference was kept as a further one of a known person. */
  aliases: number;
  /** Code → rejected rows; a row with several reasons counts under each. */
  reasons: Record<string, number>;
  /** Code → how often something was taken with a remark. */
  warnings: Record<string, number>;
}

/** One row on its way into the record. */
interface Waiting {
  record: CsvRecord;
  row: UpsertRow;
  /** With a row whose data are bad: why. It goes along for the sake of its withdrawal. */
  reasons: Reject['reasons'] | null;
}

/**
 * Does what needs no database, which may still be at work on the batch before, and gives the function that writes. `onWriting` is told as
 * soon as the database has the larger part of the work.
 */
type Upsert = (batch: readonly UpsertRow[]) => (onWriting: () => void) => Promise<UpsertResult[]>;

/**
 * Streams the file in batches of 1,000 rows, one transaction each; while one is written the next is read. Importing the same file
 * again writes nothing.
 *
 * @throws FileProblem before anything is written, where the file as a whole does not fit
 */
export async function importCsv(options: ImportOptions): Promise<ImportSummary> {
  if (options.dryRun === true) {
    return rehearse(options.db, options.keyring, (upsert) =>
      new Import(options, (batch) => (onWriting) => {
        onWriting();
        return upsert(batch);
      }).run(),
    );
  }
  const { db, keyring, actor, reason } = options;
  const writer = { actor, door: 'csv', ...(reason === undefined ? {} : { reason }) } as const;
  const earlier = new FirstSpeakers();
  // Of a file that is known already nothing has to be hashed.
  let isNews = true;
  return new Import(options, (batch) => {
    const ahead = isNews ? { hashes: hashesAhead(keyring, batch) } : {};
    return async (onWriting) => {
      let spokenOf: UpsertRun['spokenOf'] = new Map();
      const results = await asWriter(db, writer, (tx) => {
        spokenOf = new Map();
        return upsertContacts(tx, keyring, batch, { earlier, spokenOf, ...ahead, onWriting });
      });
      for (const [id, ref] of spokenOf) earlier.note(id, ref);
      isNews = results.some(({ result }) => result === 'created');
      return results;
    };
  }).run();
}

class Import {
  readonly #options: ImportOptions;
  readonly #upsert: Upsert;
  readonly #summary: ImportSummary = {
    read: 0,
    created: 0,
    updated: 0,
    unchanged: 0,
    rejected: 0,
    suppressed: 0,
    consentEvents: 0,
    aliases: 0,
    reasons: {},
    warnings: {},
  };
  readonly #broken: Reject[] = [];
  #waiting: Waiting[] = [];
  #writing: Promise<void> = Promise.resolve();

  constructor(options: ImportOptions, upsert: Upsert) {
    this.#options = options;
    this.#upsert = upsert;
  }

  async run(): Promise<ImportSummary> {
    const records = readCsv(this.#options.input, ({ line, code }) => {
      this.#broken.push({ line, reasons: [{ column: '', code, sentence: FILE_SENTENCES[code] }], cells: [] });
    });
    const first = await records.next();
    if (first.done === true) throw new FileProblem('The file has no header that can be read.');
    const header = readHeader(first.value.cells, this.#options.mapping ?? {}, Object.keys(this.#options.attributes));
    const rejects = await rejectsWriter(this.#options.rejectsPath, header.names);
    try {
      const rowOptions = rowOptionsOf(this.#options, header);
      for await (const record of records) {
        await this.#take(record, header, rowOptions, rejects);
        if (this.#waiting.length >= UPSERT_BATCH) await this.#flush(rejects);
        this.#options.signal?.throwIfAborted();
      }
      await this.#flush(rejects);
      await this.#writing;
      return this.#summary;
    } finally {
      // After a failure elsewhere the batch under way still ends before the file of rejects is closed.
      await this.#writing.catch(() => undefined);
      await rejects.close();
    }
  }

  async #take(record: CsvRecord, header: ReadHeader, rowOptions: RowOptions, rejects: RejectsWriter): Promise<void> {
    await this.#writeBroken(rejects);
    this.#summary.read += 1;
    const unreadable = fileFault(record, header);
    if (unreadable !== null)
      return this.#reject({ line: record.line, reasons: [unreadable], cells: record.cells }, rejects);

    const cells: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const [index, name] of header.names.entries()) cells[name] = record.cells[index] ?? '';
    const judged = judgeRow(cells, rowOptions);
    if (judged.ok) {
      for (const { code } of judged.warnings) count(this.#summary.warnings, code);
      const { data, consents, identity } = judged;
      this.#waiting.push({ record, row: { data, consents, identity }, reasons: null });
    } else if (judged.restrictions.length > 0) {
      const row = { data: {}, consents: judged.restrictions, identity: judged.identity, consentsOnly: true };
      this.#waiting.push({ record, row, reasons: judged.rejects });
    } else {
      await this.#reject({ line: record.line, reasons: judged.rejects, cells: record.cells }, rejects);
    }
  }

  /**
   * Hands the waiting rows over. One batch is written at a time and in order, or doubles would miss each other. Reading goes on when the
   * database is at work on it: before that, the database would have to wait for us between its first small statements.
   */
  async #flush(rejects: RejectsWriter): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    const upsert = this.#upsert(batch.map(({ row }) => row));
    await this.#writing;
    await this.#writeBroken(rejects);
    await new Promise<void>((resolve) => {
      this.#writing = this.#write(batch, () => upsert(resolve), rejects);
      // Its failure is met at the next `await`; until then it is not unhandled.
      this.#writing.catch(() => undefined).finally(resolve);
    });
  }

  async #write(batch: Waiting[], upsert: () => Promise<UpsertResult[]>, rejects: RejectsWriter): Promise<void> {
    const results = batch.length === 0 ? [] : await upsert();
    for (const [index, { record, reasons }] of batch.entries()) {
      const result = results[index];
      if (result === undefined) throw new Error('the record gave fewer results than rows');
      if ('consentEvents' in result) this.#summary.consentEvents += result.consentEvents;
      if (reasons !== null) await this.#reject({ line: record.line, reasons, cells: record.cells }, rejects);
      else await this.#settle(record, result, rejects);
    }
    this.#options.onProgress?.(structuredClone(this.#summary));
  }

  async #settle(record: CsvRecord, result: UpsertResult, rejects: RejectsWriter): Promise<void> {
    switch (result.result) {
      case 'created':
      case 'updated':
      case 'unchanged':
        this.#summary[result.result] += 1;
        if (result.alias) this.#summary.aliases += 1;
        return;
      case 'suppressed':
        this.#summary.suppressed += 1;
        // Told by its line only: what was erased must not lie about in a further file.
        return rejects.write({ line: record.line, reasons: [reasonOf('suppressed')], cells: [] });
      case 'ambiguous':
      case 'nobody':
        return this.#reject({ line: record.line, reasons: [reasonOf(result.result)], cells: record.cells }, rejects);
    }
  }

  async #reject(reject: Reject, rejects: RejectsWriter): Promise<void> {
    this.#summary.rejected += 1;
    for (const code of new Set(reject.reasons.map((reason) => reason.code))) count(this.#summary.reasons, code);
    await rejects.write(reject);
  }

  async #writeBroken(rejects: RejectsWriter): Promise<void> {
    for (const broken of this.#broken.splice(0)) {
      this.#summary.read += 1;
      await this.#reject(broken, rejects);
    }
  }
}

function rowOptionsOf(options: ImportOptions, header: ReadHeader): RowOptions {
  return {
    columns: header.columns,
    consents: header.consents,
    attributes: options.attributes,
    purposes: options.purposes,
    now: new Date().toISOString(),
    ...(options.emptyClears === undefined ? {} : { emptyClears: options.emptyClears }),
  };
}

const FILE_SENTENCES = {
  broken_quotes: 'The quotation marks of the line do not pair.',
  line_too_long: 'The line is longer than any row can be.',
  cell_count: 'The row does not have as many cells as the header.',
  not_utf8: 'The row holds bytes that are not UTF-8.',
  suppressed: 'The person was erased and must not come back by an import.',
  ambiguous: 'Several people share the address, and the row does not say by reference or name which of them it means.',
  nobody: 'Nobody is known by it.',
} as const;

function reasonOf(code: keyof typeof FILE_SENTENCES, column = ''): Reject['reasons'][number] {
  return { column, code, sentence: FILE_SENTENCES[code] };
}

/** What is wrong with a row before its cells mean anything; null where nothing is. */
function fileFault(record: CsvRecord, header: ReadHeader): Reject['reasons'][number] | null {
  if (record.cells.length !== header.names.length) return reasonOf('cell_count');
  const garbled = record.cells.findIndex((cell) => cell.includes('\uFFFD'));
  return garbled < 0 ? null : reasonOf('not_utf8', header.names[garbled] ?? '');
}

function count(counts: Record<string, number>, code: string): void {
  counts[code] = (counts[code] ?? 0) + 1;
}
