/** Answers in Xero's shapes (developer.xero.com, "Response codes and errors"). */
import { randomUUID } from 'node:crypto';
import type { Answer } from '../kit/vendor.ts';

/** Xero's way to write a moment, milliseconds since 1970. */
export function msDate(ms: number): string {
  return `/Date(${ms}+0000)/`;
}

/** `2026-11-25T04:00:00`: the readable twin that invoices carry beside the other form. */
export function dateString(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

/** The envelope of every accounting answer. */
export function envelope(nowMs: number, content: Record<string, unknown>): Record<string, unknown> {
  return {
    Id: randomUUID(),
    Status: 'OK',
    ProviderName: 'Plumbline sandbox',
    DateTimeUTC: `/Date(${nowMs})/`,
    ...content,
  };
}

/** Errors of authentication and of the platform. */
export function problem(status: number, title: string, detail: string): Answer {
  const body = { Type: null, Title: title, Status: status, Detail: detail, Instance: randomUUID(), Extensions: {} };
  return { status, body, summary: detail };
}

/** Errors of the accounting API, `{ErrorNumber, Type, Message}`. */
export function apiError(status: number, ErrorNumber: number, Type: string, Message: string): Answer {
  return { status, body: { ErrorNumber, Type, Message }, summary: Message };
}

/** Errors of the identity server (RFC 6749, section 5.2). */
export function tokenError(error: string): Answer {
  return { status: 400, body: { error }, summary: error };
}

/** Plain text, as Xero answers what it cannot find and query strings that are too long. */
export function notFound(): Answer {
  const body = "The resource you're looking for cannot be found";
  return { status: 404, headers: { 'content-type': 'text/html; charset=utf-8' }, body, summary: 'not found' };
}
