/** The HTTP doors: Fastify, OpenAPI from the schemas that validate, problem documents, a docs page that works offline. */
import { randomUUID } from 'node:crypto';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger } from 'fastify';
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { NO_CODEC } from '../temporal/codec.ts';
import { addAuthentication } from './auth.ts';
import { addCodecOrigin } from './codec-door.ts';
import type { Api, ApiDeps } from './deps.ts';
import { Problem } from './errors.ts';
import { addJsonBodies } from './json-body.ts';
import { refuseConnection, timeLimits } from './intake.ts';
import { finishDocument } from './openapi.ts';
import { addProblemHandler, describe, sendProblem } from './problem-handler.ts';
import { Refusals } from './refusals.ts';
import { addRoutes } from './routes/index.ts';
import { refuseUnsoundText } from './text.ts';
import { addTracing } from './tracing.ts';
import { Waiters } from './waiting.ts';

/** Of a request's body, in bytes; the bulk door takes more. */
export const BODY_LIMIT = 1024 * 1024;

/** Builds the server; `listen` or `inject` is the caller's. Closing it ends waiting requests first. */
export function buildApi(deps: ApiDeps): Api {
  const app = fastify({
    loggerInstance: quiet(deps.log),
    // Its own lines have addresses and messages in them.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    bodyLimit: BODY_LIMIT,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 400 },
    ...timeLimits(deps.config.api.requestSeconds * 1000),
    trustProxy: deps.config.api.trustedProxies.length === 0 ? false : [...deps.config.api.trustedProxies],
    // An address that cannot be decoded reaches no handler; the default answer would repeat it.
    frameworkErrors: (_error, request, reply) => {
      void sendProblem(reply, request, new Problem('no_such_route', 'The address cannot be read.'));
    },
    clientErrorHandler: refuseConnection,
  }).withTypeProvider<ZodTypeProvider>();

  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  addProblemHandler(app, new Refusals(deps.db));
  addJsonBodies(app);
  addHeaders(app);
  addRequestLog(app, deps.onAnswered);
  addTracing(app, deps.traces ?? null);
  const door = deps.codec ?? { codec: NO_CODEC, uiOrigin: null, secure: false };
  addCodecOrigin(app, door);
  const admit = addAuthentication(app, deps, door);
  app.addHook('preValidation', async (request) => {
    refuseUnsoundText('path', request.params);
    refuseUnsoundText('query', request.query);
    refuseUnsoundText('body', request.body);
  });
  // A parameter that no door knows is a mistake of the caller (`wait` where nothing waits), so it is said.
  app.addHook('onRoute', (route) => {
    if (route.url.startsWith('/v1/') && route.schema !== undefined) route.schema.querystring ??= z.strictObject({});
  });
  addDocs(app);

  const waiters = new Waiters(deps.db);
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
    waiters.close();
  });
  // Else a caller with a keep-alive connection, answered while we close, would hold the process for more than a minute.
  app.addHook('onSend', async (_request, reply) => {
    if (closing) void reply.header('connection', 'close');
  });
  // After the documentation plugin, which sees only the routes that come later.
  void app.register(async (doors) => addRoutes(doors as Api, deps, waiters, door, admit));
  return app;
}

/** The framework logs errors and requests of its own in rare cases: without their messages and addresses. */
function quiet(log: FastifyBaseLogger): FastifyBaseLogger {
  return log.child({}, { serializers: { err: describe, req: () => undefined, res: () => undefined } });
}

/** Nothing of an answer is stored, framed, sniffed or told to another site. */
function addHeaders(app: Api): void {
  app.addHook('onSend', async (request, reply) => {
    void reply.headers({
      'request-id': request.id,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
    });
    if (!request.url.startsWith('/docs/static/')) void reply.header('cache-control', 'no-store');
    if (!reply.hasHeader('content-security-policy')) {
      void reply.header(
        'content-security-policy',
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      );
    }
  });
}

/** One line a request: the route's pattern, never the address, which may name a reference or a query. */
function addRequestLog(app: Api, onAnswered: ApiDeps['onAnswered']): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished)
        request.log.info({ method: request.method, route: request.routeOptions.url ?? null }, 'hung_up');
    });
  });
  app.addHook('onResponse', async (request, reply) => {
    onAnswered?.(request.method, request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1000);
    request.log.info(
      {
        method: request.method,
        route: request.routeOptions.url ?? null,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        key: request.apiKey?.name ?? null,
      },
      'request',
    );
  });
}

function addDocs(app: Api): void {
  void app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Plumbline',
        version: '1',
        description:
          'One contact record, true everywhere. A write commits the change, its audit entry and its due marks together; the systems follow. ' +
          'Every write may say why in the header Plumbline-Reason. Refusals are RFC 9457 problem documents.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A key: pk_…' } } },
    },
    transform: jsonSchemaTransform,
    transformObject: finishDocument,
  });
  void app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: {
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': ["'self'", "'unsafe-inline'"],
      'img-src': ["'self'", 'data:'],
      'connect-src': "'self'",
      'frame-ancestors': "'none'",
      'base-uri': "'none'",
      'form-action': "'none'",
    },
    uiConfig: { deepLinking: true, docExpansion: 'list', validatorUrl: null },
    theme: { title: 'Plumbline API' },
  });
}
