/** The alert rules and the dashboard, and what their expressions name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';
import { ROOT } from '../../local/program.ts';

export interface Matcher {
  label: string;
  operator: string;
  value: string;
}

export interface Named {
  metric: string;
  /** Labels that it selects or groups by. */
  labels: Set<string>;
  matchers: Matcher[];
}

export const alerts = (
  parse(readFileSync(join(ROOT, 'ops/alerts.yaml'), 'utf8')) as {
    groups: { rules: { alert: string; expr: string; annotations: { runbook: string } }[] }[];
  }
).groups.flatMap((g) => g.rules);

const dashboard = JSON.parse(readFileSync(join(ROOT, 'ops/dashboard.json'), 'utf8')) as {
  panels: { title: string; targets: { expr: string }[] }[];
};

/** Where each stands, and the expression. */
export const expressions: (readonly [string, string])[] = [
  ...alerts.map(({ alert, expr }) => [alert, expr] as const),
  ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
];

/** Every metric that an expression names. @throws where it is no PromQL */
export function namedIn(expression: string): Named[] {
  const named: Named[] = [];
  const groups = new Set<string>();
  parser.parse(expression).iterate({
    enter(node) {
      const text = expression.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`no PromQL: ${expression}`);
      if (node.name === 'VectorSelector') {
        const matchers = [...text.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"/g)].map(
          ([, label = '', operator = '', value = '']) => ({ label, operator, value }),
        );
        named.push({
          metric: /^\w+/.exec(text)?.[0] ?? '',
          labels: new Set(matchers.map(({ label }) => label)),
          matchers,
        });
      }
      if (node.name === 'GroupingLabels') for (const label of text.match(/\w+/g) ?? []) groups.add(label);
    },
  });
  for (const { labels } of named) for (const label of groups) labels.add(label);
  return named;
}
