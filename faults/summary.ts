/** The outcome of a campaign as a table of 80 columns and as JSON. */
import type { Outcome } from './campaign.ts';

export interface Line {
  fault: string;
  drawn: number;
  fired: number;
  survived: number;
  convergedMs: { p50: number | null; max: number | null };
  progressMs: { p50: number | null; max: number | null };
}

export function summaryOf(outcome: Outcome): Omit<Outcome, 'byKind'> & { faults: Line[] } {
  const { byKind, ...rest } = outcome;
  const faults = [...byKind]
    .map(([fault, { drawn, fired, survived, convergedMs, progressMs }]) => ({
      fault,
      drawn,
      fired,
      survived,
      convergedMs: spread(convergedMs),
      progressMs: spread(progressMs),
    }))
    .toSorted((a, b) => a.fault.localeCompare(b.fault));
  return { ...rest, faults };
}

function spread(values: readonly number[]): { p50: number | null; max: number | null } {
  const sorted = values.map(Math.round).toSorted((a, b) => a - b);
  return { p50: sorted[Math.ceil(sorted.length / 2) - 1] ?? null, max: sorted.at(-1) ?? null };
}

export function tableOf(outcome: Outcome): string {
  const { faults, seed, rounds, fired, accepted, unanswered, contacts, broken } = summaryOf(outcome);
  const seconds = (ms: number | null): string => (ms === null ? '' : (ms / 1000).toFixed(1)).padStart(6);
  const lines = [
    'fault                                     fired/drawn  survived  quiet s  progress',
    '                                                                 p50 max  after kill',
    ...faults.map(
      (f) =>
        `${f.fault.slice(0, 44).padEnd(44)}${`${f.fired}/${f.drawn}`.padStart(7)}${String(f.survived).padStart(8)} ${seconds(f.convergedMs.p50)}${seconds(f.convergedMs.max)}${seconds(f.progressMs.max)}`,
    ),
    '',
    `seed ${seed}: ${fired} faults fired in ${rounds} rounds; ${accepted} changes of ${contacts} contacts accepted, ${unanswered} not answered`,
  ];
  if (broken === null) lines.push('nothing was broken');
  else
    lines.push(
      `BROKEN in round ${broken.round} with ${broken.kinds.join(', ')}:`,
      ...broken.violations.map((v) => `  ${v}`),
    );
  return lines.join('\n');
}
