/** A page for whoever opens the address in a browser. */
import type { Api, DoorDeps } from '../deps.ts';

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

export function addLandingRoute(app: Api, { operations }: DoorDeps): void {
  app.get('/', { schema: { hide: true } }, (_request, reply) => {
    const temporal = operations.temporalUi({ kind: 'home' });
    const links = [
      ['/docs', 'API documentation'],
      ['/docs/json', 'OpenAPI 3.1 description'],
      ['/ready', 'Readiness'],
      ...(temporal === null ? [] : [[temporal, 'Temporal Web UI']]),
    ] as const;
    const list = links
      .map(([href, title]) => `<li><a href="${escaped(href ?? '')}">${escaped(title ?? '')}</a></li>`)
      .join('\n');
    void reply.type('text/html; charset=utf-8');
    return reply.send(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Plumbline</title>
<style>body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem } a { color: #0b4f8a }</style></head>
<body><main><h1>Plumbline</h1>
<p>One contact record, true everywhere. Programs need a key: <code>Authorization: Bearer pk_…</code></p>
<ul>
${list}
</ul></main></body>
</html>
`);
  });
}
