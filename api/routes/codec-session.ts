/** A page at which a person gives this browser a key for the codec endpoint, kept in a cookie that no script can read. */
import { refuseRole } from '../auth.ts';
import type { Admit } from '../auth.ts';
import { CODEC_PATH, cookieFor } from '../codec-door.ts';
import type { CodecDoor } from '../codec-door.ts';
import type { Api } from '../deps.ts';
import { Problem, PROBLEMS } from '../errors.ts';
import { ROUTE_ROLES } from '../roles.ts';

const SESSION = `${CODEC_PATH}/session`;
/** A key has 46 characters. */
const FORM_LIMIT = 500;
const NEEDED = ROUTE_ROLES['POST /v1/codec/decode'];

export function addCodecSession(app: Api, door: CodecDoor, admit: Admit): void {
  app.get(CODEC_PATH, { schema: { hide: true } }, (_request, reply) => {
    void reply.type('text/html; charset=utf-8').header('content-security-policy', CSP);
    return reply.send(page('Give this browser a key, so that the Temporal Web UI shows what is in histories.'));
  });

  // Forms are taken here and nowhere else.
  void app.register(async (scope) => {
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: FORM_LIMIT },
      (_request, body, done) => done(null, new URLSearchParams(String(body))),
    );
    scope.post(SESSION, { bodyLimit: FORM_LIMIT, schema: { hide: true } }, async (request, reply) => {
      void reply.type('text/html; charset=utf-8').header('content-security-policy', CSP);
      const site = request.headers['sec-fetch-site'];
      if (site !== undefined && site !== 'same-origin')
        return reply.code(403).send(page('This form is sent from its own page only.'));
      const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
      const text = form.get('key')?.trim() ?? '';
      if (form.get('do') === 'forget') {
        return reply.header('set-cookie', cookieFor(null, door)).send(page('The key is forgotten.'));
      }
      try {
        refuseRole(await admit(request, reply, text), NEEDED);
      } catch (error) {
        if (error instanceof Problem) return reply.code(error.status).send(page(`${PROBLEMS[error.code].title}.`));
        throw error;
      }
      return reply
        .header('set-cookie', cookieFor(text, door))
        .send(
          page('This browser has the key for eight hours. Go back to the Temporal Web UI and load the page again.'),
        );
    });
  });
}

const CSP =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/** @param said a sentence of ours; nothing of a request is ever in it */
function page(said: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Plumbline: codec</title>
<style>body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem } input, button { font: inherit }</style></head>
<body><main><h1>Codec of histories</h1>
<p role="status">${said}</p>
<form method="post" action="${SESSION}">
<p><label>Key <input name="key" type="password" autocomplete="off" size="46"></label>
<button name="do" value="keep">Keep</button> <button name="do" value="forget">Forget</button></p>
</form>
<p>In the Temporal Web UI: the glasses at the top right, this address without <code>/session</code> as the endpoint, and
<em>Include cross-origin credentials</em>.</p></main></body>
</html>
`;
}
