/** Plays one request against the vendor with a fault around it. Synchronous; waiting and sending are the server's. */
import type { Fault } from './faults.ts';
import type { Answer, PartialFault, Vendor, VendorRequest } from './vendor.ts';

/** What happens on the wire. */
export type Play =
  | { kind: 'answer'; answer: Answer; afterMs: number }
  /** The connection is cut without an answer. */
  | { kind: 'cut'; effect: boolean }
  /** Nothing is ever sent. */
  | { kind: 'silence'; effect: boolean };

type Hit = (Fault & { staleState?: unknown }) | undefined;

export function play(vendor: Vendor, request: VendorRequest, fault: Hit): Play {
  if (fault === undefined) return now(vendor.handle(request));
  const params = fault.params;
  const happens = (): Answer => vendor.handle(request);
  switch (fault.name) {
    case '429':
      return now(vendor.errorAnswer('rate-limited', request, params));
    case '429-retry-after': {
      const answer = vendor.errorAnswer('rate-limited', request, params);
      return now({ ...answer, headers: { ...answer.headers, 'retry-after': String(Number(params['seconds'] ?? 1)) } });
    }
    case '500-before':
      return now(serverError(vendor, request, params, false));
    case '500-after':
      return now(serverError(vendor, request, params, happens().effect === true));
    case 'token-expired':
      return now(vendor.errorAnswer('token-expired', request, params));
    case 'cut-before':
      return { kind: 'cut', effect: false };
    case 'cut-after':
      return { kind: 'cut', effect: happens().effect === true };
    case 'hang':
      return hang(vendor, request, params);
    case 'delay':
      return now(happens());
    case 'ignore': {
      const before = structuredClone(vendor.snapshot());
      const answer = happens();
      vendor.restore(before);
      return now({ ...answer, effect: false });
    }
    case 'stale-reads': {
      const live = vendor.snapshot();
      vendor.restore(fault.staleState);
      const answer = happens();
      vendor.restore(live);
      return now({ ...answer, effect: false });
    }
    case 'partial': {
      const partial: PartialFault = { items: 1, ...params };
      return now(vendor.handle({ ...request, partial }));
    }
    case 'bare-403':
      return now({ status: 403 });
    case 'html': {
      const effect = params['effect'] === 'before' && happens().effect === true;
      const body = '<!doctype html><title>Sorry</title><p>We are doing maintenance.</p>';
      return now({ status: 200, headers: { 'content-type': 'text/html' }, body, effect });
    }
    case 'truncate': {
      const answer = happens();
      const text = answer.body === undefined ? '' : JSON.stringify(answer.body);
      const headers = { 'content-type': 'application/json', ...answer.headers };
      return now({ ...answer, headers, body: text.slice(0, Math.floor(text.length / 2)) });
    }
    case 'redirect': {
      const elsewhere = `http://elsewhere.invalid${request.path}`;
      const location = typeof params['location'] === 'string' ? params['location'] : elsewhere;
      return now({ status: 302, headers: { location } });
    }
  }
}

function now(answer: Answer): Play {
  return { kind: 'answer', answer, afterMs: 0 };
}

function serverError(vendor: Vendor, request: VendorRequest, params: Record<string, unknown>, effect: boolean): Answer {
  const answer = vendor.errorAnswer('server-error', request, params);
  return { ...answer, status: Number(params['status'] ?? answer.status), effect };
}

function hang(vendor: Vendor, request: VendorRequest, params: Record<string, unknown>): Play {
  const answer: Answer =
    params['effect'] === 'before' ? vendor.handle(request) : { status: 504, body: '', effect: false };
  if (params['ms'] === undefined) return { kind: 'silence', effect: answer.effect === true };
  return { kind: 'answer', answer, afterMs: Number(params['ms']) };
}
