/** How much of a vendor's limit was used, by the vendor's own count. */
import type { Vendor, VendorProcess } from '../../local/vendor-programs.ts';

export interface Use {
  calls: number;
  limited: number;
  /** Sum over all calls of the time from arrival to answer. */
  busyMs: number;
}

/** Published limits: calls in a window, or connections at once. */
const LIMITS: Record<Vendor, { calls: number; windowMs: number } | { connections: number }> = {
  hubspot: { calls: 190, windowMs: 10_000 },
  mailchimp: { connections: 10 },
  xero: { calls: 60, windowMs: 60_000 },
};

export async function readUse(vendors: Partial<Record<Vendor, VendorProcess>>): Promise<Partial<Record<Vendor, Use>>> {
  return Object.fromEntries(
    await Promise.all(
      Object.entries(vendors).map(async ([vendor, process]) => {
        const { total, limited, busyMs } = await process.counters();
        return [vendor, { calls: total, limited, busyMs }] as const;
      }),
    ),
  ) as Partial<Record<Vendor, Use>>;
}

/** Share of what the limit allows in `ms`; for a limit of connections, of their time. */
export function limitShare(vendor: Vendor, before: Use, after: Use, ms: number): number {
  const limit = LIMITS[vendor];
  return 'calls' in limit
    ? (after.calls - before.calls) / (limit.calls * (ms / limit.windowMs))
    : (after.busyMs - before.busyMs) / (limit.connections * ms);
}
