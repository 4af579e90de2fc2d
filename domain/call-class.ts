/** Classes of calls to a vendor, the most urgent first. */
export const CALL_CLASSES = ['urgent', 'live', 'bulk', 'scan'] as const;
export type CallClass = (typeof CALL_CLASSES)[number];
