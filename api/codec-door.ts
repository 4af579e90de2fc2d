/**
 * Who may call the codec endpoint from a browser: pages of the configured Temporal Web UI, with a key in the header, or in a cookie that
 * only these doors take. Temporal's UI sends its own sign-in or cookies, never a key of ours, so a person signs in once at `/v1/codec`.
 */
import type { FastifyRequest } from 'fastify';
import type { PayloadCodec } from '@temporalio/common';
import type { Api } from './deps.ts';

export interface CodecDoor {
  codec: PayloadCodec;
  /** Scheme, host and port of the Temporal Web UI; null: no browser is let in. */
  uiOrigin: string | null;
  /** The API is reached by https only, and so is its cookie. */
  secure: boolean;
}

export const CODEC_PATH = '/v1/codec';
const COOKIE = 'plumbline_codec';

/** Browsers take a name with this prefix from https only (RFC 6265bis, section 4.1.3). */
function cookieName(door: CodecDoor): string {
  return door.secure ? `__Secure-${COOKIE}` : COOKIE;
}

/** A working day. */
const COOKIE_SECONDS = 8 * 3600;

/** Origin of a web address; null where there is none. */
export function originOf(address: string | null | undefined): string | null {
  return address === null || address === undefined || !URL.canParse(address) ? null : new URL(address).origin;
}

/** CORS (Fetch Standard, section 3.3) for the one origin; other origins get no such header, and their browsers keep them out. */
export function addCodecOrigin(app: Api, door: CodecDoor): void {
  app.addHook('onRequest', async (request, reply) => {
    if (!isCodecCall(request)) return;
    void reply.header('vary', 'Origin');
    if (!isFromUi(request, door)) return;
    void reply.headers({
      'access-control-allow-origin': request.headers.origin,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'authorization, authorization-extras, content-type, x-namespace',
      'access-control-max-age': '600',
    });
  });
}

function isCodecCall(request: FastifyRequest): boolean {
  return request.routeOptions.url === `${CODEC_PATH}/decode` || request.routeOptions.url === `${CODEC_PATH}/encode`;
}

function isFromUi(request: FastifyRequest, door: CodecDoor): boolean {
  return door.uiOrigin !== null && request.headers.origin === door.uiOrigin;
}

/** The key of the cookie, where a page of the UI calls one of the two doors; null else. */
export function keyOfCookie(request: FastifyRequest, door: CodecDoor): string | null {
  if (!isCodecCall(request) || !isFromUi(request, door)) return null;
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim());
  const name = `${cookieName(door)}=`;
  return pairs.find((pair) => pair.startsWith(name))?.slice(name.length) ?? null;
}

/** A `Set-Cookie` value (RFC 6265) that keeps the key, or lets it go where it is null. */
export function cookieFor(key: string | null, door: CodecDoor): string {
  const age = `Max-Age=${key === null ? 0 : COOKIE_SECONDS}`;
  const parts = [`${cookieName(door)}=${key ?? ''}`, `Path=${CODEC_PATH}`, age, 'HttpOnly', 'SameSite=Strict'];
  return [...parts, ...(door.secure ? ['Secure'] : [])].join('; ');
}
