/** What a part of the measuring is given, and what it gives back. */

/** Figures under the names that `--json` prints; later work adds names and never changes these. */
export type Figures = Record<string, unknown>;

export interface Part {
  /** As in `--only edit,bulk`. */
  name: string;
  /** One line for a person. */
  what: string;
  run(bench: Bench): Promise<Figures>;
}

export interface Bench {
  /** `--contacts`: overrides the part's own size; null where it was not given. */
  contacts: number | null;
  /** One line of progress. */
  say(line: string): void;
  /** URL of a fresh, empty database on the run's PostgreSQL. */
  database(): Promise<string>;
  /** The process of PostgreSQL. */
  postgresPid(): Promise<number>;
  /** A fresh namespace on the run's Temporal. */
  namespace(): Promise<{ address: string; namespace: string }>;
  /** Runs at the end of the part, whatever came of it; the last one given runs first. */
  after(end: () => Promise<void>): void;
  /** A folder that is removed at the end. */
  folder: string;
}
