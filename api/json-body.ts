/** Bodies: JSON in strict UTF-8. The framework's own reader would replace broken bytes without a word. */
import type { FastifyError } from 'fastify';
import type { Api } from './deps.ts';
import { Problem } from './errors.ts';

/** RFC 8259 and, for patches, RFC 7396. */
const TYPES = ['application/json', 'application/merge-patch+json'];

export function addJsonBodies(app: Api): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(TYPES, { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0) {
      done(null, undefined);
      return;
    }
    let text: string;
    try {
      text = utf8.decode(body as Buffer);
    } catch {
      done(new Problem('body_not_json', 'The body is not UTF-8.'), undefined);
      return;
    }
    void parse(request, text, (error: FastifyError | Error | null, value?: unknown) => {
      done(
        error === null ? null : new Problem('body_not_json', 'The body is not JSON, or has a forbidden name in it.'),
        value,
      );
    });
  });
}
