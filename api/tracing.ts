/** Tells of the changes that a request made, each as the first span of its own trace (`domain/change-key.ts`). */
import type { FastifyRequest } from 'fastify';
import { contactKey } from '../domain/change-key.ts';
import { versionsOf } from '../store/changes.ts';
import { SpanKind } from '../telemetry/spans.ts';
import type { SpanContext, Traces } from '../telemetry/spans.ts';
import type { Api, ApiDeps } from './deps.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Keys of the changes that were accepted; null until there is one. */
    accepted: string[] | null;
  }
}

/** Notes that a change was written. */
export function accepted(request: FastifyRequest, ...keys: string[]): void {
  (request.accepted ??= []).push(...keys);
}

/** Notes changes of contacts whose versions are not at hand. */
export async function acceptedContacts(deps: ApiDeps, request: FastifyRequest, ids: readonly string[]): Promise<void> {
  if ((deps.traces ?? null) === null || ids.length === 0) return;
  for (const { contactId, version } of await versionsOf(deps.db, ids))
    accepted(request, contactKey(contactId, version));
}

export function addTracing(app: Api, traces: Traces | null): void {
  app.decorateRequest('accepted', null);
  if (traces === null) return;
  app.addHook('onResponse', async (request, reply) => {
    // A change that was only told again was traced when it was made.
    if (reply.hasHeader('idempotent-replayed')) return;
    const endMs = Date.now();
    const route = request.routeOptions.url ?? 'none';
    const caller = callerOf(request.headers['traceparent']);
    for (const key of request.accepted ?? []) {
      const context = traces.origin(key);
      if (context === null) continue;
      traces.tell({
        name: `${request.method} ${route}`,
        kind: SpanKind.SERVER,
        startMs: endMs - reply.elapsedTime,
        endMs,
        context,
        links: caller === null ? [] : [caller],
        attributes: {
          'http.request.method': request.method,
          'http.route': route,
          'http.response.status_code': reply.statusCode,
          'plumbline.request_id': request.id,
        },
      });
    }
  });
}

/** The span that the caller was in, to be linked: a change's trace begins with the change (https://www.w3.org/TR/trace-context/). */
function callerOf(header: string | string[] | undefined): SpanContext | null {
  const found = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(typeof header === 'string' ? header : '');
  const [, traceId = '', spanId = '', flags = ''] = found ?? [];
  if (/^0*$/.test(traceId) || /^0*$/.test(spanId)) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1 };
}
