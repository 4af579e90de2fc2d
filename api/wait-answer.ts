/** The part of an answer that `?wait=verified` asks for. */
import type { FastifyReply } from 'fastify';
import type { ContactId } from '../domain/contact.ts';
import type { DeliveryView } from '../store/delivery-views.ts';
import type { DoorDeps } from './deps.ts';
import type { Wait } from './schemas/contact.ts';
import { DEFAULT_WAIT_MS } from './waiting.ts';

export interface WaitAnswer {
  /** True when something is still to do: answered with 202. */
  open: boolean;
  /** True when every system was read back as wanted. */
  verified: boolean;
  deliveries: DeliveryView[];
}

/** Null where the request does not ask to wait. */
export async function deliveriesWhenAsked(
  { waiters }: DoorDeps,
  reply: FastifyReply,
  wait: Wait,
  contactId: ContactId,
): Promise<WaitAnswer | null> {
  if (wait.wait === undefined) return null;
  const gone = new AbortController();
  const left = (): void => gone.abort();
  reply.raw.once('close', left);
  try {
    const waited = await waiters.forContact(contactId, wait.timeoutMs ?? DEFAULT_WAIT_MS, gone.signal);
    return {
      open: !waited.settled,
      verified: waited.settled && waited.deliveries.every((d) => d.state === 'verified'),
      deliveries: waited.deliveries,
    };
  } finally {
    reply.raw.off('close', left);
  }
}
