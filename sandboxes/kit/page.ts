/** A page for a person: what this vendor holds and what it was asked last. */
import type { Controlled } from './control.ts';

export function page({ name, vendor, journal, faults }: Controlled): string {
  const rows = journal.latest(20).map((entry) => {
    const cells = [entry.seq, entry.at, entry.method, entry.path, entry.status || 'no answer'];
    cells.push(entry.effect ? 'changed' : '', entry.summary, entry.fault ?? '');
    return `<tr>${cells.map((cell) => `<td>${escape(String(cell))}</td>`).join('')}</tr>`;
  });
  const armed = faults.list().filter((fault) => fault.fired < (fault.count ?? 1)).length;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(name)} sandbox</title>
<style>body{font:15px system-ui,sans-serif;margin:2rem;color:#222}td,th{text-align:left;padding:.2rem .8rem .2rem 0;
font-variant-numeric:tabular-nums}td{border-top:1px solid #ddd}</style></head><body>
<h1>${escape(name)} sandbox</h1>
<p>${escape(vendor.describe())}</p>
<p>${vendor.count()} records · ${journal.counters.total} requests · ${journal.counters.effects} changed something ·
${journal.counters.limited} refused by limits · ${armed} faults waiting</p>
<p><a href="/records">records</a> · <a href="/journal">journal</a> · <a href="/counters">counters</a> ·
<a href="/faults">faults</a> · <a href="/settings">settings</a> (JSON)</p>
<table><caption>The last 20 requests</caption>
<thead><tr><th>No.</th><th>Time</th><th>Method</th><th>Path</th><th>Status</th><th>Effect</th><th>What</th><th>Fault</th></tr>
</thead><tbody>${rows.join('\n')}</tbody></table></body></html>`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
