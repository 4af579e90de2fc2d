/** A rule that selects a word which nobody tells would be silent for ever. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../local/program.ts';
import { WORDS } from '../../telemetry/labels.ts';
import { alerts, expressions, namedIn } from '../rig/rules.ts';
import type { Matcher } from '../rig/rules.ts';

/** Labels whose words are not ours to lay down: statuses of HTTP, patterns of routes. */
const OPEN: Readonly<Record<string, RegExp>> = {
  'plumbline_api_request_seconds status': /^[1-5](?:\d\d|\.\.)$/,
  'plumbline_api_request_seconds route': /^\.\+$/,
};

/** What is wrong with a selection; null where nothing is. */
function problemOf(metric: string, { label, operator, value }: Matcher): string | null {
  const base = metric.replace(/_(?:bucket|count|sum)$/, '');
  const open = OPEN[`${base} ${label}`];
  if (open !== undefined) return open.test(value) ? null : `${base}: ${label} is no '${value}'`;
  const words = WORDS[metric]?.[label] ?? WORDS[base]?.[label];
  if (words === undefined) return `${metric}: nobody has laid down the words of ${label}`;
  const wanted = operator.endsWith('~') ? value.split('|') : [value];
  const unknown = wanted.filter((one) =>
    operator.endsWith('~') ? !words.some((word) => new RegExp(`^(?:${one})$`).test(word)) : !words.includes(one),
  );
  return unknown.length === 0 ? null : `${metric}: ${label} is never ${unknown.join(', ')}`;
}

test('every word that a rule or a panel selects is one that can be told', () => {
  expect(expressions.length).toBeGreaterThan(35);
  const problems = expressions.flatMap(([where, expr]) =>
    namedIn(expr).flatMap(({ metric, matchers }) =>
      matchers.flatMap((matcher) => {
        const problem = problemOf(metric, matcher);
        return problem === null ? [] : [`${where}: ${problem}`];
      }),
    ),
  );
  expect(problems).toEqual([]);
});

test('a wrong word, a wrong alternative, a wrong label and a wrong status would be noticed', () => {
  const of = (expr: string): (string | null)[] =>
    namedIn(expr).flatMap(({ metric, matchers }) => matchers.map((matcher) => problemOf(metric, matcher)));
  expect(of('plumbline_due{priority="live"}')).toEqual(['plumbline_due: priority is never live']);
  expect(of('plumbline_lane_state{state=~"paused|gaurded"}')).toEqual(['plumbline_lane_state: state is never gaurded']);
  expect(of('plumbline_problems{kind="rejected"}')).toEqual([
    'plumbline_problems: nobody has laid down the words of kind',
  ]);
  expect(of('plumbline_api_request_seconds_count{status="5xx"}')[0]).toContain('status is no');
  expect(of('rate(plumbline_due_to_verified_seconds_bucket{priority="live"}[5m])')).toEqual([null]);
  expect(namedIn('sum by (system) (plumbline_nonsense{priority!="x"})')).toEqual([
    {
      metric: 'plumbline_nonsense',
      labels: new Set(['priority', 'system']),
      matchers: [{ label: 'priority', operator: '!=', value: 'x' }],
    },
  ]);
  expect(() => namedIn('sum by (')).toThrow('no PromQL');
});

test('each alert has a runbook with what it means, how to see it and what to do, and none is left over', () => {
  const files = readdirSync(join(ROOT, 'docs/runbooks')).toSorted();
  expect(alerts.map((a) => a.annotations.runbook.replace('docs/runbooks/', '')).toSorted()).toEqual(files);
  const page = readFileSync(join(ROOT, 'docs/observability.md'), 'utf8');
  for (const { alert, expr, annotations } of alerts) {
    const text = readFileSync(join(ROOT, annotations.runbook), 'utf8');
    for (const part of [`# ${alert}`, '## What it means', '## How to see it', '## What to do', expr])
      expect(text, annotations.runbook).toContain(part);
    expect(page).toContain(`[${alert}](${annotations.runbook.replace('docs/', '')})`);
  }
});
