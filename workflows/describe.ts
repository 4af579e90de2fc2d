/** What operators read in Temporal's UI: short Markdown lists, no personal data. */

export function describeLane(
  system: string,
  state: string,
  view: {
    due: number;
    urgent: number;
    oldestSeconds: number | null;
    problems: number;
    code: string | null;
    lastError: string | null;
  },
  trouble: string | null,
  last: string,
): string {
  const lines = [
    `**${system}**: ${state}${view.code === null ? '' : ` (${view.code})`}`,
    '',
    `- due: ${view.due}${view.urgent > 0 ? `, ${view.urgent} of them urgent` : ''}`,
    `- oldest due: ${view.oldestSeconds === null ? '–' : `${view.oldestSeconds} s`}`,
    `- need a person: ${view.problems}`,
  ];
  if (last !== '') lines.push(`- last drain: ${last}`);
  if (trouble !== null) lines.push(`- trouble: ${trouble}`);
  if (view.lastError !== null) lines.push(`- last error: ${view.lastError}`);
  if (state === 'paused' || state === 'guarded') {
    lines.push('', 'Send the signal `resume` when it has been seen to.');
  }
  return lines.join('\n');
}

export function describeErasure(
  caseId: string,
  step: string,
  deadline: string,
  systems: { system: string; outcome: string | null; code: string | null; reviewOn: string | null }[],
): string {
  return [
    `**Erasure case ${caseId}**: ${step}`,
    '',
    `- deadline: ${deadline.slice(0, 10)}`,
    ...systems.map(
      (s) =>
        `- ${s.system}: ${s.outcome ?? 'waiting'}${s.code === null ? '' : ` (${s.code})`}${s.reviewOn === null ? '' : `, look again on ${s.reviewOn}`}`,
    ),
  ].join('\n');
}

export function describeRun(title: string, step: string, counts: Record<string, number>): string {
  return [`**${title}**: ${step}`, '', ...Object.entries(counts).map(([name, count]) => `- ${name}: ${count}`)].join(
    '\n',
  );
}

export function describeCause(cause: {
  id: string;
  system: string;
  part: string;
  kind: string;
  code: string | null;
  field: string | null;
  contacts: number;
  openedAt: string;
  assignedTo: string | null;
  resolution: string | null;
  advice: string;
  samples: readonly string[];
}): string {
  const what = [cause.kind, cause.code, cause.field].filter((word) => word !== null).join(' ');
  return [
    `**${cause.system}: ${what}**${cause.resolution === null ? '' : ` (${cause.resolution})`}`,
    '',
    `- stops: ${cause.contacts} deliveries (${cause.part})`,
    `- since: ${cause.openedAt.slice(0, 16).replace('T', ' ')}`,
    ...(cause.assignedTo === null ? [] : [`- handed over to: ${cause.assignedTo}`]),
    `- what to do: ${cause.advice}`,
    ...cause.samples.map((id) => `- for example: ${id}`),
    ...(cause.resolution === null
      ? ['', 'Send the update `resolve` with `{"action": "retry"}`, `skip` with a reason, or `hand_over` with to.']
      : []),
  ].join('\n');
}
