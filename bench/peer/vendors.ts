/** How each vendor is written to by its SDK, and how fast it may be called. */
import type { Vendor } from '../../local/vendor-programs.ts';
import type { Delivery, Mode, Setup } from './delivery.ts';
import { createHubSpot } from './hubspot.ts';
import { createMailchimp } from './mailchimp.ts';
import { createPace } from './pace.ts';
import { createXero } from './xero.ts';

/**
 * Between two calls under limits: HubSpot 190 in ten seconds, Xero 60 in a minute, with a little to spare for calls that arrive closer
 * together than they left. Mailchimp limits connections only.
 */
const EVERY_MS: Record<Vendor, number> = { hubspot: 53, mailchimp: 0, xero: 1_010 };

const CREATE: Record<Vendor, (setup: Setup) => Delivery | Promise<Delivery>> = {
  hubspot: createHubSpot,
  mailchimp: createMailchimp,
  xero: createXero,
};

/** @param how.limits keeps below the vendor's rate limit */
export async function deliveryOf(vendor: Vendor, how: { url: string; mode: Mode; limits: boolean }): Promise<Delivery> {
  return CREATE[vendor]({ url: how.url, mode: how.mode, pace: createPace(how.limits ? EVERY_MS[vendor] : 0) });
}
