/**
 * Statements of a migration that the release before would not survive: something that it uses goes or changes its meaning, or what it
 * writes is refused. Bodies of functions are left out: they run for whoever calls them. Tables that the same migration makes are nobody's yet.
 */

/** Above a statement: `-- contract: why the release before does not miss it`, in at least four words. */
const MARK = /^\s*--\s*contract:(?:\s+\S+){4,}\s*$/mu;
const TAKES_AWAY: readonly RegExp[] = [
  /^drop\s/u,
  /^truncate\s/u,
  /^revoke\s/u,
  /^alter\s+\w+\s[^;]*?\b(?:drop|rename)\b/u,
  /^alter\s+table\s[^;]*?\balter\s+(?:column\s+)?\w+\s+(?:set\s+data\s+)?type\b/u,
  /^alter\s+table\s[^;]*?\balter\s+(?:column\s+)?\w+\s+set\s+not\s+null\b/u,
  /^alter\s+table\s[^;]*?\badd\s+(?:constraint\s+\w+\s+)?(?:check|unique|primary\s+key|foreign\s+key|exclude)\b/u,
];

/** The statements of `sql` that take something away and say nothing about it, each in one line. */
export function contractions(sql: string): string[] {
  const withoutBodies = sql.replaceAll(/(\$\w*\$).*?\1/gsu, "''");
  const made = new Set([...withoutBodies.matchAll(/create table (?:if not exists )?(\w+)/giu)].map((m) => m[1]));
  return withoutBodies
    .split(';')
    .filter((statement) => !MARK.test(statement))
    .map((statement) => statement.replaceAll(/--.*$/gmu, '').replaceAll(/\s+/gu, ' ').trim())
    .filter((statement) => {
      const text = statement.toLowerCase();
      const table = /^(?:alter table (?:only )?|create unique index .*? on )(\w+)/u.exec(text)?.[1];
      if (table !== undefined && made.has(table)) return false;
      return TAKES_AWAY.some((pattern) => pattern.test(text)) || isStricter(text);
    });
}

/** What the release before writes would be refused: a column that it does not know is required, or an index is unique. */
function isStricter(text: string): boolean {
  if (/^create unique index\b/u.test(text)) return true;
  if (!text.startsWith('alter table')) return false;
  return text
    .split(/,(?![^(]*\))/u)
    .some((part) => /\badd (?:column )?/u.test(part) && /\bnot null\b/u.test(part) && !/\bdefault\b/u.test(part));
}
