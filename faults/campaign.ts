/** Rounds of faults under changes, each with a quiet point at its end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { unlessInterrupted } from '../local/interrupted.ts';
import { rows } from '../store/db.ts';
import {
  background,
  erasuresHeldUp,
  isQuiet,
  openPaused,
  rereadNow,
  retryProblems,
  violations,
  wholeLog,
} from './check.ts';
import { install } from './installation.ts';
import type { Installation } from './installation.ts';
import { KINDS } from './kinds.ts';
import type { Armed, Kind } from './kinds.ts';
import { People } from './people.ts';
import { randomFrom } from './random.ts';
import type { Random } from './random.ts';

interface Density {
  light: number;
  heavy: number;
  /** Changes go on for so long at most, until every fault has fired. */
  untilFiredMs: number;
}

/** Of a round: what is drawn in it at once. */
const SPARSE: Density = { light: 36, heavy: 3, untilFiredMs: 6_000 };
/** Of a round of a long campaign, so that a night has thousands; not all of them fire, and those do not count. */
const DENSE: Density = { light: 200, heavy: 5, untilFiredMs: 18_000 };
const LONG = 1_000;
/** Changes before and after each violent fault. */
const CHANGES = 5;
/** The longest time by which a sandbox delays an effect, and a little. */
const LATE_MS = 1_500;
const QUIET_WITHIN_MS = 150_000;

export interface Tally {
  drawn: number;
  fired: number;
  survived: number;
  /** From the lifting of a round's faults to its quiet point. */
  convergedMs: number[];
  progressMs: number[];
}

export interface Outcome {
  seed: number;
  rounds: number;
  fired: number;
  accepted: number;
  unanswered: number;
  contacts: number;
  byKind: Map<string, Tally>;
  /** The round at which it ended, and what was broken there. */
  broken: { round: number; kinds: string[]; violations: string[] } | null;
}

export interface Options {
  /** Faults that have fired. */
  count: number;
  seed: number;
  say: (line: string) => void;
}

/** Runs until `count` faults have fired, or something is broken. */
export async function campaign({ count, seed, say }: Options): Promise<Outcome> {
  const random = randomFrom(seed);
  const installation = await install();
  const people = new People(installation, random);
  const outcome: Outcome = {
    seed,
    rounds: 0,
    fired: 0,
    accepted: 0,
    unanswered: 0,
    contacts: 0,
    byKind: new Map(),
    broken: null,
  };
  try {
    await opened(installation);
    for (let n = 0; n < 10; n += 1) await people.create();
    const first = await quietPoint(installation, people);
    if (first.length > 0) throw new Error(`before any fault: ${first.join('; ')}`);
    while (outcome.fired < count && outcome.broken === null) {
      outcome.rounds += 1;
      await unlessInterrupted(say, async () =>
        round(installation, people, random, outcome, count > LONG ? DENSE : SPARSE),
      );
      say(`round ${outcome.rounds}: ${outcome.fired} of ${count} faults fired, ${people.accepted} changes accepted`);
    }
    const log = outcome.broken === null ? await wholeLog(installation) : [];
    if (log.length > 0) outcome.broken = { round: outcome.rounds, kinds: [], violations: log };
  } finally {
    outcome.accepted = people.accepted;
    outcome.unanswered = people.unanswered;
    outcome.contacts = people.all.length;
    await installation.stop();
  }
  return outcome;
}

/** Each kind is drawn as often as the others: a bag is emptied before it is filled again. */
class Bag {
  readonly #all: readonly Kind[];
  #left: Kind[] = [];

  constructor(all: readonly Kind[]) {
    this.#all = all;
  }

