/** Sends spans by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp). Loaded only where a collector is configured. */
import { randomBytes } from 'node:crypto';
import type { Agent } from 'node:http';
import { ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { newContext, originOf, SpanKind } from './spans.ts';
import type { Traces } from './spans.ts';

export interface TracesOptions {
  /** The whole address, e.g. `http://127.0.0.1:4318/v1/traces`. */
  url: string;
  /** Share of the changes that are traced, up to 1. */
  share: number;
  role: string;
  /** The way out: it connects to the host of `url` and to no other. */
  agent: Agent;
  /** Called when spans could not be sent, with their number and a word on why. */
  onLost: (spans: number, fault: string) => void;
}

const QUEUE = 8_192;
const SEND_EVERY_MS = 1_000;
const SEND_TIMEOUT_MS = 3_000;
/** OTLP's collectors keep as many by default. */
const LINKS_AT_MOST = 128;

/** Opens the exporter. Spans are held in memory up to a bound and sent once a second; what a collector does not take in time is dropped. */
export function openTraces(options: TracesOptions): Traces {
  // The spans bring their own places.
  let place = newContext();
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': `plumbline-${options.role}`,
      'service.instance.id': randomBytes(8).toString('hex'),
    }),
    idGenerator: { generateTraceId: () => place.traceId, generateSpanId: () => place.spanId },
    spanLimits: { linkCountLimit: LINKS_AT_MOST },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: heard(
          new OTLPTraceExporter({
            url: options.url,
            timeoutMillis: SEND_TIMEOUT_MS,
            httpAgentOptions: () => options.agent,
          }),
          options.onLost,
        ),
        maxQueueSize: QUEUE,
        scheduledDelayMillis: SEND_EVERY_MS,
        exportTimeoutMillis: SEND_TIMEOUT_MS * 2,
      }),
    ],
  });
  const tracer = provider.getTracer('plumbline');
  return {
    tell({ name, kind = SpanKind.INTERNAL, startMs, endMs, attributes, context, parent = null, links = [], failed }) {
      place = context;
      const span = tracer.startSpan(
        name,
        {
          kind,
          startTime: startMs,
          attributes,
          links: links.slice(0, LINKS_AT_MOST).map((one) => ({ context: one })),
        },
        parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent),
      );
      if (failed === true) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(endMs);
    },
    origin(key) {
      const context = originOf(key);
      return Number.parseInt(context.traceId.slice(0, 8), 16) < options.share * 2 ** 32 ? context : null;
    },
    close: async () => provider.shutdown().catch(() => undefined),
  };
}

/** An exporter that says what it could not send; the library would keep that to itself. */
function heard(exporter: SpanExporter, onLost: TracesOptions['onLost']): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error !== undefined) onLost(spans.length, result.error.name);
        done(result);
      });
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: async () => exporter.shutdown(),
  };
}