  draw(random: Random): Kind {
    if (this.#left.length === 0) this.#left = [...this.#all];
    const [kind] = this.#left.splice(random.below(this.#left.length), 1);
    return kind!;
  }
}

const light = new Bag(KINDS.filter((k) => !k.heavy));
const heavy = new Bag(KINDS.filter((k) => k.heavy));

async function round(
  installation: Installation,
  people: People,
  random: Random,
  outcome: Outcome,
  density: Density,
): Promise<void> {
  const armed: { kind: Kind; fault: Armed }[] = [];
  for (let n = 0; n < density.light; n += 1) {
    const kind = light.draw(random);
    armed.push({ kind, fault: await kind.arm(installation, random) });
  }
  // The violent ones one after the other, each amid changes.
  for (let n = 0; n < density.heavy; n += 1) {
    const kind = heavy.draw(random);
    for (let c = 0; c < CHANGES; c += 1) await people.change();
    const fault = await kind.arm(installation, random);
    armed.push({ kind, fault });
    for (let c = 0; c < CHANGES; c += 1) await people.change();
    await fault.lift();
  }
  const until = performance.now() + density.untilFiredMs;
  while (performance.now() < until && !(await allFired(armed))) {
    await people.change();
    await openPaused(installation).catch(() => undefined);
    await sleep(50);
  }
  const didFire = await Promise.all(armed.map(async ({ fault }) => fault.fired().catch(() => false)));
  for (const { kind, fault } of armed) if (!kind.heavy) await fault.lift();
  const liftedAt = performance.now();
  const broken = await quietPoint(installation, people);
  const convergedMs = performance.now() - liftedAt;

  for (const [at, { kind, fault }] of armed.entries()) {
    const tally = outcome.byKind.get(kind.name) ?? { drawn: 0, fired: 0, survived: 0, convergedMs: [], progressMs: [] };
    outcome.byKind.set(kind.name, tally);
    tally.drawn += 1;
    if (didFire[at] !== true) continue;
    tally.fired += 1;
    outcome.fired += 1;
    if (broken.length === 0) tally.survived += 1;
    tally.convergedMs.push(convergedMs);
    const progress = fault.progressMs?.() ?? null;
    if (progress !== null) tally.progressMs.push(progress);
  }
  if (broken.length > 0) {
    outcome.broken = { round: outcome.rounds, kinds: armed.map(({ kind }) => kind.name), violations: broken };
  }
}

async function allFired(armed: { fault: Armed }[]): Promise<boolean> {
  const fired = await Promise.all(armed.map(async ({ fault }) => fault.fired().catch(() => false)));
  return fired.every(Boolean);
}

/** Waits until all is quiet, then looks whether all is true. What a fault made a problem is tried again once, as an operator would. */
async function quietPoint(installation: Installation, people: People): Promise<string[]> {
  for (const person of people.all) if (person.caseId !== null) await people.decide(person);
  if (!(await quiet(installation))) return notQuiet(installation);
  // Every call that was under way when the faults were lifted has taken effect by now, if it ever does.
  await sleep(LATE_MS);
  if ((await rereadNow(installation)) > 0 && !(await quiet(installation))) return notQuiet(installation);
  if ((await retryProblems(installation)) > 0 && !(await quiet(installation))) return notQuiet(installation);
  const found = await violations(installation, people);
  return found.length === 0 ? [] : [...found, ...(await background(installation, found))];
}

async function quiet(installation: Installation): Promise<boolean> {
  const until = performance.now() + QUIET_WITHIN_MS;
  let isRetried = false;
  while (performance.now() < until) {
    if (await isQuiet(installation).catch(() => false)) return true;
    // The operator's one retry, which an erasure with a problem cannot end without.
    if (!isRetried && (await erasuresHeldUp(installation).catch(() => 0)) > 0) {
      isRetried = true;
      await retryProblems(installation);
    }
    await sleep(100);
  }
  return false;
}

async function notQuiet(installation: Installation): Promise<string[]> {
  return [`I8 not quiet within ${QUIET_WITHIN_MS / 1000} s`, ...(await open(installation))];
}

/** What is still open, for the person who reads the violation. */
async function open({ db }: Installation): Promise<string[]> {
  const due = await rows<{ text: string }>(
    db,
    `select 'due: ' || system || ' ' || coalesce(data_outcome, '-') || ' ' || coalesce(data_code, '-') || ' ' || count(*) as text
     from deliveries where wanted > settled group by system, data_outcome, data_code
     union all select 'system: ' || name || ' ' || state || ' ' || coalesce(state_code, '') || ' ' || coalesce(last_error, '') from systems
     union all select 'case: ' || state || ' ' || count(*) from cases group by state
     union all select 'problem: ' || system || ' ' || coalesce(data_outcome, '-') || ' ' || coalesce(data_code, '-') || ', consent '
         || coalesce(consent_outcome, '-') || ', presence ' || coalesce(presence, '-')
       from deliveries where contact_id in (select contact_id from cases where state = 'erasing')
     union all select 'calls: ' || count(*) from calls union all select 'late outcomes: ' || count(*) from late_outcomes`,
  );
  return due.map((d) => d.text);
}

async function opened({ db }: Installation): Promise<void> {
  for (;;) {
    const closed = await rows(db, `select 1 from systems where state <> 'open'`);
    const all = await rows(db, 'select 1 from systems');
    if (all.length === 3 && closed.length === 0) return;
    await sleep(100);
  }
}
